"""One of several processes judges; another one takes over, and nothing is told twice."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import pytest

from kaizen_processors.alerts import BudgetBook, CallbackChannel, Condition, Evaluator, EvaluatorOptions, Rule
from kaizen_processors.alerts.budget import Budget
from kaizen_processors.alerts.channels.channel import Channel, DeliveryError
from kaizen_processors.alerts.office import Office
from kaizen_processors.alerts.window_values import WindowValues
from kaizen_processors.money import UNITS_PER_USD
from kaizen_processors.recent import RecentExecutions
from kaizen_processors.snapshots import Snapshots
from kaizen_processors.store import StoreError
from kaizen_processors.store.sections import StoredState
from tests.processors.store.host import Host, Worker
from tests.processors.windows.records import execution

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kaizen_processors.alerts.alert import Alert

RULE = Rule(name="failing", condition=Condition("error_rate > 0.5"), window_s=300.0, min_executions=1)
BUDGET = Budget(name="all", limit_usd="1", at=(50, 100))


class Unreachable(Channel):
    """Nobody is there."""

    def send(self, alert: Alert) -> None:
        raise DeliveryError("unreachable", alert.type, retry=True)


class Judge:
    """A worker with rules and a budget, which are judged with every beat."""

    def __init__(self, host: Host, state_path: Path | None = None) -> None:
        self.worker: Worker = host.start()
        self.told: list[dict[str, Any]] = []
        windows, clock = self.worker.windows, host.clock
        self.evaluator = Evaluator(
            [RULE],
            WindowValues(Snapshots(windows, clock), RecentExecutions(clock, 10), clock),
            [CallbackChannel("heard", self.told.append, resolved=True)],
            options=EvaluatorOptions(clock=clock, leads=self._in_office),
        )
        self.book = BudgetBook([BUDGET], clock=clock)
        self.evaluator.watch(self.book)
        self.office = Office(self.worker.store, self.evaluator, state_path)
        self.office.keep_books(self.book)
        self.suspended = False

    def tick(self) -> None:
        if not self.suspended:
            self.worker.tick()
            self.office.follow()
            self.evaluator.tick()
            if self.worker.store.leads():
                assert self.evaluator.flush(30.0)

    def _in_office(self) -> bool:
        return self.office.in_office()

    @property
    def heard(self) -> list[tuple[str, str]]:
        return [(alert["type"], alert["status"]) for alert in self.told]

    def kill(self) -> None:
        """What is left of it is what is in the file."""
        self.suspended = True


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    yield made
    for one in made.workers:
        one.store.shutdown()


def judges(host: Host, count: int, state_path: Path | None = None) -> list[Judge]:
    made = [Judge(host, state_path) for _ in range(count)]
    host.workers = made  # type: ignore[assignment]  # they tick alike
    return made


@pytest.fixture(autouse=True)
def _closed(host: Host, request: pytest.FixtureRequest) -> Iterator[None]:
    del request
    yield
    for one in host.workers:
        if isinstance(one, Judge):
            one.evaluator.close(0.0)
    host.workers = [one.worker if isinstance(one, Judge) else one for one in host.workers]


def all_heard(judges: list[Judge]) -> list[tuple[str, str]]:
    return [one for judge in judges for one in judge.heard]


def fail_everywhere(judges: list[Judge]) -> None:
    for judge in judges:
        judge.worker.see(execution(status="error"))


def test_four_processes_raise_one_alert_and_one_budget_alert(host: Host) -> None:
    four = judges(host, 4)
    fail_everywhere(four)
    for judge in four:
        judge.book.spend(UNITS_PER_USD // 4)
    host.pass_time(15)
    assert sorted(all_heard(four)) == [("all", "firing"), ("failing", "firing")]
    assert {judge.book.spent_units("all") for judge in four} == {UNITS_PER_USD}
    with host.reader() as reader:
        assert sorted(alert["type"] for alert in reader.alerts()) == ["all", "failing"]
        (standing,) = reader.budgets()
        assert (standing.spent_units, standing.limit_units, standing.raised) == (UNITS_PER_USD, UNITS_PER_USD, (100,))


def test_a_killed_holder_has_a_successor_within_ten_seconds_who_tells_nothing_again(host: Host) -> None:
    four = judges(host, 4)
    fail_everywhere(four)
    host.pass_time(15)
    (holder,) = [judge for judge in four if judge.worker.store.leads()]
    holder.kill()
    host.pass_time(9)
    (successor,) = [judge for judge in four if judge.worker.store.leads()]
    assert successor is not holder
    assert [alert.type for alert in successor.evaluator.alerts()] == ["failing"]
    host.pass_time(60)
    assert all_heard(four) == [("failing", "firing")]
    host.pass_time(300)  # the errors leave the window: the successor says so
    assert all_heard(four) == [("failing", "firing"), ("failing", "resolved")]
    assert successor.heard == [("failing", "resolved")]


def test_who_judges_and_how_many_live_is_known_with_the_next_beat(host: Host) -> None:
    first, second = judges(host, 2)

    def known(judge: Judge) -> list[Any]:
        stats = judge.worker.store.stats()
        return [stats[what] for what in ("leads", "holder", "workers")]

    host.pass_time(2)
    assert [known(first), known(second)] == [[True, os.getpid(), 2], [False, os.getpid(), 2]]
    first.worker.store.shutdown()
    assert known(first)[:2] == [False, None]
    host.workers = [second]  # type: ignore[list-item]
    host.pass_time(1)
    assert known(second) == [True, os.getpid(), 1]
    host.wait(6.0)  # without a beat: another one may have taken over
    assert known(second)[:2] == [False, None]


def test_a_process_without_rules_leaves_judging_to_those_that_have_some(host: Host) -> None:
    without = host.start(judges=False)
    host.workers = [without]
    host.pass_time(2)
    (judge,) = judges(host, 1)
    fail_everywhere([judge])
    host.workers = [without, judge]  # type: ignore[list-item]
    host.pass_time(15)
    assert judge.heard == [("failing", "firing")]
    assert not without.store.leads()
    host.workers = [without, judge]  # type: ignore[list-item]


def test_who_has_no_rules_any_more_hands_over_and_loses_no_money(host: Host) -> None:
    first, second = judges(host, 2)
    host.pass_time(2)
    first.book.spend(UNITS_PER_USD * 3 // 4)
    first.office.resign()
    host.pass_time(12)
    assert not first.worker.store.leads()
    assert second.worker.store.leads()
    assert second.book.spent_units("all") == UNITS_PER_USD * 3 // 4
    assert second.heard == [("all", "firing")]


def test_other_budgets_are_judged_by_what_all_have_spent(host: Host) -> None:
    first, second = judges(host, 2)
    second.book.spend(UNITS_PER_USD // 4)
    host.pass_time(2)
    first.book.spend(UNITS_PER_USD // 4)
    for judge in (first, second):
        judge.evaluator.unwatch(judge.book)
        judge.book = BudgetBook([replace(BUDGET, at=(40,))], clock=host.clock)
        judge.evaluator.watch(judge.book)
        judge.office.keep_books(judge.book)
    host.pass_time(12)
    assert {judge.book.spent_units("all") for judge in (first, second)} == {UNITS_PER_USD // 2}
    assert all_heard([first, second]) == [("all", "firing")]


def test_a_clean_shutdown_hands_over_with_the_next_beat(host: Host) -> None:
    first, second = judges(host, 2)
    host.pass_time(2)
    assert first.worker.store.leads()
    first.worker.store.shutdown()
    assert not first.worker.store.leads()
    second.tick()
    assert second.worker.store.leads()


def test_a_holder_that_was_suspended_past_its_lease_neither_sends_nor_saves_when_it_wakes(host: Host) -> None:
    first, second = judges(host, 2)
    host.pass_time(2)
    fail_everywhere([first])
    first.suspended = True
    host.pass_time(20)
    assert second.worker.store.leads()
    assert not first.worker.store.leads()
    assert first.evaluator.tick() == ()  # the very first thing that it does
    with pytest.raises(StoreError, match="another process holds the lease"):
        first.worker.store.save_section("alerts", {"standing": []})
    first.suspended = False
    host.pass_time(15)
    assert all_heard([first, second]) == [("failing", "firing")]
    assert second.heard == [("failing", "firing")]
    assert first.evaluator.alerts() == ()


def test_what_was_not_delivered_is_delivered_by_the_successor(host: Host) -> None:
    first, second = judges(host, 2)
    host.pass_time(2)
    first.evaluator.remove_channel("heard")
    first.evaluator.add_channel(Unreachable("heard"))
    fail_everywhere([first])
    for _ in range(12):
        host.wait(1.0)
        first.worker.tick()
        first.evaluator.tick()
        second.tick()
    assert [alert.type for alert in first.evaluator.alerts()] == ["failing"]
    first.kill()
    host.pass_time(9)
    assert second.heard == [("failing", "firing")]
    assert first.evaluator.stats()["channels"]["heard"]["sent"] == 0


def test_a_given_state_file_is_opened_by_the_holder_only_and_goes_on_from_it(host: Host, tmp_path: Path) -> None:
    first, second = judges(host, 2, tmp_path / "alerts.json")
    fail_everywhere([first])
    host.pass_time(15)
    assert first.heard == [("failing", "firing")]
    assert '"failing"' in (tmp_path / "alerts.json").read_text()
    first.worker.store.shutdown()
    host.workers = [second]  # type: ignore[list-item]
    host.pass_time(30)
    assert second.heard == []
    assert [alert.type for alert in second.evaluator.alerts()] == ["failing"]


def test_a_suspended_predecessor_that_has_the_state_file_open_does_not_matter(host: Host, tmp_path: Path) -> None:
    first, second = judges(host, 2, tmp_path / "alerts.json")
    fail_everywhere([first])
    host.pass_time(15)
    first.suspended = True
    host.pass_time(30)
    assert second.worker.store.leads()
    assert all_heard([first, second]) == [("failing", "firing")]


def test_money_of_before_the_store_is_counted_once(host: Host, tmp_path: Path) -> None:
    from kaizen_processors.alerts import StateFile

    path = tmp_path / "alerts.json"
    before = StateFile(path)
    old = BudgetBook([BUDGET], clock=host.clock, state=before)
    old.spend(UNITS_PER_USD * 2 // 5)
    old.save()
    before.close()
    first, second = judges(host, 2, path)
    second.book.spend(UNITS_PER_USD // 5)
    host.pass_time(5)
    assert {judge.book.spent_units("all") for judge in (first, second)} == {UNITS_PER_USD * 3 // 5}
    first.worker.store.shutdown()
    host.workers = [second]  # type: ignore[list-item]
    host.pass_time(20)
    assert second.book.spent_units("all") == UNITS_PER_USD * 3 // 5
    assert second.heard == []  # half of it was told by the first
    assert first.heard == [("all", "firing")]


def test_spending_survives_a_restart_of_everyone_exactly(host: Host) -> None:
    (first,) = judges(host, 1)
    for _ in range(7):
        first.book.spend(UNITS_PER_USD // 70 + 1)
    host.pass_time(2)
    first.kill()
    (second,) = judges(host, 1)
    host.pass_time(2)
    second.book.spend(3)
    host.pass_time(1)
    assert second.book.spent_units("all") == 7 * (UNITS_PER_USD // 70 + 1) + 3


@pytest.mark.parametrize("lost", ["deleted", "corrupt"])
def test_what_was_spent_outlives_its_file(host: Host, lost: str) -> None:
    first, second = judges(host, 2)
    first.book.spend(5)
    second.book.spend(7)
    host.pass_time(2)
    for judge in (first, second):
        judge.worker.store._database.close()
    if lost == "corrupt":
        host.path.write_bytes(bytes(12_000))
    else:
        host.path.unlink()
    second.book.spend(100)
    host.pass_time(3)
    assert {judge.book.spent_units("all") for judge in (first, second)} == {112}
    (third,) = judges(host, 1)
    host.pass_time(2)
    assert third.book.spent_units("all") == 112


def test_what_is_spent_while_the_store_is_locked_is_added_once(tmp_path: Path) -> None:
    host = Host(tmp_path, busy_s=0.01)
    first, second = judges(host, 2)
    host.pass_time(2)
    with closing(sqlite3.connect(host.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for _ in range(3):
            first.book.spend(11)
            host.pass_time(2)
        other.execute("ROLLBACK")
    host.pass_time(3)
    assert {judge.book.spent_units("all") for judge in (first, second)} == {33}
    for judge in (first, second):
        judge.worker.store.shutdown()
        judge.evaluator.close(0.0)


def test_who_wakes_after_all_others_have_left_goes_on_from_what_they_left(host: Host) -> None:
    first, second = judges(host, 2)
    host.pass_time(2)
    fail_everywhere([first])
    host.pass_time(15)
    first.suspended = True
    host.pass_time(400)  # the successor says that it is over
    second.worker.store.shutdown()
    host.workers = [first]  # type: ignore[list-item]
    first.suspended = False
    host.pass_time(15)
    assert first.worker.store.leads()
    assert all_heard([first, second]) == [("failing", "firing"), ("failing", "resolved")]


@pytest.mark.parametrize("fails", ["section", "save_section"])
def test_a_failure_while_taking_over_is_made_good_and_tells_nothing_again(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    first, second = judges(host, 2, tmp_path / "alerts.json")
    host.pass_time(2)
    fail_everywhere([first])
    first.book.spend(UNITS_PER_USD)
    host.pass_time(15)
    first.worker.store.shutdown()

    def closed(*_: object) -> None:
        raise StoreError("closed", "a fork closed it a moment ago")

    with monkeypatch.context() as broken:
        broken.setattr(second.worker.store, fails, closed)
        host.wait(1.0)
        second.worker.tick()
        with pytest.raises(StoreError):
            second.office.follow()
        assert second.worker.store.leads()
        assert second.evaluator.tick() == ()
    host.workers = [second]  # type: ignore[list-item]
    saved = (tmp_path / "alerts.json").read_text()
    host.pass_time(60)
    assert sorted(alert.type for alert in second.evaluator.alerts()) == ["all", "failing"]
    assert second.heard == []
    assert (tmp_path / "alerts.json").read_text() != saved  # it has the file open


def test_taking_over_waits_for_the_store_without_holding_up_who_spends(host: Host) -> None:
    (judge,) = judges(host, 1)
    host.pass_time(2)
    reading, spent = Event(), Event()

    class Slow(StoredState):
        def section(self, name: str) -> dict[str, Any]:
            reading.set()
            assert spent.wait(30.0)  # by a call, and told by a beat, of other threads
            return super().section(name)

    taking_over = Thread(target=judge.book.resume, args=(Slow(judge.worker.store),), daemon=True)
    taking_over.start()
    assert reading.wait(30.0)

    def spend() -> None:
        judge.book.spend(7)
        judge.worker.store.beat()
        spent.set()

    spending = Thread(target=spend, daemon=True)
    spending.start()
    for thread in (spending, taking_over):
        thread.join(60.0)
        assert not thread.is_alive()
    assert judge.book.spent_units("all") == 7
