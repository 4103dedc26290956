"""The store as `instrument()` keeps it: real agents, their numbers beside those of other processes."""

from __future__ import annotations

import logging
import sqlite3
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import kaizen_otel
from kaizen_otel.demo.script import Reply
from kaizen_otel.patches.switch import active
from kaizen_otel.testing import SteppingClock, capture
from kaizen_processors.store import StoreReader
from kaizen_processors.windows import Group
from tests.processors.store.host import Worker
from tests.processors.windows.records import execution

if TYPE_CHECKING:
    from collections.abc import Callable

    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_processors.store import Store

RULES = """\
rules:
  - {name: failing, condition: error_rate > 0.5}
budgets:
  - {name: all, limit_usd: 0.00001, at: [100]}
"""


pytestmark = pytest.mark.usefixtures("no_handlers_afterwards")


def run_agent(name: str = "qa") -> None:
    from kaizen.core.framework import Kaizen

    Kaizen().create_agent(name, {"model": "gpt-4o-mini", "provider": "openai"}).execute(question="hi")


def test_a_snapshot_is_of_all_processes(kaizen_offline: ModelServer, tmp_path: Path) -> None:
    kaizen_offline.script(lambda _: Reply(text="hello"))
    with capture(store=tmp_path / "s.db") as captured:
        other = Worker(tmp_path / "s.db", captured.clock)
        run_agent()
        other.see(execution("elsewhere", duration_ms=5))
        captured.clock.advance(10)
        other.tick()
        captured.tick()
        now = kaizen_otel.snapshot("5m")
        assert (now.total_executions, now.active_agents) == (2, 2)
        assert kaizen_otel.snapshot("5m", agent="elsewhere").active_agents == 1
        assert kaizen_otel.snapshot("5m", agent="elsewhere").p50_latency_ms == 5.0
        stats = kaizen_otel.stats()
        assert stats["store"]["path"] == str(tmp_path / "s.db")
        assert stats["store"]["open"]
        assert sum(stats["executions"].values()) == 1  # the ledger's, and so the metrics', are the process's
        other.tick()
        assert other.windows.read(Group("qa"), 300.0).sums.executions == 1
        captured.clock.advance(10)
        captured.tick()
        assert kaizen_otel.stats()["store"]["workers"] == 2
        other.store.shutdown()


def test_what_is_in_the_open_slot_at_the_end_is_kept(kaizen_offline: ModelServer, tmp_path: Path) -> None:
    kaizen_offline.script(lambda _: Reply(text="hello"))
    with capture(store=tmp_path / "s.db") as captured:
        run_agent()
    with StoreReader(tmp_path / "s.db", captured.clock) as reader:
        assert reader.window(Group("qa"), 300.0).sums.executions == 1
        assert reader.workers()[0].ended_ns is not None
        assert reader.holder() is None


def test_a_successor_tells_nothing_twice_without_a_state_file(kaizen_offline: ModelServer, tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES, encoding="utf-8")
    told: list[dict[str, Any]] = []
    kaizen_otel.register_alert_handler(told.append)
    kaizen_offline.script(lambda _: Reply(text="hello"))
    with capture(store=tmp_path / "s.db", alert_rules=rules) as captured:
        run_agent()
        captured.tick()
        assert captured.flush()
        assert [alert["type"] for alert in told] == ["all"]
        telemetry = active()
        assert telemetry is not None
        assert telemetry.stats()["alerts"]["firing"] == 1
    with capture(store=tmp_path / "s.db", alert_rules=rules) as captured:
        captured.tick()
        run_agent()
        captured.tick()
        assert captured.flush()
        assert len(told) == 1
        assert kaizen_otel.stats()["alerts"]["firing"] == 1
    with StoreReader(tmp_path / "s.db", captured.clock) as reader:
        (budget,) = reader.budgets()
        assert budget.spent_units == sum(call.price.amount or 0 for call in captured.calls) * 2
        assert (budget.budget, budget.whose, budget.raised) == ("all", "", (100,))


@pytest.mark.parametrize("end", [kaizen_otel.flush, kaizen_otel.uninstrument])
def test_a_run_that_is_shorter_than_a_beat_is_judged(
    kaizen_offline: ModelServer, tmp_path: Path, end: Callable[[], object]
) -> None:
    kaizen_offline.script(lambda _: Reply(text="hello"))
    (rules := tmp_path / "rules.yaml").write_text(RULES)
    told: list[dict[str, Any]] = []
    kaizen_otel.register_alert_handler(told.append)
    with capture(store=tmp_path / "s.db", alert_rules=rules):
        run_agent()
        end()
        assert [alert["type"] for alert in told] == ["all"]


