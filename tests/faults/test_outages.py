"""Outages at two thousand spans a second, slow answers, and backends that ask to be left alone: nothing is lost."""

from __future__ import annotations

import random
import threading

import pytest

from kaizen_otel.testing import SteppingClock
from tests.faults.support import END_S, numbered, running, wait_until
from tests.processors.delivery.backend import CLOSE, RESET, Backend, Reply
from tests.processors.delivery.support import balanced, fill, names, queue_to

RATE = 2_000


@pytest.mark.parametrize(
    ("reply", "seconds"),
    [
        pytest.param(Reply(503), 3, id="503 for 3 s"),
        pytest.param(Reply(503), 30, id="503 for 30 s"),
        pytest.param(Reply(RESET), 10, id="resets for 10 s"),
        pytest.param(Reply(429, {"retry-after": "3"}), 3, id="429 with Retry-After 3"),
        pytest.param(Reply(503, {"retry-after": "3"}), 3, id="503 with Retry-After 3"),
    ],
)
def test_an_outage_loses_and_repeats_nothing(reply: Reply, seconds: float) -> None:
    spans = int((seconds + 4) * RATE)
    with Backend(default=reply) as backend:
        arguments = ("--spans", spans, "--rate", RATE, "--flush", 60)
        with running("app", backend.url, *arguments) as app:
            assert backend.wait_for_requests(1)
            healer = threading.Timer(seconds, setattr, (backend, "default", Reply()))
            healer.start()
            flushed = app.wait_for("flushed")
            healer.join()
            app.end()
        assert backend.taken == numbered(spans)
    assert flushed["said"] is True
    assert flushed["dropped"] == {}


def test_a_backend_that_takes_two_seconds_for_each_request_gets_everything() -> None:
    spans = 6 * RATE
    with Backend(default=Reply(delay_s=2.0)) as backend:
        with running("app", backend.url, "--spans", spans, "--rate", RATE, "--end", "hold") as app:
            made = app.wait_for("made")
            assert made["dropped"] == {}
            assert made["put"] == spans
            backend.default = Reply()
            assert backend.wait_for_items(spans, END_S)
            app.end()
        assert backend.taken == numbered(spans)


def test_a_storm_of_refusals_loses_and_repeats_nothing() -> None:
    chance = random.Random(7)  # noqa: S311 - a script, not a secret
    storm = [Reply(429), Reply(429, {"retry-after": "0"}), Reply(503), Reply(CLOSE), Reply(500), Reply(429)]
    script = [chance.choice(storm) if chance.random() < 0.8 else Reply() for _ in range(100)]
    with Backend(*script) as backend, queue_to(backend.url, interval_s=0.05, batch_items=100, wake_items=50) as queue:
        fill(queue, 8_000)
        assert queue.force_flush(END_S)
        assert backend.taken == names(0, 8_000)
        assert queue.counts().retries > 50
        assert balanced(queue)


@pytest.mark.parametrize("status", [429, 503])
def test_a_time_longer_than_any_timeout_is_waited_for(status: int) -> None:
    """The official exporter drops what it may not send within its ten seconds."""
    clock = SteppingClock(step_ns=0)
    with (
        Backend(Reply(status, {"retry-after": "60"})) as backend,
        queue_to(backend.url, clock=clock, interval_s=0.01) as queue,
    ):
        fill(queue, 500)
        wait_until(lambda: queue._courier._asked_to_wait)
        clock.advance(59)
        assert not queue.force_flush(0.2)
        assert len(backend.requests) == 1
        clock.advance(2)
        assert queue.force_flush(END_S)
        assert backend.taken == names(0, 500)


def test_a_servers_own_error_is_a_passing_one() -> None:
    with Backend(Reply(500), Reply(500)) as backend, queue_to(backend.url) as queue:
        fill(queue, 500)
        assert queue.force_flush(END_S)
        assert backend.taken == names(0, 500)


def test_a_refusal_costs_its_batch_which_is_counted_and_nothing_more() -> None:
    with Backend(Reply(400)) as backend, queue_to(backend.url) as queue:
        fill(queue, 500)
        assert not queue.force_flush(END_S)
        fill(queue, 1_000, first=500)
        assert queue.force_flush(END_S)
        counts = queue.counts()
        assert (counts.exported, counts.dropped) == (500, {"refused": 500})
        assert backend.taken == names(500, 1_000)


def test_what_finds_no_room_is_counted_and_what_had_room_arrives() -> None:
    with (
        Backend(default=Reply(503)) as backend,
        queue_to(backend.url, queue_bytes=20_000, interval_s=0.02, batch_items=100, wake_items=50) as queue,
    ):
        fill(queue, 8_000)
        queue.force_flush(0.5)
        backend.default = Reply()
        queue.force_flush(END_S)
        counts = queue.counts()
        assert counts.pending == 0
        assert 0 < counts.exported == len(backend.taken)
        assert counts.dropped == {"queue_full": 8_000 - counts.exported}
        assert backend.taken[:100] == names(0, 100)
