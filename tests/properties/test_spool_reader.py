"""Whatever becomes of the bytes on disk: the spool gives back only what was written, and goes on behind it."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import example, given, settings
from hypothesis import strategies as st

from kaizen_processors.export.spool import Spool, SpoolRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Damage = Callable[[bytes], bytes]

RECORDS = st.builds(
    SpoolRecord, st.binary(max_size=200), st.sampled_from(["", "gzip", "zstd"]), st.integers(1, 2**32 - 1)
)
SEGMENTS = st.lists(st.lists(RECORDS, min_size=1, max_size=4), min_size=1, max_size=4)
PLACES = st.floats(0, 1)
"""Where in a file, as a part of its length."""


def cut(place: float) -> Damage:
    """The end was never written."""
    return lambda whole: whole[: int(place * len(whole))]


def overwritten(place: float, garbage: bytes) -> Damage:
    """Another's bytes stand there."""

    def damage(whole: bytes) -> bytes:
        at = int(place * len(whole))
        return whole[:at] + garbage + whole[at + len(garbage) :]

    return damage


def flipped(place: float, bit: int) -> Damage:
    """One bit is another."""

    def damage(whole: bytes) -> bytes:
        at = min(int(place * len(whole)), len(whole) - 1)
        return whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :]

    return damage


def without(place: float, length: int) -> Damage:
    """A piece is missing."""
    return lambda whole: whole[: int(place * len(whole))] + whole[int(place * len(whole)) + length :]


DAMAGES = st.one_of(
    st.builds(cut, PLACES),
    st.builds(overwritten, PLACES, st.binary(min_size=1, max_size=60)),
    st.builds(overwritten, PLACES, st.integers(1, 400).map(bytes)),  # a file system's zeros
    st.builds(flipped, PLACES, st.integers(0, 7)),
    st.builds(without, PLACES, st.integers(1, 60)),
    st.binary(max_size=400).map(lambda whole: lambda _: whole),
)


@contextmanager
def a_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="kaizen-otel-test-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def written(folder: Path, segments: Sequence[Sequence[SpoolRecord]]) -> list[Path]:
    """A segment file for each, in their order."""
    for records in segments:
        writer = Spool(folder, "traces")
        for record in records:
            assert writer.append(*record)
        writer.close()
    return sorted(folder.iterdir())


def read(spool: Spool) -> list[SpoolRecord]:
    found = []
    while (record := spool.next()) is not None:
        found.append(record)
    return found


@given(SEGMENTS)
def test_what_was_written_comes_back_in_its_order(segments: list[list[SpoolRecord]]) -> None:
    with a_folder() as folder:
        written(folder, segments)
        spool = Spool(folder, "traces")
        assert read(spool) == [record for records in segments for record in records]
        assert (spool.errors, spool.torn, spool.corrupt_segments) == (0, 0, 0)
        assert list(folder.iterdir()) == []


@settings(max_examples=300)
@given(SEGMENTS, st.integers(0, 3), DAMAGES)
@example([[SpoolRecord(b"x", "", 1)], [SpoolRecord(b"y", "", 1)]], 0, cut(0.0))
@example([[SpoolRecord(b"", "", 1), SpoolRecord(b"", "", 1)]], 0, overwritten(8 / 34, b"\x05"))  # a length beyond all
def test_damage_costs_what_was_damaged_and_nothing_else(
    segments: list[list[SpoolRecord]], which: int, damage: Damage
) -> None:
    with a_folder() as folder:
        paths = written(folder, segments)
        which %= len(segments)
        whole = paths[which].read_bytes()
        left = damage(whole)
        paths[which].write_bytes(left)

        spool = Spool(folder, "traces")
        found = read(spool)

        before = [record for records in segments[:which] for record in records]
        after = [record for records in segments[which + 1 :] for record in records]
        assert found[: len(before)] == before
        assert found[len(found) - len(after) :] == after
        saved = found[len(before) : len(found) - len(after)]
        assert _in_order(saved, segments[which])
        assert (
            saved[: _untouched(segments[which], whole, left)]
            == segments[which][: _untouched(segments[which], whole, left)]
        )
        assert spool.errors == 0
        assert spool.torn + spool.corrupt_segments <= 1
        if saved != segments[which] and len(left) >= len(whole):
            # Nothing goes missing in silence; a file that ends where a batch ended looks whole.
            assert spool.torn + spool.corrupt_segments == 1
        assert not list(folder.glob("*.seg"))
        assert read(Spool(folder, "traces")) == []


def _in_order(some: Sequence[SpoolRecord], of: Sequence[SpoolRecord]) -> bool:
    """Whether these are some of those, in their order."""
    rest = iter(of)
    return all(any(record == one for one in rest) for record in some)


def _untouched(records: Sequence[SpoolRecord], whole: bytes, left: bytes) -> int:
    """How many of the first records lie before the first byte that is another."""
    same = next((at for at, (a, b) in enumerate(zip(whole, left, strict=False)) if a != b), min(len(whole), len(left)))
    end, count = 8, 0
    for record in records:
        end += 13 + len(record.payload)
        count += end <= same
    return count


@given(st.binary(max_size=600))
def test_any_file_may_lie_in_the_folder(content: bytes) -> None:
    with a_folder() as folder:
        (folder / "traces-0.seg").write_bytes(content)
        (folder / "traces-nothing").write_bytes(content)
        record = SpoolRecord(b"after it", "", 1)
        written(folder, [[record]])
        assert read(Spool(folder, "traces")) == [record]
