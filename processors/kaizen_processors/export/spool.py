"""Batches on disk, for a backend that is away: append-only segments with a checksum for each batch.

One folder may serve several processes. Each writes segments of its own, holding `flock` on the open one; the kernel
lets go of that when the process ends, however it ends, and then any process may claim the segment and replay it.
Spooled is what `write` has taken: it survives `kill -9`, and with `fsync` a power cut.
"""

from __future__ import annotations

import contextlib
import os
import struct
import threading
import time
import uuid
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from kaizen_processors.export.batch import GZIP, PLAIN, ZSTD
from kaizen_processors.forking import begin_anew_in_children
from kaizen_processors.saying import say

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kaizen_processors.export.batch import Signal

_MAGIC: Final = b"KZSPOOL1"
_FRAME: Final = struct.Struct(">IIIB")
"""Length of the payload, CRC-32 of what follows it (items, encoding, payload), items, encoding."""
_TAIL: Final = struct.Struct(">IB")
_ENCODINGS: Final = (PLAIN, GZIP, ZSTD)
_MAX_PAYLOAD: Final = 64 * 1024 * 1024
_SUFFIX: Final = ".seg"
_BAD: Final = ".bad"
_MIB: Final = 1024 * 1024


class SpoolRecord(NamedTuple):
    """One batch read back."""

    payload: bytes
    encoding: str
    items: int


class _Claim:
    """A segment that this process replays, locked."""

    def __init__(self, path: Path, descriptor: int, frames: Iterator[SpoolRecord]) -> None:
        self.path = path
        self.descriptor = descriptor
        self.frames = frames


