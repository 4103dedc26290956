"""What a disk, another process or another version can do to a store: the process goes on, and says so once."""

from __future__ import annotations

import logging
import sqlite3
import subprocess
import sys
import textwrap
import threading
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from kaizen_processors.store import StoreReader, schema
from kaizen_processors.store.aside import alone
from kaizen_processors.store.database import Database
from kaizen_processors.store.header import APPLICATION_ID
from kaizen_processors.windows import Group
from tests.processors.store.host import Host
from tests.processors.windows.records import call

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.processors.store.host import Worker


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def wreck(path: Path) -> None:
    """Overwrite what is in the middle of it, and its log."""
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * (path.stat().st_size - 100))
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


@pytest.mark.parametrize("what", ["zeros", "torn", "cut off", "tables"])
def test_a_corrupt_file_is_set_aside_once_and_all_go_on_in_a_new_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    before = Host(tmp_path, 1)
    before.workers[0].see(call())
    before.settle()
    before.workers[0].store.shutdown()
    if what == "zeros":
        before.path.write_bytes(bytes(3 << 20))
    elif what == "cut off":
        before.path.write_bytes(before.path.read_bytes()[:5_000])
    elif what == "torn":
        wreck(before.path)
    else:
        with closing(sqlite3.connect(before.path)) as connection:
            connection.execute("DROP TABLE slots")
    broken = before.path.read_bytes()

    host = Host(tmp_path, 3)
    host.settle()
    for worker in host.workers:
        worker.see(call())
    host.settle()
    for worker in host.workers:
        assert worker.windows.read().sums.model_calls == 3
        assert worker.store.stats()["open"]
    assert sum(worker.store.stats()["set_aside"] for worker in host.workers) == 1
    assert sum(worker.failures.get("corrupt", 0) for worker in host.workers) >= 1
    (told,) = warnings(caplog)
    assert "it is kept as store.db.corrupt" in told
    kept = Path(f"{host.path}.corrupt").read_bytes()
    assert kept == broken or what == "tables"  # into that one the first process wrote that it came


