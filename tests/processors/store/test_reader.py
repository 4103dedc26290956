"""A store read by a process that takes no part in it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kaizen_processors.store import StoreError, StoreReader, notes, store_of_pid, stores_of_running
from kaizen_processors.store.header import APPLICATION_ID
from kaizen_processors.windows import Group
from tests.processors.store.host import NS, Host
from tests.processors.windows.records import call, execution

if TYPE_CHECKING:
    from kaizen_processors.store import Worker


def test_it_gives_workers_holder_groups_and_windows(tmp_path: Path) -> None:
    host = Host(tmp_path, 2)
    host.workers[0].see(execution("ann", "m", duration_ms=250))
    host.workers[1].see(call("bob", "n", (7, 3)))
    host.settle()
    with host.reader() as reader:
        workers = reader.workers()
        assert [worker.pid for worker in workers] == [os.getpid()] * 2
        assert all(worker.is_alive(reader.now_ns()) for worker in workers)
        assert reader.holder() == workers[0]
        assert reader.groups() == [Group("ann", "m"), Group("bob", "n")]
        window = reader.window(Group(), 60.0)
        assert (window.sums.executions, window.sums.input_tokens, window.sums.latency.maximum) == (1, 7, 250 * 10**6)
        assert window.observed_s == 10.0
        assert reader.window(Group("ann"), 60.0).sums.model_calls == 0
        assert reader.window(Group(model="n"), 60.0).sums.model_calls == 1
    host.workers[0].store.shutdown()
    host.workers[1].tick()
    with host.reader() as reader:
        first, second = reader.workers()
        assert not first.is_alive(reader.now_ns())
        assert reader.holder() == second


def test_history_lies_end_to_end_and_says_how_fine_it_is(tmp_path: Path) -> None:
    host = Host(tmp_path, 1)
    since_ns = host.clock.time_ns()
    for _ in range(60 * 6):
        host.workers[0].see(call())
        host.wait(60.0)
        host.workers[0].tick()
    host.settle()
    with host.reader() as reader:
        hours = reader.history(since_ns, host.clock.time_ns(), 3_600)
        assert [period.sums.model_calls for period in hours] == [60] * 6 + [0]
        assert [period.start_ns for period in hours] == [since_ns + hour * 3_600 * NS for hour in range(7)]
        assert [period.resolution_s for period in hours] == [300, 300, 300, 300, 60, 60, 0]
        assert reader.history(since_ns, since_ns + 3_600 * NS, 3_600, Group("nobody"))[0].sums.model_calls == 0
        with pytest.raises(ValueError, match="at least a second"):
            reader.history(since_ns, since_ns, 0)
        with pytest.raises(ValueError, match="too many"):
            reader.history(0, since_ns, 1)


def test_a_worker_keeps_something_of_its_own_which_is_folded_when_it_is_gone(tmp_path: Path) -> None:
    host = Host(tmp_path, 3)
    for worker, data in zip(host.workers, (b"1", b"2", b"3"), strict=True):
        worker.store.put_blob("counts", data)
        worker.store.fold_blobs("counts", lambda before, data: str(int(before or b"0") + int(data)).encode())
        worker.tick()
    host.workers[1].store.put_blob("counts", b"20")
    host.pass_time(1)
    with host.reader() as reader:
        assert values(reader.blobs("counts")) == ([b"1", b"20", b"3"], None)
    assert values(host.workers[2].store.blobs("counts")) == ([b"1", b"20", b"3"], None)
    host.workers[1].store.shutdown()
    host.pass_time(61)
    with host.reader() as reader:
        assert values(reader.blobs("counts")) == ([b"1", b"3"], b"20")
    host.workers[2].store.shutdown()
    host.pass_time(61)
    assert values(host.workers[0].store.blobs("counts")) == ([b"1"], b"23")


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    host = Host(tmp_path, 1)
    host.workers[0].see(call())
    host.settle()
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["store.db", "store.db-shm", "store.db-wal"]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def test_a_worker_that_writes_every_second_still_counts_the_others(tmp_path: Path) -> None:
    host = Host(tmp_path, 1)
    host.pass_time(1)
    host.workers.append(host.start())
    for second in range(12):
        for worker in host.workers:
            worker.store.put_blob("kind", str(second).encode())
        host.pass_time(1)
    stats = host.workers[0].store.stats()
    assert (stats["workers"], stats["holder"], stats["rows_waiting"]) == (2, os.getpid(), 0)


def values(found: tuple[list[tuple[Worker, bytes]], bytes | None]) -> tuple[list[bytes], bytes | None]:
    return [data for _, data in found[0]], found[1]


def test_it_changes_nothing_and_refuses_what_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        StoreReader(tmp_path / "none.db")
    (tmp_path / "text.db").write_text("a text of more than a hundred bytes " * 10)
    with pytest.raises(StoreError):
        StoreReader(tmp_path / "text.db")
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE t (x)")
        other.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="something else"):
        StoreReader(tmp_path / "other.db")
    with closing(sqlite3.connect(tmp_path / "newer.db")) as newer:
        newer.execute("PRAGMA user_version = 99")
        newer.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    with pytest.raises(StoreError, match="version 99 of the tables"):
        StoreReader(tmp_path / "newer.db")
    (tmp_path / "empty.db").touch()
    with pytest.raises(StoreError, match="no store in it yet"):
        StoreReader(tmp_path / "empty.db")
    host = Host(tmp_path, 1)
    host.workers[0].see(call())
    host.settle()
    host.workers[0].store.shutdown()
    before = host.path.read_bytes()
    with host.reader() as reader:
        assert reader.window().sums.model_calls == 1
        with pytest.raises(sqlite3.OperationalError):
            reader._connection.execute("DELETE FROM slots")
    assert host.path.read_bytes() == before
    assert {file.name for file in tmp_path.iterdir()} == {"text.db", "other.db", "newer.db", "empty.db", "store.db"}


@pytest.mark.parametrize("ended", [False, True])
def test_it_sees_what_is_written_after_it_opened_a_file_that_nobody_had_open(tmp_path: Path, *, ended: bool) -> None:
    host = Host(tmp_path, 1)
    host.workers[0].see(call())
    host.settle()
    host.workers[0].store.shutdown()
    with host.reader() as reader:
        assert not Path(f"{host.path}-wal").exists()
        rows = reader.rows_since(0)
        next(rows)
        successor = host.start()
        host.workers = [successor]
        successor.see(call())
        host.settle()
        if ended:
            successor.store.shutdown()
        assert reader.window().sums.model_calls == 2
        assert list(rows) == []  # of the state that it began with


def test_one_that_reads_beside_a_writer_leaves_the_files_to_it(tmp_path: Path) -> None:
    host = Host(tmp_path, 1)
    host.settle()
    with host.reader() as reader:
        assert len(reader.workers()) == 1
    assert Path(f"{host.path}-wal").exists()
    host.workers[0].store.shutdown()
    assert [file.name for file in tmp_path.iterdir()] == ["store.db"]


PROGRAM = """
import sys
from pathlib import Path
from kaizen_processors.store import notes
notes.note(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
notes.forget()
print("gone", flush=True)
sys.stdin.readline()
notes.note(Path(sys.argv[1]))
print("again", flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("runtime", [True, False])
def test_the_store_of_a_process_is_found_by_its_pid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: bool
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    if runtime:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    else:
        monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    path = tmp_path / "s.db"
    with subprocess.Popen(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", PROGRAM, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert store_of_pid(process.pid) == path
        assert notes._folder().stat().st_mode & 0o777 == 0o700
        process.stdin.write("\n")
        assert process.stdout.readline() == "gone\n"
        assert store_of_pid(process.pid) is None
        process.stdin.write("\n")
        assert process.stdout.readline() == "again\n"
        notes._folder().chmod(0o777)
        assert store_of_pid(process.pid) is None
        notes._folder().chmod(0o700)
        process.kill()
        process.wait()
        assert store_of_pid(process.pid) is None
        notes.note(path)
        assert store_of_pid(os.getpid()) == path
        assert not (notes._folder() / f"{process.pid}.json").exists()
        assert stores_of_running() == {}  # the file is gone
        path.touch()
        assert stores_of_running() == {path: [os.getpid()]}
        notes.forget()
