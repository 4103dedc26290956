"""A file of the store that breaks, goes away or is of another version: the processes go on, and say so once."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from kaizen_processors.store import schema
from kaizen_processors.store.aside import alone
from kaizen_processors.store.database import Database
from kaizen_processors.store.header import APPLICATION_ID
from kaizen_processors.windows import Group
from tests.processors.store.host import Host
from tests.processors.store.troubles import warnings, wreck
from tests.processors.windows.records import call


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
