"""Another process that comes at the same moment, or holds the store for long."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import textwrap
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from kaizen_processors.store import StoreReader
from tests.processors.store.host import Host
from tests.processors.store.troubles import warnings
from tests.processors.windows.records import call

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.processors.store.host import Worker


def test_processes_that_create_it_at_once_make_one(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    program = """
        import sys
        from pathlib import Path
        from tests.processors.store.host import Host
        from tests.processors.windows.records import call
        host = Host(Path(sys.argv[1]), 1)
        (worker,) = host.workers
        worker.see(call())
        print("ready", flush=True)
        sys.stdin.readline()
        worker.store.shutdown()
        assert not worker.failures, worker.failures
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)]
    pipe = subprocess.PIPE
    started = [
        subprocess.Popen(command, cwd=pytestconfig.rootpath, stdin=pipe, stdout=pipe, stderr=pipe, text=True)  # noqa: S603 - our own
        for _ in range(4)
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in started:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
        assert said == ""
    with StoreReader(tmp_path / "store.db") as reader:
        assert len(reader.workers()) == 4
        began_ns = reader.began_ns()
        assert began_ns is not None
        (hour,) = reader.history(began_ns, began_ns + 1, 3_600)
        assert hour.sums.model_calls == 4


@pytest.fixture
def held(tmp_path: Path) -> Iterator[tuple[Host, sqlite3.Connection]]:
    """A store that somebody holds a long write transaction on."""
    host = Host(tmp_path, 2, busy_s=0.05)
    host.settle()
    with closing(sqlite3.connect(host.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield host, other


def test_a_long_transaction_of_another_process_blocks_no_call(
    held: tuple[Host, sqlite3.Connection], caplog: pytest.LogCaptureFixture
) -> None:
    host, other = held
    worker = host.workers[0]
    counted = threading.Event()

    def work() -> None:
        for _ in range(1_000):
            worker.see(call())
        assert worker.windows.read().sums.model_calls >= 1_000
        counted.set()

    with worker.store._lock:  # as while a beat waits for the other's transaction
        thread = threading.Thread(target=work)
        thread.start()
        assert counted.wait(30.0)
        thread.join()
    host.pass_time(15)
    assert not any(one.store.leads() for one in host.workers)  # nobody could take over: nobody sends
    assert worker.failures["locked"] >= 1
    other.execute("ROLLBACK")
    host.settle()
    assert [one.windows.read().sums.model_calls for one in host.workers] == [1_000, 1_000]
    assert worker.store.leads()
    assert warnings(caplog) == []


def test_after_a_minute_without_its_store_each_judges_for_itself(held: tuple[Host, sqlite3.Connection]) -> None:
    host, other = held
    host.pass_time(75)
    assert all(one.store.leads() for one in host.workers)
    other.execute("ROLLBACK")
    host.pass_time(10)
    assert [one.store.leads() for one in host.workers].count(True) == 1


def leaving(worker: Worker) -> threading.Thread:
    """A thread that ends it, and waits for somebody else."""
    thread = threading.Thread(target=worker.store.shutdown, args=(3_600.0,), daemon=True)
    thread.start()
    for _ in range(3_000):
        if worker.store._database.held_up:
            return thread
        threading.Event().wait(0.01)
    raise AssertionError("it does not wait")


def test_who_leaves_while_another_process_holds_the_store_is_told_later_or_at_the_end_not_at_all(
    held: tuple[Host, sqlite3.Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    host, other = held
    first, second = host.workers
    threads = []
    for worker in host.workers:
        worker.see(call())
        threads.append(leaving(worker))
    monkeypatch.setattr("kaizen_processors.store.store._CLOSE_WAIT_S", 0.05)
    assert not first.store.shutdown()  # as at the end of the process: it does not wait for an hour
    threads[0].join(30.0)
    assert not threads[0].is_alive()
    assert (first.failures, first.store.stats()["rows_waiting"]) == ({"locked": 1}, 1)
    other.execute("ROLLBACK")
    threads[1].join(30.0)
    assert not threads[1].is_alive()
    assert second.store.shutdown()
    with host.reader() as reader:
        assert reader.window().sums.model_calls == 1
        assert [one.ended_ns is None for one in reader.workers()] == [True, False]


def test_where_no_thread_can_be_started_any_more_the_end_is_short_all_the_same(
    held: tuple[Host, sqlite3.Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = held[0].workers[0].store
    held[0].workers[0].see(call())
    start = threading.Thread.start

    def refused(thread: threading.Thread) -> None:
        if thread.name == "kaizen-otel-store":
            raise RuntimeError("can't create new thread at interpreter shutdown")
        start(thread)

    monkeypatch.setattr("kaizen_processors.store.store._CLOSE_WAIT_S", 0.05)
    monkeypatch.setattr(threading.Thread, "start", refused)
    ending = threading.Thread(target=store.apart, args=(lambda: store.shutdown(3_600.0), 30.0), daemon=True)
    ending.start()
    ending.join(30.0)
    assert not ending.is_alive()
    assert store.stats()["rows_waiting"] == 1
