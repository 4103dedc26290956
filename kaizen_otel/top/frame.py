"""What one frame shows: everything that is known of an application at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from kaizen_processors.alerts.alert import iso
from kaizen_processors.money import to_float

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kaizen_processors.snapshots import PerformanceSnapshot
    from kaizen_processors.store import BudgetStanding

By = Literal["agent", "model"]


class Worker(NamedTuple):
    """A process of the application. Times are wall clock, in nanoseconds."""

    pid: int
    started_ns: int
    heard_ns: int
    """When it last wrote to the store."""


class Firing(NamedTuple):
    """An alert that stands."""

    type: str
    severity: str
    message: str
    labels: dict[str, str]
    since_ns: int


class Delivery(NamedTuple):
    """What became of the telemetry of one signal."""

    signal: str
    exported: int
    waiting: int
    spooled: int
    dropped: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One moment of an application.

    Attributes:
        taken_ns: the moment, wall clock.
        store: the file that it was read from.
        service: the application's name.
        workers: its processes that live.
        window_s: what the figures are about, in seconds.
        overall: the figures of everything.
        by: what a row is.
        rows: the figures of each agent, or model.
        firing: alerts that stand, or stood when the last worker ended; None where nobody judges rules.
        budgets: what periods have cost.
        delivery: of our own telemetry; empty where workers do not tell.
        failures: telemetry failures of the workers that live, which no call of the application noticed.
        mistakes: how often they ignored a mistake in the application's settings.
    """

    taken_ns: int
    store: str
    service: str
    workers: Sequence[Worker]
    window_s: float
    overall: PerformanceSnapshot
    by: By
    rows: Sequence[PerformanceSnapshot]
    firing: Sequence[Firing] | None = None
    budgets: Sequence[BudgetStanding] = ()
    delivery: Sequence[Delivery] = ()
    failures: int = 0
    mistakes: int = 0

    @property
    def up_s(self) -> float | None:
        """How long the oldest worker that lives has been there; None when none does."""
        return max(((self.taken_ns - one.started_ns) / 1e9 for one in self.workers), default=None)

    def as_dict(self) -> dict[str, Any]:
        """The frame as JSON carries it."""
        return {
            "taken_at": iso(self.taken_ns),
            "store": self.store,
            "service": self.service,
            "up_s": self.up_s,
            "window_s": self.window_s,
            "workers": [
                {"pid": one.pid, "started_at": iso(one.started_ns), "heard_at": iso(one.heard_ns)}
                for one in self.workers
            ],
            "overall": self.overall.as_dict(),
            self.by + "s": [one.as_dict() for one in self.rows],
            "firing": None
            if self.firing is None
            else [
                {
                    "type": one.type,
                    "severity": one.severity,
                    "message": one.message,
                    "labels": one.labels,
                    "since": iso(one.since_ns),
                }
                for one in self.firing
            ],
            "budgets": [
                {
                    "name": one.budget,
                    "per": one.per,
                    "whose": one.whose,
                    "period": one.period,
                    "spent_usd": to_float(one.spent_units),
                    "limit_usd": to_float(one.limit_units),
                    "part": one.spent_units / one.limit_units,
                    "ends_at": iso(one.ends_ns),
                }
                for one in self.budgets
            ],
            "delivery": [one._asdict() for one in self.delivery],
            "telemetry_failures": self.failures,
            "settings_ignored": self.mistakes,
        }


SORTS: Final[dict[str, tuple[str, bool]]] = {
    "cost": ("cost_usd", True),
    "executions": ("total_executions", True),
    "errors": ("error_rate", True),
    "latency": ("p95_latency_ms", True),
    "tokens": ("tokens_total", True),
    "quality": ("quality_average", False),
}
"""Figures that rows may be sorted by, and whether the largest comes first; beside `name`."""


def in_order(rows: Sequence[PerformanceSnapshot], by: By, sort: str) -> list[PerformanceSnapshot]:
    """Sort rows: what asks for attention first, what is not known last, alike ones by name."""
    named = sorted(rows, key=lambda row: name_of(row, by))
    if sort == "name":
        return named
    figure, descending = SORTS[sort]
    known = [row for row in named if getattr(row, figure) is not None]
    unknown = [row for row in named if getattr(row, figure) is None]
    return sorted(known, key=lambda row: getattr(row, figure) * (-1 if descending else 1)) + unknown


def name_of(row: PerformanceSnapshot, by: By) -> str:
    """What a row is about."""
    return (row.agent_name if by == "agent" else row.model) or ""
