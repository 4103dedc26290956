"""State that outlives the process: one JSON file, replaced as a whole.

Not SQLite: the state is a few kilobytes, has one writer, changes when an alert does, and is read once. A file that is
written beside the old one, synced and renamed is whole after `kill -9` and after a power cut, needs no recovery, and
can be read by people.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from kaizen_processors import lock_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_logger = logging.getLogger("kaizen_otel")
_VERSION: Final = 1
_FORMAT: Final = "alert state"
_BEGINNING: Final = f'{{"kaizen_otel":"{_FORMAT}",'.encode()
"""How each file of ours begins, whole or cut off: what begins otherwise is somebody else's."""


class StateInUseError(RuntimeError):
    """Another process keeps its state in this file."""


class ForeignStateError(ValueError):
    """A file is there, and it is none that a `StateFile` has written: it is not touched."""


class StateFile:
    """Sections of JSON in one file, for one process at a time.

    Args:
        path: the file. Beside it `<path>.lock` says that a process uses it; it goes with that process, unless that is
            killed: then the next one takes it over.

    Raises:
        StateInUseError: another process does.
        ForeignStateError: it is not ours, or of a later version.
        OSError: it cannot be read, or the folder cannot be written to.
    """

    may_wait = False

    def __init__(self, path: str | Path) -> None:
        """Lock and read the file; one of ours that is broken is put aside as `<path>.corrupt`."""
        self._path = Path(path)
        self._lock = threading.Lock()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._lock_path = self._path.with_name(f"{self._path.name}.lock")
        self._owner: IO[bytes] | None = _locked(self._lock_path)
        try:
            self._sections: dict[str, Any] = self._read()
        except BaseException:
            self.close()
            raise

    def section(self, name: str) -> dict[str, Any]:
        """What was saved last under this name; empty when nothing was."""
        section = self._sections.get(name)
        return section if isinstance(section, dict) else {}

    def save(self, name: str, section: Mapping[str, Any], news: Iterable[Mapping[str, Any]] = ()) -> None:
        """Replace one section, durably. What is over is not kept: `news` is for a store.

        Raises:
            OSError: the file could not be written; the old one is as it was.
        """
        del news
        with self._lock:
            if self._owner is None:
                return
            self._sections[name] = dict(section)
            head = {"kaizen_otel": _FORMAT, "version": _VERSION}
            whole = json.dumps({**head, **self._sections}, separators=(",", ":"))
            unfinished = self._path.with_name(f"{self._path.name}.unfinished")
            with unfinished.open("w", encoding="ascii") as file:
                file.write(whole)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(self._path)
            _sync_folder(self._path.parent)

    def close(self) -> None:
        """Let another process have the file."""
        with self._lock:
            owner, self._owner = self._owner, None
            if owner is not None:
                lock_file.give_back(self._lock_path, owner)

    def after_fork_in_child(self) -> None:
        """Leave the file to the parent: closing our copy of the lock does not release its."""
        self._lock = threading.Lock()
        self._sections = {}
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.close()

    def _read(self) -> dict[str, Any]:
        content = read_own(self._path)
        if not content.strip():
            return {}
        try:
            whole = json.loads(content)
        except (ValueError, RecursionError) as error:
            self._put_aside(type(error).__name__)
            return {}
        return {name: section for name, section in whole.items() if name not in {"kaizen_otel", "version"}}

    def _put_aside(self, why: str) -> None:
        aside = _free_name(self._path)
        _logger.error("%s is broken (%s); starting without it, it is kept as %s", self._path, why, aside.name)
        with contextlib.suppress(OSError):
            self._path.rename(aside)


def read_own(path: str | Path) -> bytes:
    """Give what is in a file of ours, broken or not; nothing when there is none yet.

    Raises:
        ForeignStateError: it is not ours, or of a later version.
        OSError: it cannot be read.
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        return b""
    zeros = not content.strip(b"\0")  # what some file systems leave of a file after a power cut
    if content.strip() and not zeros and not content.startswith(_BEGINNING):
        raise ForeignStateError(f"{path}: is no state of alerts, and is left as it is; allowed: a file of its own")
    version = re.match(rb'"version":([0-9]+)', content[len(_BEGINNING) :])
    if version is not None and int(version[1]) != _VERSION:
        raise ForeignStateError(
            f"{path}: is of version {int(version[1])}, and is left as it is; allowed: version {_VERSION}, another file"
        )
    return content


def _free_name(path: Path) -> Path:
    """A name for a broken file that nothing has yet."""
    aside = path.with_name(f"{path.name}.corrupt")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.corrupt.{number}")
    return aside


def _locked(path: Path) -> IO[bytes]:
    try:
        return lock_file.take(path, mode=0o666, wait=False)
    except BlockingIOError as error:
        raise StateInUseError(f"{path}: another process keeps its alerts' state here; give each its own") from error


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
