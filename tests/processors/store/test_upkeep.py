"""A store stays small: older rows become coarser, the oldest go, and no sum changes while they are there."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from kaizen_processors.store import upkeep
from kaizen_processors.window_sums import WindowSums
from kaizen_processors.windows import Group
from tests.processors.store.host import NS, Host
from tests.processors.windows.records import call, execution

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from kaizen_processors.store.database import Database

DAY_S = 86_400


def steps_of(host: Host) -> dict[int, int]:
    with closing(sqlite3.connect(host.path)) as connection:
        return dict(connection.execute("SELECT step, count(*) FROM slots GROUP BY step ORDER BY step"))


def work(host: Host, seconds: int, every_s: int) -> WindowSums:
    """All workers work, now and then; the sums of it."""
    sums = WindowSums()
    for at in range(seconds // every_s):
        for worker in host.workers:
            record, spent = execution("ann", duration_ms=1 + at % 977), call("ann")
            worker.see(record)
            worker.see(spent)
            sums.add_execution(record)
            sums.add_call(spent)
        host.wait(every_s)
        for worker in host.workers:
            worker.tick()
    return sums


def test_rows_become_coarser_with_age_and_the_sums_stay_exact(tmp_path: Path) -> None:
    host = Host(tmp_path, 2)
    sums = work(host, 3 * DAY_S, 900)
    host.settle()
    steps = steps_of(host)
    assert set(steps) >= {6, 30, 360}
    assert 22 <= steps[360] <= 26
    assert steps[30] <= 2 * 96 + 8
    assert steps.get(1, 0) <= 4
    with host.reader() as reader:
        assert reader.window(Group(), 4 * DAY_S).sums == sums
        assert reader.window(Group("ann", "m"), 4 * DAY_S).sums == sums
    assert host.workers[1].windows.read(Group(), 3_600.0).sums.success == 2 * 4


def test_what_is_older_than_the_retention_goes(tmp_path: Path) -> None:
    host = Host(tmp_path, 1, retention_s=2.0 * 3_600)
    work(host, 5 * 3_600, 60)
    host.pass_time(62)
    with host.reader() as reader:
        began_ns = reader.began_ns()
        assert began_ns is not None
        assert 7_000 <= (host.clock.time_ns() - began_ns) / NS <= 7_200 + 360
        host.wait(3 * 3_600)
        host.pass_time(62)
        assert reader.groups(30 * DAY_S) == []
        assert reader.window(Group(), 30 * DAY_S).sums.success == 0


def test_workers_that_left_long_ago_and_names_of_nothing_are_forgotten(tmp_path: Path) -> None:
    host = Host(tmp_path, 2, retention_s=3_600.0)
    gone, stays = host.workers
    for worker in host.workers:
        worker.see(call("short-lived"))
    host.settle()
    gone.store.shutdown()
    host.workers = [stays]
    host.wait(2 * 3_600)
    host.pass_time(62)
    with closing(sqlite3.connect(host.path)) as connection:
        assert connection.execute("SELECT count(*) FROM workers").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM names").fetchone() == (0,)
    stays.see(call("short-lived"))  # whose number it knew
    host.settle()
    with host.reader() as reader:
        assert reader.groups() == [Group("short-lived", "m")]


def test_beyond_its_bound_the_finest_and_oldest_go_first(tmp_path: Path) -> None:
    host = Host(tmp_path, 1, max_bytes=300_000)
    (worker,) = host.workers
    for number in range(1_500):
        for agent in range(5):
            worker.see(call(f"agent {agent} {number % 97}"))
        host.wait(20)
        worker.tick()
    host.pass_time(62)
    worker.store.shutdown()
    assert host.path.stat().st_size < 2 * 300_000
    with host.reader() as reader:
        assert reader.window(Group(), 600.0).sums.model_calls >= 5 * 25  # what is young is there
        began_ns = reader.began_ns()
        assert began_ns is not None
        assert host.clock.time_ns() - began_ns < 1_500 * 20 * NS
    assert worker.store.stats()["rows_lost_to_bound"] > 0
    assert worker.windows.read(Group(), 86_400.0).sums.model_calls == 7_500  # the process has its own


def add_up(before: bytes | None, data: bytes) -> bytes:
    return str(int(before or b"0") + int(data)).encode()


def unreadable(host: Host) -> list[tuple[str, bytes]]:
    with closing(sqlite3.connect(host.path)) as connection:
        return connection.execute("SELECT source, data FROM unreadable ORDER BY id").fetchall()


def one_that_stays(folder: Path, add: Callable[[bytes | None, bytes], bytes], *values: bytes) -> Host:
    """A host whose workers have each put a value, and left but for the last one, which has folded them since."""
    host = Host(folder, len(values))
    for worker, data in zip(host.workers, values, strict=True):
        worker.store.fold_blobs("sums", add)
        worker.store.put_blob("sums", data)
    host.settle()
    *gone, stays = host.workers
    for worker in gone:
        worker.store.shutdown()
    host.workers = [stays]
    host.pass_time(130)
    return host


def test_a_value_that_cannot_be_folded_costs_itself_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    host = one_that_stays(tmp_path, add_up, b"5", b"none", b"7", b"0x", b"1")
    (stays,) = host.workers
    with host.reader() as reader:
        living, folded = reader.blobs("sums")
    assert ([data for _, data in living], folded) == ([b"1"], b"12")
    assert unreadable(host) == [("blobs/sums", b"none"), ("blobs/sums", b"0x")]
    assert stays.store.stats()["unreadable"] == 2
    assert stays.failures == {}
    with closing(sqlite3.connect(host.path, isolation_level=None)) as connection:
        connection.execute("UPDATE blobs SET data = x'ff' WHERE worker = 0")
    host.workers.append(host.start())
    host.workers[1].store.put_blob("sums", b"2")
    host.settle()
    host.workers.pop().store.shutdown()
    host.pass_time(62)
    with host.reader() as reader:
        assert reader.blobs("sums")[1] == b"2"
    assert unreadable(host)[-1] == ("blobs/sums", b"\xff")
    told = [record.getMessage() for record in caplog.records]
    assert told == [f"something in the store {host.path} makes no sense; it is kept in its table `unreadable`"]


def test_a_value_that_does_not_fit_what_was_folded_costs_itself_alone(tmp_path: Path) -> None:
    def add_alike(before: bytes | None, data: bytes) -> bytes:
        if before is not None and before[:1] != data[:1]:
            raise ValueError("other units")
        return (before or b"") + data

    host = one_that_stays(tmp_path, add_alike, b"a1", b"a2", b"b3", b"a4")
    with host.reader() as reader:
        assert reader.blobs("sums")[1] == b"a1a2"
    assert unreadable(host) == [("blobs/sums", b"b3")]


def add_a_row_that_makes_no_sense(host: Host) -> None:
    host.workers[0].see(call("ann"))
    host.settle()
    with closing(sqlite3.connect(host.path, isolation_level=None)) as connection:
        connection.execute(
            "INSERT INTO slots SELECT NULL, step, number, 99, name, 'x', 0,0,0,0,0,0,0,0,0, x'00' FROM slots"
        )


def test_a_row_that_makes_no_sense_costs_itself_alone_and_is_kept(tmp_path: Path) -> None:
    host = Host(tmp_path, 1)
    (worker,) = host.workers
    add_a_row_that_makes_no_sense(host)
    host.pass_time(700)
    with host.reader() as reader:
        assert reader.window(Group(), 3_600.0).sums.model_calls == 1
    ((source, data),) = unreadable(host)
    assert source == "slots"
    assert b"'x'" in data
    assert worker.store.stats()["unreadable"] == 1
    assert worker.failures == {}


def test_a_row_that_makes_no_sense_is_not_one_that_the_bound_has_cost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host(tmp_path, 1)
    add_a_row_that_makes_no_sense(host)
    host.pass_time(1)
    host.wait(500.0)  # rolled up in a hurry, and only so
    trim, bounds = upkeep.trim, [1]  # everything goes, for once

    def trim_all(database: Database, now_slot: int, read_row: int, max_bytes: int) -> upkeep.Trimmed:
        return trim(database, now_slot, read_row, bounds.pop() if bounds else max_bytes)

    monkeypatch.setattr(upkeep, "trim", trim_all)
    host.pass_time(1)
    stats = host.workers[0].store.stats()
    assert (stats["rows_lost_to_bound"], stats["unreadable"], len(unreadable(host))) == (1, 1, 1)


def test_room_that_is_not_needed_is_given_back_to_the_disk(tmp_path: Path) -> None:
    host = Host(tmp_path, 1, retention_s=3_600.0)
    for number in range(4_000):
        host.workers[0].see(call(f"agent {number}"))
    host.settle()
    host.wait(2 * 3_600)
    host.pass_time(130)
    with closing(sqlite3.connect(host.path)) as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    assert free < pages / 2
