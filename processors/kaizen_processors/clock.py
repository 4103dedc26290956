"""The one clock that everything of ours reads.

Durations come from the monotonic clock, timestamps from the wall clock, so that a stepped wall clock never bends a
duration. Tests inject their own `Clock`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from kaizen_processors.fence import Fence


LONGEST_WAIT_S: Final = 86_400.0
"""Nothing waits longer at once: platforms bound it (49 days on Windows), and none can wait for ever in figures."""


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


class FallbackClock:
    """An application's own clock, until it fails; from then on the machine's, going on where that one stopped."""

    __slots__ = ("_clock", "_fence", "_last_ns", "_offset_ns")

    def __init__(self, clock: Clock, fence: Fence) -> None:
        """Read `clock`, and tell `fence` when that raises or gives no integer."""
        self._clock: Clock | None = clock
        self._fence = fence
        self._last_ns = 0
        self._offset_ns = 0

    def time_ns(self) -> int:
        """Nanoseconds since the Unix epoch."""
        clock = self._clock
        if clock is not None:
            try:
                return _integer(clock.time_ns())
            except Exception as error:  # noqa: BLE001 - the clock is the application's
                self._give_up(error)
        return SYSTEM_CLOCK.time_ns()

    def monotonic_ns(self) -> int:
        """Nanoseconds that never go back."""
        clock = self._clock
        if clock is not None:
            try:
                self._last_ns = _integer(clock.monotonic_ns())
            except Exception as error:  # noqa: BLE001 - the clock is the application's
                self._give_up(error)
            else:
                return self._last_ns
        return SYSTEM_CLOCK.monotonic_ns() + self._offset_ns

    def _give_up(self, error: Exception) -> None:
        self._fence.caught("clock", error)
        self._offset_ns = self._last_ns - SYSTEM_CLOCK.monotonic_ns()
        self._clock = None


def _integer(reading: object) -> int:
    if type(reading) is not int:
        raise TypeError("a clock reads in whole nanoseconds")
    return reading
