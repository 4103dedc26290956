"""The one clock that everything of ours reads.

Durations come from the monotonic clock, timestamps from the wall clock, so that a stepped wall clock never bends a
duration. Tests inject their own `Clock`.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What our code may ask about time. Both readings are integers of nanoseconds."""

    def time_ns(self) -> int:
        """Nanoseconds since the Unix epoch, for timestamps only."""
        ...

    def monotonic_ns(self) -> int:
        """Nanoseconds of a clock that never goes back, for durations only."""
        ...


class SystemClock:
    """The machine's own clocks."""

    __slots__ = ()

    time_ns = staticmethod(time.time_ns)
    monotonic_ns = staticmethod(time.perf_counter_ns)


SYSTEM_CLOCK = SystemClock()
