"""Budgets of several processes: what is summed with what, and what happens when there is no room for every sum."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest

from kaizen_processors.alerts import BudgetBook, StateFile
from kaizen_processors.alerts.budget import Budget
from kaizen_processors.money import UNITS_PER_USD
from kaizen_processors.store import spent
from kaizen_processors.store.reader import BUDGET_TERMS_SECTION
from kaizen_processors.store.spent import SHARE_OF_ROOM
from kaizen_processors.windows import Group
from tests.processors.store.host import Host, Worker
from tests.processors.store.test_lease import BUDGET, Judge
from tests.processors.windows.records import call

if TYPE_CHECKING:
    from pathlib import Path

    from kaizen_processors.shared_spending import SpentKey

SESSIONS = Budget(name="sessions", limit_usd="1", per="session", period="hourly", at=(100,))
ROOM = 2 << 20


def book_of(host: Host, worker: Worker, *budgets: Budget, max_keys: int = 10_000) -> BudgetBook:
    book = BudgetBook(budgets, clock=host.clock, max_keys=max_keys)
    book.share()
    worker.store.share_spending(book)
    return book


def spent_rows(host: Host) -> list[tuple[str, str, int, int]]:
    with closing(sqlite3.connect(host.path)) as connection:
        found = connection.execute("SELECT budget, whose, began_ns, units FROM spent")
        return [(budget, whose, began_ns, int(units)) for budget, whose, began_ns, units in found]


def standings(host: Host, worker: Worker, book: BudgetBook) -> tuple[int, int]:
    """What the host knows of each key, added up, and what it knows of those without room."""
    worker.store.save_section(BUDGET_TERMS_SECTION, book.terms())
    with host.reader() as reader:
        spending = reader.spending()
        return sum(one.spent_units for one in spending.told_apart), spending.together.get("sessions", 0)


def test_sessions_beyond_the_room_crowd_nothing_out_and_every_unit_is_somewhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    host = Host(tmp_path, 2, max_bytes=ROOM)
    first, second = host.workers
    books = [book_of(host, worker, SESSIONS, max_keys=100_000) for worker in host.workers]
    first.see(call())
    for number in range(30_000):
        books[number % 2].spend(3, session=f"session-{number}")
    host.settle()
    for book in books:
        book.spend(2, session="session-29999")  # there was no room for it
        book.spend(1, session="session-0")
    host.settle()
    total = 30_000 * 3 + 2 * 2 + 2
    with closing(sqlite3.connect(host.path)) as connection:
        size = connection.execute("PRAGMA page_count").fetchone()[0] * 4_096
    assert size < ROOM // SHARE_OF_ROOM * 1.3
    told_apart, together = standings(host, first, books[0])
    assert told_apart + together == total
    assert told_apart > 1_000
    assert first.store.stats()["sums_without_room"] + second.store.stats()["sums_without_room"] > 20_000
    assert {book.spent_units("sessions", "session-0") for book in books} == {5}  # of both
    assert books[1].spent_units("sessions", "session-29999") == 5  # of this process: three, and two since
    assert [record.getMessage().split(":")[-1] for record in caplog.records] == [" they count together"] * 2
    newcomer = host.start()
    newcomer.tick()
    assert newcomer.windows.read(Group(), 300.0).sums.model_calls == 1
    host.wait(3_600.0)  # the finished period goes first: now there is room again
    host.pass_time(62)
    books[0].spend(7, session="new")
    host.settle()
    assert books[1].spent_units("sessions", "new") == 7
    assert len(spent_rows(host)) < 5


def test_what_was_spent_is_known_also_where_there_was_room_for_nobody(tmp_path: Path) -> None:
    host = Host(tmp_path, 1, max_bytes=1)
    book = book_of(host, host.workers[0], SESSIONS, BUDGET)
    book.spend(3, session="a")
    host.settle()
    host.workers[0].store.save_section(BUDGET_TERMS_SECTION, book.terms())
    with host.reader() as reader:
        assert [(one.budget, one.whose, one.spent_units) for one in reader.budgets()] == [("all", "", 3)]
        assert reader.spent_without_room() == {"sessions": 3}


def test_what_is_spent_while_budgets_are_read_is_in_all_sums_or_in_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host(tmp_path, 1)
    book = book_of(host, host.workers[0], SESSIONS, BUDGET)
    book.spend(3, session="a")
    host.settle()
    host.workers[0].store.save_section(BUDGET_TERMS_SECTION, book.terms())
    summed: list[object] = []

    def spent_in(*given: Any) -> dict[SpentKey, int]:
        found = spent.spent_in(*given)
        summed.append(found)
        if len(summed) == 1:
            book.spend(2, session="b")
            host.settle()
        return found

    monkeypatch.setattr("kaizen_processors.store.reader.spent", Mock(wraps=spent, spent_in=spent_in))
    with host.reader() as reader:
        for whole in (3, 5):
            spending = reader.spending()
            of = dict.fromkeys(("all", "sessions"), 0) | spending.together
            for one in spending.told_apart:
                of[one.budget] += one.spent_units
            assert of == {"all": whole, "sessions": whole}
    assert len(summed) == 4


def test_finished_periods_are_forgotten_when_three_later_ones_have_begun(tmp_path: Path) -> None:
    host = Host(tmp_path, 1)
    book = book_of(host, host.workers[0], SESSIONS)
    for hour in range(6):
        book.spend(1, session=f"s{hour}")
        host.pass_time(1)
        host.wait(3_599.0)
    host.pass_time(62)
    assert [whose for _, whose, *_ in spent_rows(host)] == ["s3", "s4", "s5"]


def test_who_has_no_room_in_a_process_counts_with_the_others_like_it(tmp_path: Path) -> None:
    host = Host(tmp_path, 2)
    books = [book_of(host, worker, SESSIONS, max_keys=2) for worker in host.workers]
    for number in range(4):
        books[0].spend(10, session=f"a{number}")
        books[1].spend(1, session=f"b{number}")
    host.settle()
    assert standings(host, host.workers[0], books[0]) == (22, 22)
    for book in books:  # what the others' have is known, also beyond the process's own limit
        assert [book.spent_units("sessions", whose) for whose in ("a0", "a1", "b0", "b1")] == [10, 10, 1, 1]
    assert books[0].stats()["over_limit_units"] == 20
    assert books[0].raised() == []


@pytest.mark.parametrize(
    ("was", "changed"),
    [
        (Budget(name="money", limit_usd="1", period="hourly"), Budget(name="money", limit_usd="1")),
        (Budget(name="money", limit_usd="1"), Budget(name="money", limit_usd="1", timezone="Europe/Berlin")),
    ],
)
def test_a_budget_that_counts_otherwise_under_its_name_begins_anew(
    tmp_path: Path, was: Budget, changed: Budget
) -> None:
    host = Host(tmp_path, 2)
    first, second = host.workers
    before = book_of(host, first, was)
    before.spend(5)  # at midnight in UTC: an hour and a day begin
    host.pass_time(2)
    after = book_of(host, second, changed)  # as while a new version is rolled out
    after.spend(11)
    for _ in range(2):
        before.spend(1)
        host.pass_time(2)
        host.wait(3_600.0)
        after.spend(100)
        host.pass_time(2)
    before.spend(1)
    host.pass_time(2)
    assert after.spent_units("money") == 211
    assert before.spent_units("money") == (1 if was.period == "hourly" else 8)


def test_money_of_before_the_store_counts_once_also_when_who_brought_it_in_is_killed(tmp_path: Path) -> None:
    host, path = Host(tmp_path), tmp_path / "alerts.json"
    before = StateFile(path)
    old = BudgetBook([BUDGET], clock=host.clock, state=before)
    old.spend(UNITS_PER_USD * 2 // 5)
    old.save()
    before.close()
    first, second = Judge(host, path), Judge(host, path)
    first.worker.tick()
    second.book.spend(UNITS_PER_USD // 5)
    second.worker.tick()
    first.office.follow()
    first.kill()
    if first.office._state is not None:
        first.office._state.close()  # as the system does
    for _ in range(12):
        host.wait(1.0)
        second.tick()
    assert second.worker.store.leads()
    assert second.book.spent_units("all") == UNITS_PER_USD * 3 // 5
    for judge in (first, second):
        judge.evaluator.close(0.0)
        judge.worker.store.shutdown()


def test_a_sum_that_makes_no_sense_is_put_in_again_by_who_knows_it(tmp_path: Path) -> None:
    host = Host(tmp_path, 2)
    books = [book_of(host, worker, SESSIONS) for worker in host.workers]
    books[0].spend(5, session="s")
    host.settle()
    with closing(sqlite3.connect(host.path, isolation_level=None)) as other:
        other.execute("UPDATE spent SET units = 'five', change = change + 1")
    host.settle()
    books[1].spend(2, session="s")
    host.settle()
    assert {book.spent_units("sessions", "s") for book in books} == {7}
    assert [worker.failures for worker in host.workers] == [{}, {}]


def test_a_session_that_no_file_can_hold_is_counted_all_the_same(tmp_path: Path) -> None:
    host = Host(tmp_path, 2)
    books = [book_of(host, worker, SESSIONS) for worker in host.workers]
    books[0].spend(5, session="half a character: \ud83d")
    host.settle()
    assert books[1].spent_units("sessions", "half a character: ?") == 5
