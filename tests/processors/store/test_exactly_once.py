"""Whatever interrupts a process while it tells its store, nothing counts twice, and nothing is left out."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import threading
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import kaizen_processors
from kaizen_processors.alerts import BudgetBook
from kaizen_processors.alerts.budget import Budget
from kaizen_processors.store.database import Database
from kaizen_processors.windows import Group
from tests.processors.store.host import Host
from tests.processors.store.test_time import host_of
from tests.processors.windows.records import call

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

BUDGET = Budget(name="all", limit_usd="1")

TELLING = tuple(
    str(Path(kaizen_processors.__file__).parent / one)
    for one in (
        "store/exchange.py",
        "store/outbox.py",
        "store/purses.py",
        "store/spent.py",
        "store/database.py",
        "alerts/budgets.py",
        "alerts/budget_alerts.py",
    )
)


def spending_host(tmp_path: Path, workers: int = 2) -> tuple[Host, list[BudgetBook]]:
    host = Host(tmp_path, workers)
    books = []
    for worker in host.workers:
        book = BudgetBook([BUDGET], clock=host.clock)
        book.share()
        worker.store.share_spending(book)
        books.append(book)
    host.settle()
    return host, books


def test_an_interrupt_between_the_commit_and_its_return_counts_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, books = spending_host(tmp_path)
    worker = host.workers[0]
    worker.see(call())
    books[0].spend(5)
    host.wait(10.0)
    write = Database.write

    @contextmanager
    def interrupted(database: Database) -> Iterator[sqlite3.Connection]:
        with write(database) as connection:
            yield connection
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Database, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            worker.tick()
    books[0].spend(7)
    host.settle()
    host.settle()
    for other, book in zip((*host.workers, host.start()), books, strict=False):
        assert other.windows.read().sums.model_calls == 1
        assert book.spent_units("all") == 12
    with host.reader() as reader:
        assert reader.window().sums.model_calls == 1


class InterruptAt:
    """Raises at the n-th line of ours that is run while this is on."""

    def __init__(self, line: int) -> None:
        self.left = line

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> Any:
        if not frame.f_code.co_filename.startswith(TELLING):
            return None
        if event == "line":
            self.left -= 1
            if not self.left:
                sys.settrace(None)
                raise KeyboardInterrupt
        return self


def test_an_interrupt_at_any_line_counts_nothing_twice_and_loses_nothing(tmp_path: Path) -> None:
    host, books = spending_host(tmp_path, 1)
    (worker,) = host.workers
    before, told = sys.gettrace(), 0
    for line in range(1, 1_000):
        worker.see(call())
        books[0].spend(1)
        told += 1
        host.wait(10.0)
        worker.windows.tick()
        at = InterruptAt(line)
        sys.settrace(at)
        try:
            worker.store.beat()
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(before)
        if at.left > 0:
            break
    assert line > 100
    host.settle()
    assert books[0].spent_units("all") == told
    newcomer, book = host.start(), BudgetBook([BUDGET], clock=host.clock)
    book.share()
    newcomer.store.share_spending(book)
    newcomer.tick()
    assert book.spent_units("all") == told
    with host.reader() as reader:
        assert reader.window(Group(), 86_400.0).sums.model_calls == told
    assert worker.windows.read(Group(), 86_400.0).sums.model_calls == told


def test_an_interrupt_of_a_flush_interrupts_nothing_of_what_it_waits_for(tmp_path: Path) -> None:
    host = Host(tmp_path, 1)
    host.settle()
    (worker,) = host.workers
    worker.see(call())
    interrupted, done = threading.Event(), threading.Event()

    def work() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupted.wait(30.0)
        worker.store.flush(final=True)
        done.set()

    with pytest.raises(KeyboardInterrupt):
        worker.store.apart(work, 30.0)
    interrupted.set()
    assert done.wait(30.0)
    with host.reader() as reader:
        assert reader.window().sums.model_calls == 1


@pytest.mark.parametrize("step_s", [3_600.0, -3_600.0])
def test_a_clock_that_is_set_while_rows_wait_moves_none_of_them(tmp_path: Path, step_s: float) -> None:
    host, clock = host_of(tmp_path, 0)
    host.workers = [host.start(busy_s=0.01) for _ in range(2)]
    host.settle()
    with closing(sqlite3.connect(host.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for _ in range(3):
            host.workers[0].see(call())
            host.pass_time(10)
        clock.set_by(step_s)
        host.workers[0].see(call())
        host.pass_time(10)
        other.execute("ROLLBACK")
    host.settle()
    host.workers.append(host.start())
    host.settle()
    assert [one.windows.read(Group(), 300.0).sums.model_calls for one in host.workers] == [4, 4, 4]
    with host.reader() as reader:
        assert reader.window(Group(), 300.0).sums.model_calls == 4


def test_what_was_spent_after_a_telling_that_failed_is_told_at_the_end_too(tmp_path: Path) -> None:
    host = Host(tmp_path, busy_s=0.01)
    worker, book = host.start(), BudgetBook([BUDGET], clock=host.clock)
    book.share()
    worker.store.share_spending(book)
    worker.tick()
    with closing(sqlite3.connect(host.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        book.spend(5)
        worker.tick()
        book.spend(7)
        other.execute("ROLLBACK")
    worker.store.shutdown()
    newcomer, later = host.start(), BudgetBook([BUDGET], clock=host.clock)
    newcomer.store.share_spending(later)
    newcomer.tick()
    assert worker.failures == {"locked": 1}
    assert later.spent_units("all") == 12
