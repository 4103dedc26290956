"""Ranges that reach further back than memory: answered by the store, where the processes of a host share one."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from kaizen_otel.patches.switch import active
from kaizen_otel.transparency.reports import computed
from kaizen_processors.conditions import DAY_S
from kaizen_processors.snapshots import snapshot_of, window_seconds
from kaizen_processors.windows import LONGEST_S, NS, Group, Window

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kaizen_otel.telemetry import Telemetry
    from kaizen_processors.snapshots import PerformanceSnapshot
    from kaizen_processors.store import StoreReader

FURTHEST_S: Final = 3_660 * DAY_S
"""Ten years: longer than any retention."""


class HistoryError(Exception):
    """The store cannot be read now; the text says why."""


def range_seconds(time_range: str | float) -> float:
    """Read a time range: up to 24 hours, and as far back as one likes where there is a store.

    Raises:
        ValueError: It is none, or longer.
    """
    telemetry = active()
    if telemetry is not None and telemetry.performance.store is not None:
        return window_seconds(time_range, FURTHEST_S)
    try:
        return window_seconds(time_range)
    except ValueError as error:
        raise ValueError(f"{error}, or longer with the setting store") from None


def is_history(window_s: float) -> bool:
    """Whether memory does not reach so far back."""
    return window_s > LONGEST_S


def snapshot(telemetry: Telemetry, window_s: float, group: Group) -> PerformanceSnapshot:
    """The figures of a group in the last seconds, of all processes. What ended in the last ten may be missing.

    Raises:
        HistoryError: The store cannot be read.
    """
    with _reading(telemetry) as reader:
        window = reader.window(group, window_s)
    day = telemetry.performance.windows.read(group, DAY_S, with_latency=False)
    active_agents = telemetry.performance.snapshots.active_agents(group)
    return snapshot_of(window, day, telemetry.clock.time_ns(), active_agents)


def days(telemetry: Telemetry, group: Group, conditions: Sequence[str]) -> list[dict[str, Any]]:
    """A row for each day (in UTC) that the store knows something of, oldest first; the last one is today until now.

    Raises:
        HistoryError: The store cannot be read.
    """
    with _reading(telemetry) as reader:
        began_ns, now_ns = reader.began_ns(), reader.now_ns()
        periods = [] if began_ns is None else reader.history(began_ns, now_ns, int(DAY_S), group)
    found = []
    for period in periods:
        start_ns, end_ns = max(period.start_ns, began_ns or 0), min(period.end_ns, now_ns)
        window = Window(group, DAY_S, max(end_ns - start_ns, 0) / NS, period.sums)
        row = {"start": _shown(start_ns), "end": _shown(end_ns), "executions": period.sums.executions}
        found.append({**row, **{name: computed(name, window) for name in conditions}})
    return found


@contextmanager
def _reading(telemetry: Telemetry) -> Iterator[StoreReader]:
    from kaizen_processors.store import StoreError, StoreReader  # noqa: PLC0415 - loaded when used

    store = telemetry.performance.store
    if store is None:
        raise HistoryError("there is no store")
    try:
        with StoreReader(store.path, telemetry.clock) as reader:
            yield reader
    except (OSError, sqlite3.Error, StoreError) as error:
        raise HistoryError(f"the store cannot be read: {error}") from error


def _shown(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns / NS, tz=UTC).isoformat()
