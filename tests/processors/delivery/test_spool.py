"""What the spool promises: nothing it said yes to is lost, and nothing in its folder can stop it."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from kaizen_processors.export.spool import Spool
from tests.processors.delivery.backend import HANG, Backend, Reply, unused_url
from tests.processors.delivery.support import balanced, names, queue_to, sender_to, span

if TYPE_CHECKING:
    from pathlib import Path


def payloads(spool: Spool) -> list[bytes]:
    found = []
    while (record := spool.next()) is not None:
        found.append(record.payload)
    return found


def segments(folder: Path, suffix: str = ".seg") -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix == suffix)


def written(folder: Path, *batches: bytes) -> Path:
    spool = Spool(folder, "traces")
    for batch in batches:
        assert spool.append(batch, "gzip", 3)
    spool.close()
    return segments(folder)[-1]


def test_batches_come_back_in_order_and_then_are_gone(tmp_path: Path) -> None:
    written(tmp_path / "spool", b"one", b"two")
    spool = Spool(tmp_path / "spool", "traces")
    first = spool.next()
    assert first is not None
    assert (first.payload, first.encoding, first.items) == (b"one", "gzip", 3)
    assert payloads(spool) == [b"two"]
    assert segments(tmp_path / "spool") == []


def test_only_the_owner_may_read(tmp_path: Path) -> None:
    segment = written(tmp_path / "spool", b"one")
    assert stat.S_IMODE(segment.stat().st_mode) == 0o600
    assert stat.S_IMODE(segment.parent.stat().st_mode) == 0o700


def test_a_process_that_ends_in_the_middle_leaves_the_segment_whole(tmp_path: Path) -> None:
    written(tmp_path, b"one", b"two")
    first = Spool(tmp_path, "traces")
    assert first.next() is not None
    first.close()
    assert payloads(Spool(tmp_path, "traces")) == [b"one", b"two"]


def test_signals_share_a_folder_without_mixing(tmp_path: Path) -> None:
    written(tmp_path, b"a span")
    assert payloads(Spool(tmp_path, "logs")) == []
    assert payloads(Spool(tmp_path, "traces")) == [b"a span"]


@pytest.mark.parametrize("cut", [1, 5, 12, 17])
def test_a_torn_tail_costs_only_the_torn_batch(tmp_path: Path, cut: int) -> None:
    segment = written(tmp_path, b"one", b"twotwo")
    os.truncate(segment, segment.stat().st_size - cut)
    spool = Spool(tmp_path, "traces")
    assert payloads(spool) == [b"one"]
    assert (spool.torn, spool.corrupt_segments) == (1, 0)
    assert segments(tmp_path) == []


def test_a_corrupt_segment_is_set_aside_and_the_next_one_replayed(tmp_path: Path) -> None:
    segment = written(tmp_path, b"one", b"two")
    whole = segment.read_bytes()
    segment.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    written(tmp_path, b"three")
    spool = Spool(tmp_path, "traces")
    assert payloads(spool) == [b"one", b"three"]
    assert spool.corrupt_segments == 1
    assert [path.stem for path in segments(tmp_path, ".bad")] == [segment.stem]


@pytest.mark.parametrize("content", [b"", b"KZS", b"not a segment at all", b"KZSPOOL1" + b"\0" * 100])
def test_a_file_that_is_no_segment_stops_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "traces-0.seg").write_bytes(content)
    written(tmp_path, b"one")
    assert payloads(Spool(tmp_path, "traces")) == [b"one"]


def test_a_full_folder_takes_nothing_more_and_keeps_what_it_has(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "traces", max_bytes=200)
    assert spool.append(b"x" * 100, "", 1)
    assert not spool.append(b"y" * 100, "", 1)
    assert spool.refused == 1
    assert payloads(spool) == [b"x" * 100]
    assert spool.append(b"z" * 100, "", 1)


def test_old_segments_are_deleted_and_counted(tmp_path: Path) -> None:
    segment = written(tmp_path, b"old")
    old_s = time.time() - 100
    os.utime(segment, (old_s, old_s))
    written(tmp_path, b"new")
    spool = Spool(tmp_path, "traces", max_age_s=50)
    assert payloads(spool) == [b"new"]
    assert spool.expired_segments == 1


def test_items_that_are_too_old_for_the_spool_are_in_the_accounts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    segment = written(tmp_path, b"old", b"old, too")
    old_s = time.time() - 100
    os.utime(segment, (old_s, old_s))
    with Backend() as backend, queue_to(backend.url, spool=Spool(tmp_path, "traces", max_age_s=50)) as queue:
        told: list[str] = []
        queue.tell_first_drops(told.append)
        queue.put(span(0))
        assert queue.force_flush(10)
        deadline_s = time.monotonic() + 10
        while not queue.counts().replay_dropped:
            assert time.monotonic() < deadline_s
        assert queue.counts().replay_dropped == {"expired": 6}
        assert told == ["expired"]
    assert "too old and deleted, with 6 items" in caplog.text


def test_what_was_set_aside_does_not_take_the_room_for_ever(tmp_path: Path) -> None:
    damaged = tmp_path / "traces-1.bad"
    damaged.write_bytes(b"x" * 1_000)
    spool = Spool(tmp_path, "traces", max_bytes=1_000, max_age_s=50)
    assert not spool.append(b"new", "", 1)
    assert payloads(spool) == []
    assert damaged.exists()
    old_s = time.time() - 100
    os.utime(damaged, (old_s, old_s))
    assert payloads(spool) == []
    assert spool.append(b"new", "", 1)


def test_a_segment_that_another_process_writes_is_left_alone(tmp_path: Path) -> None:
    writer, reader = Spool(tmp_path, "traces"), Spool(tmp_path, "traces")
    writer.append(b"one", "", 1)
    assert payloads(reader) == []
    assert payloads(writer) == [b"one"]


def test_a_claimed_segment_is_replayed_by_nobody_else(tmp_path: Path) -> None:
    written(tmp_path, b"one", b"two")
    first, second = Spool(tmp_path, "traces"), Spool(tmp_path, "traces")
    assert first.next() is not None
    assert payloads(second) == []
    first.release()
    assert payloads(second) == [b"one", b"two"]


def test_a_failed_write_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path, "traces")
    assert spool.append(b"one", "", 1)
    real = os.write

    def half_then_full(descriptor: int, data: bytes) -> int:
        if len(data) > 20:
            return real(descriptor, bytes(data)[:20])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(os, "write", half_then_full)
        assert not spool.append(b"x" * 100, "", 1)
    assert spool.append(b"two", "", 1)
    assert spool.errors == 1
    assert payloads(spool) == [b"one", b"two"]


def test_an_unusable_folder_is_survived_and_nothing_is_lost_in_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    spool = Spool(tmp_path / "file" / "spool", "traces")
    with Backend(Reply(503)) as backend, queue_to(backend.url, spool=spool) as queue:
        queue.put(span(0))
        assert queue.force_flush(20)
        assert backend.taken == ["s0"]
        assert queue.counts().exported == 1
    assert spool.errors >= 1


def test_what_cannot_be_delivered_is_spooled_and_a_flush_may_say_so(tmp_path: Path) -> None:
    with queue_to(unused_url(), spool=Spool(tmp_path, "traces")) as queue:
        for number in range(1_000):
            queue.put(span(number))
        assert queue.force_flush(20)
        counts = queue.counts()
        assert (counts.exported, counts.spooled, counts.pending) == (0, 1_000, 0)
    with Backend() as backend, queue_to(backend.url, spool=Spool(tmp_path, "traces")) as queue:
        queue.start()
        assert backend.wait_for_items(1_000)
        assert backend.taken == names(0, 1_000)
        deadline_s = time.monotonic() + 10
        while segments(tmp_path):
            assert time.monotonic() < deadline_s


def test_an_outage_goes_through_the_spool_and_back_without_a_restart(tmp_path: Path) -> None:
    with Backend(Reply(503), Reply(503)) as backend, queue_to(backend.url, spool=Spool(tmp_path, "traces")) as queue:
        for number in range(100):
            queue.put(span(number))
        assert queue.force_flush(20)
        assert backend.wait_for_items(100)
        deadline_s = time.monotonic() + 10
        while queue.counts().replayed < 100:
            assert time.monotonic() < deadline_s
        assert queue.counts().spooled == 100
        assert balanced(queue)


def test_shutdown_spools_what_a_hanging_backend_does_not_take(tmp_path: Path) -> None:
    with Backend(default=Reply(HANG)) as backend, queue_to(backend.url, spool=Spool(tmp_path, "traces")) as queue:
        for number in range(1_000):
            queue.put(span(number))
        assert queue.shutdown(1.0)
        counts = queue.counts()
        assert (counts.spooled, counts.pending, counts.dropped) == (1_000, 0, {})
    with Backend() as backend, queue_to(backend.url, spool=Spool(tmp_path, "traces")) as queue:
        queue.start()
        assert backend.wait_for_items(1_000)
        assert sorted(backend.taken) == sorted(names(0, 1_000))


KILLED = """
import sys, time
from kaizen_processors.export.spool import Spool
from tests.processors.delivery.support import queue_to, span
with queue_to(sys.argv[1], spool=Spool(sys.argv[2], "traces")) as queue:
    for number in range(500):
        queue.put(span(number))
    assert queue.force_flush(20)
    print(queue.counts().spooled, flush=True)
    sys.stdin.read()
"""


def test_what_was_spooled_survives_a_kill(tmp_path: Path) -> None:
    with subprocess.Popen(  # noqa: S603 - our own interpreter and text
        [sys.executable, "-c", KILLED, unused_url(), str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"500\n"
        process.send_signal(signal.SIGKILL)
    with Backend() as backend, queue_to(sender_to(backend.url), spool=Spool(tmp_path, "traces")) as queue:
        queue.start()
        assert backend.wait_for_items(500)
        assert backend.taken == names(0, 500)
