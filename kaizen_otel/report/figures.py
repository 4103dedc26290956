"""What a report says of one stretch, one agent, one model or one period: exact sums, and the figures made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from kaizen_processors.conditions import CONDITIONS, cost_usd
from kaizen_processors.windows import EVERYTHING, Window

if TYPE_CHECKING:
    from kaizen_processors.window_sums import WindowSums


class Line(NamedTuple):
    """One line of a report.

    Attributes:
        label: a period, an agent or a model.
        sums: what it did.
        length_s: how long.
    """

    label: str
    sums: WindowSums
    length_s: float

    def figure(self, condition: str) -> float | None:
        """A figure by the name that rules use; None when it is not known."""
        compute = CONDITIONS[condition].compute
        return None if compute is None else compute(Window(EVERYTHING, self.length_s, self.length_s, self.sums))

    @property
    def tokens(self) -> int:
        """Input and output tokens."""
        return self.sums.input_tokens + self.sums.output_tokens

    @property
    def cost_usd(self) -> float | None:
        """Dollars; None when there were calls and the price of none is known."""
        return cost_usd(self.sums)

    @property
    def complete(self) -> bool:
        """Whether the price of every call is known; else the dollars are a lower bound."""
        return not self.sums.unpriced_calls

    def as_dict(self) -> dict[str, Any]:
        """All figures, as JSON carries them."""
        sums = self.sums
        return {
            "executions": sums.executions,
            "errors": sums.error,
            "cancelled": sums.cancelled,
            "error_rate": self.figure("error_rate"),
            "model_calls": sums.model_calls,
            "input_tokens": sums.input_tokens,
            "output_tokens": sums.output_tokens,
            "cost_usd": self.cost_usd,
            "cost_complete": self.complete,
            "cost_per_execution": self.figure("cost_per_execution"),
            "average_latency_ms": self.figure("avg_latency"),
            "p50_latency_ms": self.figure("p50_latency"),
            "p95_latency_ms": self.figure("p95_latency"),
            "p99_latency_ms": self.figure("p99_latency"),
            "quality_average": self.figure("quality_average"),
        }


class Change(NamedTuple):
    """One figure now, and in the stretch before."""

    name: str
    now: float | None
    before: float | None

    @property
    def part(self) -> float | None:
        """How much more it is, as a part of what it was; None where that means nothing."""
        if self.now is None or not self.before:
            return None
        return self.now / self.before - 1


COMPARED: Final = (
    "executions",
    "error_rate",
    "average_latency_ms",
    "p95_latency_ms",
    "input_tokens",
    "output_tokens",
    "cost_usd",
    "cost_per_execution",
    "quality_average",
)
"""Figures that are compared with the stretch before."""


def changes(now: Line, before: Line) -> list[Change]:
    """Compare two stretches of the same length."""
    new, old = now.as_dict(), before.as_dict()
    return [Change(name, new[name], old[name]) for name in COMPARED]
