"""Which processes work with a store, and whether they still live.

A pid means something on its own host and in its own namespace only, and is used again: beside it stand the place, and
when the process began. Where that cannot be looked up a worker lives as long as it says so.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from kaizen_processors.forking import importing

if TYPE_CHECKING:
    from sqlite3 import Connection

_NS: Final = 10**9
SILENT_NS: Final = 60 * _NS
"""A worker of another place that did not say that it lives for so long does not."""

GONE_NS: Final = 3_600 * _NS
"""After so long it is believed to be gone for good, not only suspended."""

_DEAD_STATES: Final = frozenset({"Z", "X", "x"})
_STATE_FIELD: Final = 0
_BIRTH_FIELD: Final = 19  # field 22 of proc_pid_stat(5), counted after the name


class Worker(NamedTuple):
    """A process that has worked with a store. Times are Unix nanoseconds.

    Attributes:
        id: its number in the store; another one for each life of a process, and for each forked child.
        pid: its process.
        place: where the pid means something.
        birth: when the process began, as its system tells it.
        started_ns: when it came to the store.
        seen_ns: when it last said that it lives: at most ten seconds ago, unless it is held up.
        ended_ns: when it left; None while it did not, or died without a word.
    """

    id: int
    pid: int
    place: str
    birth: str
    started_ns: int
    seen_ns: int
    ended_ns: int | None

    def is_alive(self, now_ns: int) -> bool:
        """Whether it works still, as far as can be known here."""
        if self.ended_ns is not None:
            return False
        if self.place == place():
            return birth_of(self.pid) == self.birth
        return now_ns - self.seen_ns < SILENT_NS

    def is_gone(self, now_ns: int) -> bool:
        """Whether it comes back for certain no more: what is alive or merely suspended is not gone."""
        if self.ended_ns is not None:
            return True
        if self.place == place():
            return birth_of(self.pid) != self.birth
        return now_ns - self.seen_ns >= GONE_NS


def workers_of(connection: Connection) -> list[Worker]:
    """Everyone that the store remembers, in the order in which they came."""
    found = connection.execute("SELECT id, pid, place, birth, started_ns, seen_ns, ended_ns FROM workers ORDER BY id")
    return [Worker(*row) for row in found]


@cache
def place() -> str:
    """Where pids mean the same as here: this boot of this machine, this namespace."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        import platform  # noqa: PLC0415 - not on Linux

        return platform.node()


def birth_of(pid: int) -> str | None:
    """When a process began, comparable within its place; None when there is no such process, or only its remains."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None if Path("/proc/self/stat").exists() else _birth_by_psutil(pid)
    except OSError:  # it ended while we read
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[_STATE_FIELD] in _DEAD_STATES else fields[_BIRTH_FIELD]


def _birth_by_psutil(pid: int) -> str | None:
    with importing:
        import psutil  # noqa: PLC0415 - not on Linux
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.0f}"
    except psutil.Error:
        return None


def own_birth() -> str:
    """When this process began."""
    return birth_of(os.getpid()) or ""