def test_with_a_store_windows_are_kept_at_basic_too(kaizen_offline: ModelServer, tmp_path: Path) -> None:
    kaizen_offline.script(lambda _: Reply(text="hello"))
    with capture(store=tmp_path / "s.db", monitoring_level="basic"):
        run_agent()
        assert kaizen_otel.snapshot().total_executions == 1
    with capture(monitoring_level="basic"):
        run_agent()
        assert kaizen_otel.snapshot().total_executions == 0


@pytest.mark.parametrize("preset", ["development", "production"])
def test_a_preset_in_a_folder_that_cannot_be_written_to_costs_one_warning(
    preset: str,
    kaizen_offline: ModelServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("kaizen-otel.db").mkdir()  # as root no permission stops us; a folder does
    kaizen_offline.script(lambda _: Reply(text="hello"))
    clock = SteppingClock()
    kaizen_otel.instrument(preset=preset, console=False, file=None, prometheus_port=None, clock=clock)
    telemetry = active()
    assert telemetry is not None
    for _ in range(3):
        run_agent()
        clock.advance(20)
        telemetry.performance.tick()
    assert kaizen_otel.snapshot("5m").total_executions == 3
    assert not kaizen_otel.stats()["store"]["open"]
    assert kaizen_otel.stats()["failures"] == {}
    assert not kaizen_otel.flush()  # what the store was to be told is left
    kaizen_otel.uninstrument()
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert [text for text in warnings if "going on without it" in text] == warnings
    assert len(warnings) == 1
    assert list(tmp_path.iterdir()) == [tmp_path / "kaizen-otel.db"]


class Held:
    """A store that another process holds, for as long as a test wants, and the threads of ours that wait for it."""

    def __init__(self, path: Path, store: Store) -> None:
        self._store = store
        store._database._busy_s = 3_600.0  # who waits for it does not come back by itself
        self._other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._other.execute("BEGIN IMMEDIATE")
        self._waiting: list[threading.Thread] = []

    def let_wait(self, work: Callable[[], object]) -> None:
        """Let a thread do something that waits for the store."""
        self._waiting.append(threading.Thread(target=work, daemon=True))
        self._waiting[-1].start()

    def until(self, holds: Callable[[], object]) -> None:
        for _ in range(3_000):
            if holds():
                return
            threading.Event().wait(0.01)
        raise AssertionError("it never came to that")

    def come_back(self, call: Callable[[], object]) -> None:
        """A call of the application's that must not wait for the store."""
        given: list[object] = []
        thread = threading.Thread(target=lambda: given.append(call()), daemon=True)
        thread.start()
        thread.join(30.0)
        assert given, "it waits for the store"

    def let_go(self) -> None:
        self._other.execute("ROLLBACK")
        self._other.close()
        for thread in self._waiting:
            thread.join(30.0)
            assert not thread.is_alive()


def test_no_call_waits_for_a_store_that_another_process_holds(kaizen_offline: ModelServer, tmp_path: Path) -> None:
    from kaizen.core.framework import Kaizen

    def alerting(name: str) -> dict[str, Any]:
        return {"alerting": {"rules": [{"name": name, "condition": "executions > 0"}]}}

    kaizen_offline.script(lambda _: Reply(text="hello"))
    clock = SteppingClock(step_ns=0)
    path = tmp_path / "s.db"
    kaizen_otel.instrument(store=path, clock=clock)
    Kaizen(config=alerting("busy"))
    telemetry = active()
    assert telemetry is not None
    store = telemetry.performance.store
    assert store is not None
    telemetry.performance.tick()
    run_agent()  # the next judgement has something to save
    evaluator = telemetry.rules.evaluator
    assert store.leads()

    held = Held(path, store)
    try:
        held.let_wait(evaluator.tick)
        held.until(lambda: store._database.held_up)
        held.let_wait(telemetry.performance.tick)
        held.come_back(lambda: Kaizen(config=alerting("other")) is not None)
        held.come_back(lambda: kaizen_otel.register_alert_handler(print, name="printer"))
        held.come_back(kaizen_otel.stats)
        held.come_back(lambda: kaizen_otel.flush(30.0) or True)
        run_agent()
        held.come_back(lambda: kaizen_otel.uninstrument() or True)  # type: ignore[func-returns-value]
    finally:
        held.let_go()
    assert store._closed.wait(30.0)
    with StoreReader(path, clock) as reader:
        assert reader.window(Group("qa"), 300.0).sums.executions == 2
        assert sorted(alert["type"] for alert in reader.alerts()) == ["busy", "other"]
        assert reader.holder() is None


def test_judging_ends_without_waiting_for_a_store_that_another_process_holds(
    kaizen_offline: ModelServer, tmp_path: Path
) -> None:
    from kaizen.core.framework import Kaizen

    del kaizen_offline
    kaizen_otel.instrument(store=tmp_path / "s.db", clock=SteppingClock(step_ns=0))
    Kaizen(config={"alerting": True})
    telemetry = active()
    assert telemetry is not None
    store = telemetry.performance.store
    assert store is not None
    telemetry.performance.tick()
    assert store.leads()
    held = Held(tmp_path / "s.db", store)
    try:
        held.come_back(lambda: Kaizen(config={"alerting": False}) is not None)
        held.come_back(lambda: Kaizen(config={"alerting": True}) is not None)
    finally:
        held.let_go()
    telemetry.performance.tick()
    assert store.leads()  # who judges now is not sent away by who ended then


def test_the_end_of_a_process_leaves_time_to_deliver_when_another_one_holds_the_store(
    kaizen_offline: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kaizen.core.framework import Kaizen

    kaizen_offline.script(lambda _: Reply(text="hello"))
    kaizen_otel.instrument(store=tmp_path / "s.db", clock=SteppingClock(step_ns=0))
    Kaizen(config={"alerting": {"rules": [{"name": "busy", "condition": "executions > 0"}]}})
    telemetry = active()
    assert telemetry is not None
    store = telemetry.performance.store
    assert store is not None
    telemetry.performance.tick()
    run_agent()  # the next judgement has something to save
    left_s: list[float] = []
    monkeypatch.setattr(telemetry.pipeline, "flush", left_s.append)
    held = Held(tmp_path / "s.db", store)
    try:
        held.come_back(lambda: telemetry._judge_a_last_time(3_600.0) or True)  # type: ignore[func-returns-value]
        held.come_back(lambda: telemetry.deliver_before_the_kill(2.0, False) or True)  # type: ignore[func-returns-value]
    finally:
        held.let_go()
    assert len(left_s) == 1
    assert left_s[0] > 0


def test_who_judges_anew_follows_who_still_waits_for_the_store_to_end(
    kaizen_offline: ModelServer, tmp_path: Path
) -> None:
    from kaizen.core.framework import Kaizen

    judging = {"alerting": {"rules": [{"name": "busy", "condition": "executions > 0"}]}}
    told: list[dict[str, Any]] = []
    kaizen_otel.register_alert_handler(told.append)
    kaizen_offline.script(lambda _: Reply(text="hello"))
    kaizen_otel.instrument(store=tmp_path / "s.db", clock=SteppingClock(step_ns=0))
    Kaizen(config=judging)
    telemetry = active()
    assert telemetry is not None
    store = telemetry.performance.store
    assert store is not None
    telemetry.performance.tick()
    before = telemetry.rules
    run_agent()  # the last judgement has something to save
    held = Held(tmp_path / "s.db", store)
    try:
        held.come_back(lambda: Kaizen(config={"alerting": False}) is not None)
        held.come_back(lambda: Kaizen(config=judging) is not None)
        after = telemetry.rules
        assert after is not before
        held.come_back(lambda: after._follow() or True)  # type: ignore[func-returns-value]
        assert not before.ended.is_set()
        assert not after._in_office()
    finally:
        held.let_go()
    held.until(before.ended.is_set)
    telemetry.performance.tick()
    assert after._in_office()
    assert kaizen_otel.flush()
    assert [alert["type"] for alert in told] == ["busy"]
    assert [task.where for task in telemetry.performance.ticker._tasks].count("alerts.lead") == 1


def test_flush_says_whether_the_store_was_told(kaizen_offline: ModelServer, tmp_path: Path) -> None:
    kaizen_offline.script(lambda _: Reply(text="hello"))
    clock = SteppingClock(step_ns=0)
    kaizen_otel.instrument(store=tmp_path / "s.db", clock=clock)
    telemetry = active()
    assert telemetry is not None
    store = telemetry.performance.store
    assert store is not None
    telemetry.performance.tick()
    run_agent()
    clock.advance(10)  # the slot is closed, and due
    held = Held(tmp_path / "s.db", store)
    told: list[bool] = []
    try:
        held.come_back(lambda: told.append(kaizen_otel.flush(30.0)) or True)  # type: ignore[func-returns-value]
    finally:
        held.let_go()
    held.until(lambda: not store._exchange.outbox)
    assert told == [False]
    assert kaizen_otel.flush(30.0)