def test_a_file_that_breaks_under_running_processes_loses_no_sum_that_they_know(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    host = Host(tmp_path, 2)
    for worker in host.workers:
        worker.see(call())
    host.settle()
    for worker in host.workers:
        worker.store._database.close()  # what SQLite has in its cache would be sound still
    wreck(host.path)
    for worker in host.workers:
        worker.see(call())
    host.settle()
    host.settle()
    assert [worker.windows.read().sums.model_calls for worker in host.workers] == [4, 4]
    assert len(warnings(caplog)) == 1


def test_a_file_that_was_deleted_is_begun_anew(tmp_path: Path) -> None:
    host = Host(tmp_path, 2)
    host.settle()
    for suffix in ("", "-wal", "-shm"):
        Path(f"{host.path}{suffix}").unlink(missing_ok=True)
    for worker in host.workers:
        worker.see(call())
    host.settle()
    assert [worker.windows.read().sums.model_calls for worker in host.workers] == [2, 2]
    assert [worker.failures for worker in host.workers] == [{}, {}]
    with host.reader() as reader:
        assert reader.window().sums.model_calls == 2


@pytest.mark.parametrize("way", ["a file is in the way of the folder", "the file is a folder"])
def test_a_place_that_cannot_be_used_costs_one_warning_and_is_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    folder = tmp_path / "folder"
    host = Host(folder, 1)
    obstacle = folder if way.startswith("a file") else host.path
    if obstacle is folder:
        folder.write_text("in the way")
    else:
        obstacle.mkdir(parents=True)
    (worker,) = host.workers
    for _ in range(7):
        worker.see(call())
        host.pass_time(10)
    assert worker.windows.read().sums.model_calls == 7
    assert worker.store.leads()  # alone, as without a store
    stats = worker.store.stats()
    assert not stats["open"]
    assert stats["rows_waiting"] > 0
    (told,) = warnings(caplog)
    assert "going on without it" in told
    assert sum(worker.failures.values()) > 1
    (obstacle.unlink if obstacle is folder else obstacle.rmdir)()
    host.pass_time(12)
    assert worker.store.stats()["open"]
    with host.reader() as reader:
        assert reader.window(Group(), 300.0).sums.model_calls >= 6
    assert len(warnings(caplog)) == 1


READ_ONLY = """
    import os, sys
    from pathlib import Path
    from tests.processors.store.host import Host
    from tests.processors.windows.records import call
    first = Host(Path(sys.argv[2]), 1)  # everything is imported
    first.settle()
    first.workers[0].store.shutdown()
    if os.getuid() == 0:  # whom no permission stops
        os.setuid(65534)
    host = Host(Path(sys.argv[1]), 1)
    (worker,) = host.workers
    worker.see(call())
    host.pass_time(25)
    worker.store.shutdown()
    assert worker.windows.read().sums.model_calls == 1
    print(dict(worker.failures), worker.store.stats()["rows_waiting"])
"""


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A folder that every user reaches: any other session of pytest that begins closes pytest's own to all but its owner."""
    with TemporaryDirectory() as made:
        folder = Path(made)
        folder.chmod(0o755)
        yield folder
        folder.chmod(0o755)


@pytest.mark.parametrize("there", [True, False])
def test_without_permission_a_process_goes_on(
    open_to_all: Path, tmp_path: Path, pytestconfig: pytest.Config, there: bool
) -> None:
    if there:
        host = Host(open_to_all, 1)
        host.settle()
        host.workers[0].store.shutdown()
        host.path.chmod(0o444)
    open_to_all.chmod(0o555)
    ran = run(READ_ONLY, pytestconfig, str(open_to_all), str(tmp_path))
    assert ran.stdout == ("{'read_only': 4} 1\n" if there else "{'permission': 4} 1\n")
    assert ran.stderr.count("going on without it") == 1


FULL = """
    import resource, signal, sys
    from pathlib import Path
    from tests.processors.store.host import Host
    from tests.processors.windows.records import call
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    host = Host(Path(sys.argv[1]), 1)
    (worker,) = host.workers
    host.settle()
    limit = 200_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    for number in range(400):
        for agent in range(10):
            worker.see(call(f"agent {number} {agent}"))
        host.pass_time(10)
    assert worker.windows.read().sums.model_calls > 0
    assert worker.failures, "the disk was not full"
    waiting = worker.store.stats()["rows_waiting"]
    assert waiting > 0, worker.store.stats()
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    host.pass_time(30)
    assert worker.store.stats()["rows_waiting"] == 0
    with host.reader() as reader:
        assert reader.window(window_s=86_400.0).sums.model_calls == 4_000
    print(sorted(worker.failures))
    worker.store.shutdown()
"""


def test_a_full_disk_loses_nothing_when_there_is_room_again(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    ran = run(FULL, pytestconfig, str(tmp_path))
    assert ran.stdout in {"['full']\n", "['io_error']\n", "['full', 'io_error']\n"}
    assert ran.stderr.count("going on without it") in {1, 2}  # once for each reason


def run(program: str, pytestconfig: pytest.Config, *given: str) -> subprocess.CompletedProcess[str]:
    ran = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", textwrap.dedent(program), *given],
        cwd=pytestconfig.rootpath,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran


def test_a_newer_file_is_not_touched(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    host = Host(tmp_path, 1)
    with closing(sqlite3.connect(host.path)) as newer:
        newer.execute("CREATE TABLE of_tomorrow (x)")
        newer.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        newer.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    before = host.path.read_bytes()
    host.workers[0].see(call())
    host.pass_time(120)
    assert host.path.read_bytes() == before
    assert set(host.workers[0].failures) == {"newer_version"}
    assert host.workers[0].store.leads()
    (told,) = warnings(caplog)
    assert "update it, or give another path" in told


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


def test_every_broken_file_is_kept_under_its_own_name_up_to_five(tmp_path: Path) -> None:
    host = Host(tmp_path, 1)
    kept = []
    for _ in range(7):
        host.settle()
        host.workers[0].store._database.close()
        wreck(host.path)
        kept.append(host.path.read_bytes())
        host.workers[0].see(call())
    host.settle()
    names = [f"store.db.corrupt.{number}" for number in range(3, 8)]
    assert sorted(file.name for file in tmp_path.glob("*.corrupt*")) == names
    assert [(tmp_path / name).read_bytes() for name in names] == kept[2:]
    assert not list(tmp_path.glob("*.lock"))


def test_the_lock_is_for_its_owner_alone_and_gone_afterwards(tmp_path: Path) -> None:
    lock = tmp_path / "store.db.lock"
    with alone(tmp_path / "store.db"):
        assert lock.stat().st_mode & 0o777 == 0o600
    assert not lock.exists()


def test_what_the_user_keeps_under_such_a_name_stays(tmp_path: Path) -> None:
    host = Host(tmp_path, 1)
    (tmp_path / "store.db.corrupt").write_text("mine")
    (tmp_path / "store.db.lock").write_text("mine")
    for _ in range(6):
        host.settle()
        host.workers[0].store._database.close()
        wreck(host.path)
        host.workers[0].see(call())
    host.settle()
    assert (tmp_path / "store.db.corrupt").read_text() == "mine"
    assert (tmp_path / "store.db.lock").read_text() == "mine"


def test_an_older_file_is_brought_up_to_date_with_what_is_in_it(tmp_path: Path) -> None:
    host = Host(tmp_path, 1)
    host.workers[0].see(call())
    host.settle()
    host.workers[0].store.shutdown()
    with closing(sqlite3.connect(host.path)) as older:  # as the first version left it
        for table in ("leases", "sections", "spent", "blobs", "alerts", "unreadable"):
            older.execute(f"DROP TABLE {table}")
        for column in ("told_serial", "told_spending"):
            older.execute(f"ALTER TABLE workers DROP COLUMN {column}")
        older.execute("DELETE FROM marks WHERE name = 'spent_bytes'")
        older.execute("PRAGMA user_version = 1")
        older.commit()
    successor = host.start()
    host.workers = [successor]
    host.settle()
    assert successor.failures == {}
    assert successor.windows.read().sums.model_calls == 1
    assert successor.store.lease.holds()


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


def test_rows_that_make_no_sense_are_left_out(tmp_path: Path) -> None:
    host = Host(tmp_path, 1)
    host.workers[0].see(call())
    host.settle()
    with closing(sqlite3.connect(host.path, isolation_level=None)) as connection:
        connection.execute(
            "INSERT INTO slots SELECT NULL, step, number, 99, name, 'x', 0,0,0,0,0,0,0,0,0, x'00' FROM slots"
        )
    newcomer = host.start()
    newcomer.tick()
    assert newcomer.windows.read(Group(), 3_600.0).sums.model_calls == 1
    assert newcomer.failures == {}


def test_looking_for_a_broken_file_that_another_process_moved_makes_none(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    assert Database(path).set_aside() is None
    assert not path.exists()  # SQLite would make one that everybody can read
