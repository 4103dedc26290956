"""A clock and ids that are the same in every run."""

from __future__ import annotations

import threading

from opentelemetry.sdk.trace.id_generator import IdGenerator

START_NS = 1_767_225_600 * 1_000_000_000
"""2026-01-01 00:00:00 UTC."""


class SteppingClock:
    """Goes on by `step_ns` at each reading of the monotonic clock, and by nothing else.

    Args:
        start_ns: the first wall-clock reading, nanoseconds since the Unix epoch.
        step_ns: nanoseconds between two readings.
    """

    def __init__(self, start_ns: int = START_NS, step_ns: int = 1_000_000) -> None:
        """Stand at the start."""
        self._lock = threading.Lock()
        self._start_ns = start_ns
        self._step_ns = step_ns
        self._elapsed_ns = 0

    def time_ns(self) -> int:
        """Wall clock: the start plus what has elapsed."""
        with self._lock:
            return self._start_ns + self._elapsed_ns

    def monotonic_ns(self) -> int:
        """Monotonic clock: one step further than the last reading."""
        with self._lock:
            self._elapsed_ns += self._step_ns
            return self._elapsed_ns

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        with self._lock:
            self._elapsed_ns += int(seconds * 1e9)


class SequentialIds(IdGenerator):
    """Trace and span ids 1, 2, 3 and so on."""

    def __init__(self) -> None:
        """Start at one."""
        self._lock = threading.Lock()
        self._span = 0
        self._trace = 0

    def generate_span_id(self) -> int:
        """The next span id."""
        with self._lock:
            self._span += 1
            return self._span

    def generate_trace_id(self) -> int:
        """The next trace id."""
        with self._lock:
            self._trace += 1
            return self._trace
