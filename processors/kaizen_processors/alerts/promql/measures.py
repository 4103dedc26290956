"""Each measure as PromQL over the metrics of the contract.

As in the process, what is not known is absent: a quotient has no value where its divisor is zero, a percentile none
where nothing ended. Where a counter of errors does not exist yet, there were none.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from kaizen_processors.alerts.durations import write_duration
from kaizen_processors.alerts.values import LABEL_OF, GroupBy
from kaizen_processors.alerts.vocabulary import MEASURES
from kaizen_semconv import metrics as m

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

EXECUTIONS: Final = "kaizen_agent_executions_total"
DURATION: Final = "kaizen_execution_duration_seconds"
TOKENS: Final = "kaizen_tokens_consumed_total"
COST: Final = "kaizen_cost_usd_total"
QUALITY: Final = "kaizen_quality_score"
ACTIVE: Final = "kaizen_active_agents"
STRUCTURAL: Final = 'evaluation="structural"'
EDGES_S: Final = tuple(float(edge) for edge in m.KAIZEN_EXECUTION_DURATION.boundaries)


class NotExpressibleError(ValueError):
    """PromQL cannot say it, over these metrics; the message names what and why."""


class Scope(NamedTuple):
    """Over which series, by what, and for how long."""

    by: GroupBy
    window_s: float
    selector: str = ""

    @property
    def window(self) -> str:
        """The window as a range in PromQL."""
        return write_duration(self.window_s)

    def series(self, name: str, *matchers: str) -> str:
        """A selector of series."""
        inside = ",".join(part for part in (*matchers, self.selector) if part)
        return f"{name}{{{inside}}}" if inside else name

    def total(self, expression: str, *labels: str) -> str:
        """The sum of an expression by the group's label, and by these."""
        by = ", ".join((*([] if self.by == "none" else [LABEL_OF[self.by]]), *labels))
        return f"sum by ({by}) ({expression})" if by else f"sum({expression})"

    def rate(self, name: str, *matchers: str, by: tuple[str, ...] = ()) -> str:
        """The summed rate of a counter, per second."""
        return self.total(f"rate({self.series(name, *matchers)}[{self.window}])", *by)

    def increase(self, name: str, *matchers: str) -> str:
        """The summed increase of a counter over the window."""
        return self.total(f"increase({self.series(name, *matchers)}[{self.window}])")


def record_name(measure: str, scope: Scope) -> str:
    """The name of the series that a recording rule gives a measure."""
    level = "all" if scope.by == "none" else scope.by
    return f"{level}:kaizen_{measure}:{scope.window}"


def measure_scope(measure: str, by: GroupBy, window_s: float, selector: str = "") -> Scope:
    """The scope of a measure in a rule: some have a window of their own."""
    return Scope(by, MEASURES[measure].window_s or window_s, selector)


def measure_expression(measure: str, scope: Scope) -> str:
    """Write a measure in PromQL.

    Raises:
        NotExpressibleError: the metrics do not have what it takes.
    """
    refusal = _REFUSED.get((measure, scope.by))
    if refusal is not None:
        raise NotExpressibleError(f"`{measure}` by {scope.by}: {refusal}")
    return _EXPRESSIONS[measure](scope)


_REFUSED: Final[Mapping[tuple[str, str], str]] = MappingProxyType(
    {
        ("quality_average", "model"): f"{QUALITY} has no label `model`; group by agent",
        ("active_agents", "agent"): f"{ACTIVE} has no label `agent_name`; use group_by: none",
        ("active_agents", "model"): f"{ACTIVE} has no label `model`; use group_by: none",
    }
)


def _share(status: str) -> Callable[[Scope], str]:
    def write(scope: Scope) -> str:
        judged = scope.rate(EXECUTIONS, 'status!="cancelled"')
        counted = scope.rate(EXECUTIONS, f'status="{status}"')
        return f"({counted} or {judged} * 0) / ({judged} > 0)"

    return write


def _avg_latency(scope: Scope) -> str:
    return f"1000 * {scope.rate(f'{DURATION}_sum')} / ({scope.rate(f'{DURATION}_count')} > 0)"


def _percentile(quantile: float) -> Callable[[Scope], str]:
    def write(scope: Scope) -> str:
        buckets = scope.rate(f"{DURATION}_bucket", by=("le",))
        # NaN, where nothing ended, is not >= 0.
        return f"1000 * histogram_quantile({quantile:g}, {buckets}) >= 0"

    return write


def _quality(scope: Scope) -> str:
    total = scope.rate(f"{QUALITY}_sum", STRUCTURAL)
    return f"{total} / ({scope.rate(f'{QUALITY}_count', STRUCTURAL)} > 0)"


_EXPRESSIONS: Final[Mapping[str, Callable[[Scope], str]]] = MappingProxyType(
    {
        "error_rate": _share("error"),
        "success_rate": _share("success"),
        "avg_latency": _avg_latency,
        "p50_latency": _percentile(0.5),
        "p95_latency": _percentile(0.95),
        "p99_latency": _percentile(0.99),
        "throughput_rpm": lambda scope: f"60 * {scope.rate(EXECUTIONS)}",
        "tokens_per_second": lambda scope: scope.rate(TOKENS),
        "cost_per_execution": lambda scope: f"{scope.increase(COST)} / ({scope.increase(EXECUTIONS)} > 0)",
        "cost_per_token": lambda scope: f"{scope.increase(COST)} / ({scope.increase(TOKENS)} > 0)",
        "cost_per_hour": lambda scope: f"3600 * {scope.rate(COST)}",
        "daily_cost": lambda scope: scope.increase(COST),
        "quality_average": _quality,
        "executions": lambda scope: scope.increase(EXECUTIONS),
        "active_agents": lambda scope: scope.total(scope.series(ACTIVE)),
    }
)