class Spool:
    """A bounded folder of batches of one signal.

    Args:
        directory: Made when missing (mode 0700); segments have mode 0600.
        signal: `traces` or `logs`; two signals may share a folder.
        max_bytes: Most bytes of this signal in the folder; when they are reached nothing more is taken in.
        max_age_s: Older segments are deleted, and counted in `expired_segments`; so are those that were set aside.
        segment_bytes: A segment is closed when it measures this much.
        fsync: Whether each batch is forced to the disk before it counts as spooled.

    Raises:
        OSError: This platform has no `flock`.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        signal: Signal,
        *,
        max_bytes: int = 256 * _MIB,
        max_age_s: float = 7 * 24 * 3600.0,
        segment_bytes: int = 4 * _MIB,
        fsync: bool = False,
    ) -> None:
        """Open nothing yet: a folder that cannot be used costs nothing until it is."""
        if fcntl is None:  # pragma: no cover - Windows
            raise OSError("the spool needs flock, which this platform does not have")
        self.directory = Path(directory)
        self._signal = signal
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._segment_bytes = segment_bytes
        self._fsync = fsync
        self._descriptor: int | None = None
        self._claim: _Claim | None = None
        self.on_expired: Callable[[int], object] = lambda _: None
        """Told the number of items in a segment that is deleted for its age."""
        self._begin()
        begin_anew_in_children(self)

    def _begin(self) -> None:
        self._lock = threading.RLock()
        self._path: Path | None = None
        self._size = 0
        self._warned = False
        self.errors = 0
        """Batches that the disk did not take."""
        self.refused = 0
        """Batches for which the folder had no room."""
        self.torn = 0
        """Segments whose last batch was cut off by the end of its writer."""
        self.corrupt_segments = 0
        """Segments set aside as `.bad`."""
        self.expired_segments = 0
        """Segments deleted for their age."""

    def after_fork_in_child(self) -> None:
        """Leave the parent's segments to the parent: closing a descriptor does not undo its lock, unlocking would."""
        for descriptor in (self._descriptor, self._claim.descriptor if self._claim else None):
            if descriptor is not None:
                os.close(descriptor)
        self._descriptor, self._claim = None, None
        self._begin()

    # -- in -------------------------------------------------------------------------------------------------------

    def append(self, payload: bytes, encoding: str, items: int) -> bool:
        """Write one batch; False when there is no room or the disk fails, and then nothing is left of it."""
        tail = _TAIL.pack(items, _ENCODINGS.index(encoding))
        frame = _FRAME.pack(len(payload), zlib.crc32(payload, zlib.crc32(tail)), items, _ENCODINGS.index(encoding))
        with self._lock:
            try:
                if self.size_bytes() + len(frame) + len(payload) > self._max_bytes:
                    self.refused += 1
                    return False
                self._write(frame + payload)
            except OSError as error:
                self.errors += 1
                if not self._warned:
                    self._warned = True
                    say("the spool cannot be written (%s); this is said once", error.strerror)
                return False
            return True

    def _write(self, data: bytes) -> None:
        if self._descriptor is None:
            self._open()
        descriptor = self._descriptor
        if descriptor is None:
            raise OSError("no segment")
        try:
            _write_all(descriptor, data)
            if self._fsync:
                os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, self._size)
            raise
        self._size += len(data)
        if self._size >= self._segment_bytes:
            self._rotate()

    def _open(self) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Named by the time, so that the oldest is replayed first.
        path = self.directory / f"{self._signal}-{time.time_ns():020d}-{os.getpid()}-{uuid.uuid4().hex[:8]}{_SUFFIX}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _write_all(descriptor, _MAGIC)
        except OSError:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise
        self._descriptor, self._path, self._size = descriptor, path, len(_MAGIC)

    def _rotate(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor, self._path = None, None

    # -- out ------------------------------------------------------------------------------------------------------

    def next(self) -> SpoolRecord | None:
        """The next batch to replay; None when there is none that this process may claim.

        Asking for it says that the batch before has ended: a segment is deleted when one is asked for behind its last.
        A process that ends in the middle of a segment leaves it whole: its batches are then replayed again, with the
        same ids.
        """
        with self._lock:
            try:
                while True:
                    if self._claim is None and not self._claim_oldest():
                        return None
                    claim = self._claim
                    if claim is None:
                        return None
                    record = next(claim.frames, None)
                    if record is not None:
                        return record
                    self._forget(claim)
            except OSError:
                self.errors += 1
                self.release()
                return None

    def release(self) -> None:
        """Give back a claimed segment as it is: whoever claims it next replays it from its beginning."""
        with self._lock:
            claim, self._claim = self._claim, None
            if claim is not None:
                os.close(claim.descriptor)

    def close(self) -> None:
        """Let go of all files; what was written stays for the next process."""
        with self._lock:
            self.release()
            self._rotate()

    @property
    def max_bytes(self) -> int:
        """Most bytes of this signal in the folder."""
        return self._max_bytes

    def size_bytes(self) -> int:
        """Bytes of this signal in the folder, set-aside segments included."""
        total = 0
        try:
            with os.scandir(self.directory) as entries:
                for entry in entries:
                    if entry.name.startswith(f"{self._signal}-"):
                        total += entry.stat().st_size
        except FileNotFoundError:
            return total
        return total

    def _claim_oldest(self) -> bool:
        try:
            names = sorted(os.listdir(self.directory))  # noqa: PTH208 - names alone, in one call
        except FileNotFoundError:
            return False
        for name in names:
            path = self.directory / name
            if not name.startswith(f"{self._signal}-"):
                continue
            if name.endswith(_BAD):
                self._clear_away(path)
            if not name.endswith(_SUFFIX):
                continue
            if path == self._path:
                self._rotate()  # our own: what comes now begins another one
            if self._try_claim(path):
                return True
        return False

    def _try_claim(self, path: Path) -> bool:
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return False  # another process has finished it
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # It may have been finished and deleted between the two calls.
            gone = os.fstat(descriptor).st_nlink == 0
        except OSError:
            gone = True
        if not gone and time.time() - os.fstat(descriptor).st_mtime > self._max_age_s:
            self._expire(path, descriptor)
            gone = True
        if gone:
            os.close(descriptor)
            return False
        self._claim = _Claim(path, descriptor, self._frames(path, descriptor))
        return True

    def _expire(self, path: Path, descriptor: int) -> None:
        items = sum(record.items for record in self._frames(path, descriptor))
        path.unlink(missing_ok=True)
        if not self.expired_segments:
            say("a spool segment is too old and deleted, with %d items; this is said once, the counts go on", items)
        self.expired_segments += 1
        self.on_expired(items)

    def _clear_away(self, path: Path) -> None:
        """Delete a segment that was set aside, when it is too old, so that it does not take the room for ever."""
        with contextlib.suppress(OSError):  # another process was here first
            if time.time() - path.stat().st_mtime > self._max_age_s:
                path.unlink()

    def _forget(self, claim: _Claim) -> None:
        self._claim = None
        claim.path.unlink(missing_ok=True)
        os.close(claim.descriptor)

    def _frames(self, path: Path, descriptor: int) -> Iterator[SpoolRecord]:
        size = os.fstat(descriptor).st_size
        if size < len(_MAGIC):
            self.torn += 1
            return
        if os.pread(descriptor, len(_MAGIC), 0) != _MAGIC:
            self._set_aside(path)
            return
        at = len(_MAGIC)
        while at < size:
            head = os.pread(descriptor, _FRAME.size, at)
            length, checksum, items, encoding = _FRAME.unpack(head) if len(head) == _FRAME.size else (0, 0, 0, 0)
            end = at + _FRAME.size + length
            if len(head) < _FRAME.size or (length <= _MAX_PAYLOAD and end > size):
                self.torn += 1
                return
            payload = os.pread(descriptor, length, at + _FRAME.size) if length <= _MAX_PAYLOAD else b""
            sound = zlib.crc32(payload, zlib.crc32(head[8:])) == checksum and encoding < len(_ENCODINGS)
            if not sound or not items or length > _MAX_PAYLOAD:
                self._set_aside(path)
                return
            yield SpoolRecord(payload, _ENCODINGS[encoding], items)
            at = end

    def _set_aside(self, path: Path) -> None:
        self.corrupt_segments += 1
        path.rename(path.with_suffix(_BAD))
        say("a spool segment is corrupt and set aside: %s", path.with_suffix(_BAD).name)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
