"""Delivery: retried, bounded, in order, and never on the evaluator's time."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

from kaizen_processors.alerts.channels.callback import CallbackChannel
from kaizen_processors.alerts.channels.channel import Channel, DeliveryError
from kaizen_processors.alerts.channels.dispatch import MAX_QUEUED, Dispatcher, RetryPolicy
from kaizen_processors.alerts.channels.http_post import JsonPost
from kaizen_processors.alerts.channels.webhook import WebhookChannel
from tests.processors.alerts.support import Remembering, Scene, alert, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kaizen_processors.alerts.alert import Alert

QUICK = RetryPolicy(first_s=0.001, longest_s=0.002)


class Gate(Channel):
    """Lets an alert through when it is opened; until then `send` blocks."""

    def __init__(self, name: str = "gate") -> None:
        super().__init__(name)
        self.entered = threading.Event()
        self.open = threading.Event()
        self.seen: list[tuple[str, float, str]] = []

    def send(self, alert: Alert) -> None:
        self.entered.set()
        assert self.open.wait(30.0)
        self.seen.append((alert.type, alert.value, alert.status))


class Failing(Channel):
    """Raises what it was given, one a call, then remembers."""

    def __init__(self, *errors: Exception) -> None:
        super().__init__("failing")
        self.errors = list(errors)
        self.seen: list[str] = []

    def send(self, alert: Alert) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.seen.append(alert.type)


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open.set()


def test_a_channel_that_hangs_holds_up_neither_the_evaluator_nor_another_channel(gate: Gate) -> None:
    scene = Scene(rule(), channels=[gate])
    scene.values.set("error_rate", 0.5)
    assert len(scene.evaluator.tick()) == 1
    assert gate.entered.wait(10.0)
    assert not scene.evaluator.flush(0.01)
    assert scene.channel.told == [("high_error_rate", "firing")]
    assert scene.evaluator.tick() == ()
    assert scene.evaluator.stats()["channels"]["gate"] == {"sent": 0, "queued": 1, "dropped": {}}


def test_what_may_work_later_is_tried_again() -> None:
    channel = Failing(*[DeliveryError("unreachable", retry=True) for _ in range(5)])
    dispatcher = Dispatcher([channel], retry=QUICK)
    dispatcher.tell("failing", alert())
    assert dispatcher.flush(10.0)
    assert channel.seen == ["slow"]
    assert dispatcher.counts() == {"failing": {"sent": 1, "queued": 0, "dropped": {}}}


@pytest.mark.parametrize(
    ("error", "reason"),
    [(DeliveryError("refused", retry=False), "refused"), (ZeroDivisionError(), "ZeroDivisionError")],
)
def test_what_cannot_work_is_dropped_counted_and_the_next_goes_through(error: Exception, reason: str) -> None:
    channel = Failing(error)
    settled: list[tuple[str, str]] = []
    dispatcher = Dispatcher([channel], lambda name, one: settled.append((name, one.type)), QUICK)
    dispatcher.tell("failing", alert("one"))
    dispatcher.tell("failing", alert("two"))
    assert dispatcher.flush(10.0)
    assert channel.seen == ["two"]
    assert dispatcher.counts()["failing"]["dropped"] == {reason: 1}
    assert settled == [("failing", "one"), ("failing", "two")]


def test_it_gives_up_when_it_took_too_long() -> None:
    channel = Failing(*[DeliveryError("unreachable", retry=True) for _ in range(9)])
    dispatcher = Dispatcher([channel], retry=RetryPolicy(first_s=50.0, give_up_s=20.0))
    dispatcher.tell("failing", alert())
    assert dispatcher.flush(10.0)
    assert dispatcher.counts()["failing"]["dropped"] == {"unreachable_too_long": 1}


def test_waits_double_up_to_the_longest_and_obey_the_other_side() -> None:
    policy = RetryPolicy(first_s=1.0, longest_s=60.0)
    for failures, expected in ((1, 1.0), (2, 2.0), (4, 8.0), (20, 60.0)):
        assert expected * 0.8 <= policy.wait_s(failures, None) <= expected * 1.2
    assert policy.wait_s(1, 90.0) == 90.0


def test_a_newer_state_of_an_alert_takes_the_older_ones_place(gate: Gate) -> None:
    dispatcher = Dispatcher([gate])
    dispatcher.tell("gate", alert("first"))
    assert gate.entered.wait(10.0)
    for value in (1.0, 2.0, 3.0):
        dispatcher.tell("gate", alert("slow", value))
    dispatcher.tell("gate", alert("slow", 3.0).resolved(5))
    assert dispatcher.counts()["gate"]["queued"] == 3
    gate.open.set()
    assert dispatcher.flush(10.0)
    assert gate.seen == [("first", 1.0, "firing"), ("slow", 3.0, "firing"), ("slow", 3.0, "resolved")]


def test_the_queue_is_bounded_and_says_what_it_dropped(gate: Gate) -> None:
    dispatcher = Dispatcher([gate])
    dispatcher.tell("gate", alert("first"))
    assert gate.entered.wait(10.0)
    for number in range(MAX_QUEUED + 5):
        dispatcher.tell("gate", alert(f"a{number}"))
    assert dispatcher.counts()["gate"] == {"sent": 0, "queued": MAX_QUEUED + 1, "dropped": {"queue_full": 5}}
    dispatcher.tell("gate", alert("a0", 7.0))  # a newer state of what waits needs no room
    assert dispatcher.counts()["gate"]["dropped"] == {"queue_full": 5}
    gate.open.set()
    assert dispatcher.flush(10.0)
    assert gate.seen[1] == ("a0", 7.0, "firing")


def test_after_the_end_nothing_is_queued_and_threads_are_gone() -> None:
    channel = Remembering()
    dispatcher = Dispatcher([channel])
    dispatcher.tell("memory", alert("one"))
    dispatcher.close(10.0)
    dispatcher.tell("memory", alert("two"))
    assert channel.told == [("one", "firing")]
    assert dispatcher.counts()["memory"]["dropped"] == {"closed": 1}
    (lane,) = dispatcher._lanes.values()
    assert lane._thread is not None
    lane._thread.join(10.0)
    assert not lane._thread.is_alive()


def test_closing_does_not_wait_out_a_retry() -> None:
    channel = Failing(*[DeliveryError("unreachable", retry=True) for _ in range(9)])
    dispatcher = Dispatcher([channel], retry=RetryPolicy(first_s=600.0))
    dispatcher.tell("failing", alert())
    dispatcher.close(0.01)
    (lane,) = dispatcher._lanes.values()
    assert lane._thread is not None
    lane._thread.join(10.0)
    assert not lane._thread.is_alive()


class Mute(Exception):  # noqa: N818 - it is the application's
    def __str__(self) -> str:
        raise ValueError


def test_what_a_handler_raises_is_logged_once_with_its_text_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    raised = iter([KeyError("channel_id"), KeyError("again"), ValueError("two\nlines\x1b[0m"), Mute()])

    def slack(_: dict[str, Any]) -> None:
        raise next(raised)

    dispatcher = Dispatcher([CallbackChannel("slack", slack)])
    for type_ in ("slow", "dear", "failing", "low"):
        dispatcher.tell("slack", alert(type_))
        assert dispatcher.flush(10.0)
    assert dispatcher.counts()["slack"]["dropped"] == {"KeyError": 2, "ValueError": 1, "Mute": 1}
    assert [record.getMessage().removesuffix("; further ones are only counted") for record in caplog.records] == [
        "alert slow could not be sent to slack: KeyError ('channel_id')",
        "alert failing could not be sent to slack: ValueError (two lines?[0m)",
        "alert low could not be sent to slack: Mute",
    ]


def test_an_unforeseen_error_of_an_http_channel_shows_no_address(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("http://hooks/secret")

    monkeypatch.setattr(JsonPost, "post", fail)
    dispatcher = Dispatcher([WebhookChannel("hook", "http://hooks/secret")])
    dispatcher.tell("hook", alert())
    assert dispatcher.flush(10.0)
    assert "could not be sent to hook: RuntimeError; further" in caplog.text
    assert "secret" not in caplog.text


def test_a_handler_gets_a_dictionary_and_what_it_raises_goes_no_further() -> None:
    seen: list[dict[str, Any]] = []

    def handler(given: dict[str, Any]) -> None:
        seen.append(given)
        raise KeyError("mine")

    dispatcher = Dispatcher([CallbackChannel("mine", handler)])
    dispatcher.tell("mine", alert())
    assert dispatcher.flush(10.0)
    assert [given["type"] for given in seen] == ["slow"]
    assert dispatcher.counts()["mine"]["dropped"] == {"KeyError": 1}
    with pytest.raises(TypeError, match="a function of one argument"):
        CallbackChannel("mine", "print")  # type: ignore[arg-type]  # what is wrong is the point


def test_a_forked_child_delivers_its_own_alerts_and_not_its_parents(gate: Gate) -> None:
    dispatcher = Dispatcher([gate, Remembering()])
    dispatcher.tell("gate", alert("parents"))
    assert gate.entered.wait(10.0)
    child = os.fork()
    if not child:
        dispatcher.tell("memory", alert("childs"))
        delivered = dispatcher.flush(10.0)
        os._exit(0 if delivered and dispatcher.counts()["gate"]["queued"] == 0 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_who_may_not_send_waits_and_what_is_forgotten_is_never_sent() -> None:
    channel, asked, may = Remembering("c"), threading.Semaphore(0), threading.Event()

    def may_send() -> bool:
        asked.release()
        return may.is_set()

    dispatcher = Dispatcher([channel], may_send=may_send)
    dispatcher.tell("c", alert("forgotten"))
    assert asked.acquire(timeout=30.0)
    dispatcher.tell("c", alert("queued"))
    dispatcher.forget()
    assert dispatcher.flush(30.0)
    dispatcher.tell("c", alert("later"))
    assert asked.acquire(timeout=30.0)
    may.set()
    assert dispatcher.flush(30.0)
    assert [one.type for one in channel.seen] == ["later"]
    assert dispatcher.counts()["c"] == {"sent": 1, "queued": 0, "dropped": {}}
    dispatcher.close()


def test_who_cannot_be_reached_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    failing = Failing(*(DeliveryError("unreachable", "refused", retry=True) for _ in range(3)))
    lanes = Dispatcher([failing], retry=QUICK)
    lanes.tell(failing.name, alert())
    assert lanes.flush(10.0)
    (record,) = caplog.records
    assert record.getMessage().startswith(f"alert slow waits: {failing.name} cannot be reached (unreachable: refused)")
    lanes.close()


def test_where_no_thread_can_be_started_the_flush_delivers(monkeypatch: pytest.MonkeyPatch, gate: Gate) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    gate.open.set()
    lanes = Dispatcher([gate])
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        lanes.tell(gate.name, alert())
        assert lanes.flush(5.0)
    assert lanes.counts()[gate.name] == {"sent": 1, "queued": 0, "dropped": {}}
    lanes.close()


def test_what_was_left_at_the_end_is_waited_for_once(gate: Gate) -> None:
    dispatcher = Dispatcher([gate])
    dispatcher.tell("gate", alert())
    dispatcher.tell("gate", alert("other", labels={"alertname": "other"}))
    assert gate.entered.wait(30.0)
    dispatcher.close(0.0)
    left: list[bool] = []
    again = threading.Thread(target=lambda: left.append(dispatcher.flush(3_600.0)), daemon=True)
    again.start()
    again.join(30.0)
    assert left == [False]
