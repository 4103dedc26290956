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
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

try:
    import fcntl
except ImportError:  # Windows has no flock: there two processes on one file are not noticed
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_logger = logging.getLogger("kaizen_otel")
_VERSION: Final = 1


class StateInUseError(RuntimeError):
    """Another process keeps its state in this file."""


class StateFile:
    """Sections of JSON in one file, for one process at a time.

    Args:
        path: the file. Beside it `<path>.lock` says that a process uses it.

    Raises:
        StateInUseError: another process does.
        OSError: the folder cannot be written to.
    """

    may_wait = False

    def __init__(self, path: str | Path) -> None:
        """Lock and read the file; one that cannot be read is put aside as `<path>.corrupt`."""
        self._path = Path(path)
        self._lock = threading.Lock()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._owner: IO[bytes] | None = _locked(self._path.with_name(f"{self._path.name}.lock"))
        self._sections: dict[str, Any] = self._read()

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
            whole = json.dumps({"version": _VERSION, **self._sections}, separators=(",", ":"))
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
                owner.close()

    def after_fork_in_child(self) -> None:
        """Leave the file to the parent: closing our copy of the lock does not release its."""
        self._lock = threading.Lock()
        self._sections = {}
        self.close()

    def _read(self) -> dict[str, Any]:
        try:
            whole = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            return self._put_aside(type(error).__name__)
        if not isinstance(whole, dict) or whole.get("version") != _VERSION:
            return self._put_aside("unknown version")
        return whole

    def _put_aside(self, why: str) -> dict[str, Any]:
        aside = self._path.with_name(f"{self._path.name}.corrupt")
        _logger.error("%s cannot be read (%s); starting without it, it is kept as %s", self._path, why, aside.name)
        with contextlib.suppress(OSError):
            self._path.replace(aside)
        return {}


def _locked(path: Path) -> IO[bytes]:
    file = path.open("ab")
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            raise StateInUseError(f"{path}: another process keeps its alerts' state here; give each its own") from error
    return file


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
