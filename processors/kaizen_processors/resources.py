"""What the process used while an execution ran: processor time, memory, network.

These figures are the process's, and those of the network the machine's: an operating system knows nothing of
executions. They are an execution's own only where no other one ran at the same time: `alone` says so.
"""

from __future__ import annotations

import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from kaizen_processors.forking import begin_anew_in_children

if TYPE_CHECKING:
    from kaizen_processors.fence import Fence


MIB: Final = 1 << 20


class ResourceUsage(NamedTuple):
    """What was used between the start and the end of one execution.

    Attributes:
        cpu_usage_percent: processor time of the process, all threads, as a part of the time that passed: above 100
            where several cores worked. None when no time passed.
        memory_usage_mb: resident memory of the process at the end, in MB of 2^20 bytes.
        memory_growth_mb: by how much that grew meanwhile; negative when it shrank.
        network_io_bytes: bytes sent and received by the machine (by the container, where it has a network of its own).
        alone: whether no other execution ran in this process meanwhile. Only then the figures are this one's, and only
            as far as the application does nothing else.
    """

    cpu_usage_percent: float | None
    memory_usage_mb: float | None
    memory_growth_mb: float | None
    network_io_bytes: int | None
    alone: bool


class _Reading(NamedTuple):
    """The counters at one moment. None where the system does not tell."""

    cpu_ns: int
    memory_bytes: int | None
    network_bytes: int | None


class Probe:
    """One execution while it runs: what the counters said when it began, and whether it has been alone since."""

    __slots__ = ("__weakref__", "alone", "begun")

    def __init__(self, begun: _Reading, *, alone: bool) -> None:
        """Hold what was read."""
        self.begun = begun
        self.alone = alone


class ResourceMeter:
    """Reads the counters at the start and at the end of executions.

    psutil is imported with the first one. Where it cannot be, only the processor time is known.

    Args:
        fence: counts what psutil raises.
    """

    def __init__(self, fence: Fence) -> None:
        """Measure nothing yet."""
        self._fence = fence
        self.after_fork_in_child()
        begin_anew_in_children(self)

    def after_fork_in_child(self) -> None:
        """Begin with nothing running. The process is another one."""
        # Reentrant: collecting garbage may end an abandoned execution while it is held.
        self._lock = threading.RLock()
        # Weak: an execution that is abandoned, and never ends, does not count as running for ever.
        self._running: weakref.WeakSet[Probe] = weakref.WeakSet()
        self._sole: weakref.ref[Probe] | None = None
        self._psutil: Any = None
        self._process: Any = None
        self._unavailable = False

    def begin(self) -> Probe:
        """Note that an execution begins."""
        begun = self._read()
        with self._lock:
            probe = Probe(begun, alone=not len(self._running))
            # At most one of those that run has been alone so far.
            sole = None if self._sole is None else self._sole()
            if sole is not None:
                sole.alone = False
            self._sole = weakref.ref(probe) if probe.alone else None
            self._running.add(probe)
        return probe

    def end(self, probe: Probe, duration_ns: int) -> ResourceUsage:
        """Give what was used since `begin`, `duration_ns` ago."""
        with self._lock:
            self._running.discard(probe)
            if self._sole is not None and self._sole() is probe:
                self._sole = None
        now, begun = self._read(), probe.begun
        growth = _difference(now.memory_bytes, begun.memory_bytes)
        return ResourceUsage(
            cpu_usage_percent=100.0 * (now.cpu_ns - begun.cpu_ns) / duration_ns if duration_ns > 0 else None,
            memory_usage_mb=None if now.memory_bytes is None else now.memory_bytes / MIB,
            memory_growth_mb=None if growth is None else growth / MIB,
            network_io_bytes=_difference(now.network_bytes, begun.network_bytes),
            alone=probe.alone,
        )

    def _read(self) -> _Reading:
        memory = network = None
        psutil = self._psutil or self._load()
        if psutil is not None:
            with self._fence("resources.memory"):
                memory = int(self._process.memory_info().rss)
            with self._fence("resources.network"):
                counters = psutil.net_io_counters()  # None on a machine without network
                network = None if counters is None else int(counters.bytes_sent + counters.bytes_recv)
        return _Reading(time.process_time_ns(), memory, network)

    def _load(self) -> Any:
        if not self._unavailable:
            self._unavailable = True
            with self._fence("resources.import"):
                import psutil  # noqa: PLC0415 - 10 ms, at the level that asks for it

                self._process = psutil.Process()
                self._psutil = psutil
                self._unavailable = False
        return self._psutil


def _difference(now: int | None, before: int | None) -> int | None:
    return None if now is None or before is None else now - before
