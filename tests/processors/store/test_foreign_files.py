"""A file that is another application's is not touched."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.processors.store.host import Host
from tests.processors.store.troubles import warnings, wreck
from tests.processors.windows.records import call

if TYPE_CHECKING:
    from pathlib import Path


def other_database(path: Path, *settings: str) -> None:
    """Another application's SQLite."""
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE accounts (x)")
        other.execute("INSERT INTO accounts VALUES (1)")
        for setting in settings:
            other.execute(f"PRAGMA {setting}")
        other.commit()


def make_foreign(path: Path, what: str) -> None:
    if what == "a text":
        path.write_text("service_name: desk\n" * 1_000)
    elif what == "a short text":
        path.write_text("a: 1")
    elif what == "zeros and a byte":
        path.write_bytes(bytes(3 << 20) + b"x")
    elif what == "a broken database":
        other_database(path)
        wreck(path)
    else:
        other_database(path, *(["user_version = 2"] if what == "a versioned database" else []))


FOREIGN = ["a database", "a versioned database", "a broken database", "a text", "a short text", "zeros and a byte"]


@pytest.mark.parametrize("what", FOREIGN)
def test_a_file_of_something_else_is_not_touched(tmp_path: Path, caplog: pytest.LogCaptureFixture, what: str) -> None:
    host = Host(tmp_path, 2)
    make_foreign(host.path, what)
    before = host.path.read_bytes()
    for worker in host.workers:
        worker.see(call())
    host.pass_time(59)
    assert not any(worker.store.leads() for worker in host.workers)  # not all at once
    host.pass_time(2)
    for worker in host.workers:
        assert set(worker.failures) == {"not_ours"}
        assert worker.windows.read().sums.model_calls == 1
        assert worker.store.leads()
        worker.store.shutdown()
    assert host.path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [host.path.name]
    told = warnings(caplog)
    assert len(told) == 2  # one for each process
    assert all("going on without it" in one for one in told)


def test_a_database_that_another_application_writes_to_is_left_to_it(tmp_path: Path) -> None:
    host = Host(tmp_path, 1)
    with closing(sqlite3.connect(host.path, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("CREATE TABLE accounts (x)")  # in its log, not in the file yet
        beside = {file.name: file.read_bytes() for file in tmp_path.iterdir() if not file.name.endswith("-shm")}
        host.pass_time(15)
        assert set(host.workers[0].failures) == {"not_ours"}
        assert {file.name: file.read_bytes() for file in tmp_path.iterdir() if not file.name.endswith("-shm")} == beside


def test_a_file_of_the_users_that_comes_later_is_not_set_aside(tmp_path: Path) -> None:
    host = Host(tmp_path, 1)
    host.settle()
    (worker,) = host.workers
    worker.store._database.close()
    host.path.write_text("notes " * 1_000)
    host.pass_time(25)
    assert host.path.read_text() == "notes " * 1_000
    assert set(worker.failures) == {"not_ours"}
