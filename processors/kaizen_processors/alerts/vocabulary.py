"""The names that a condition may use: what is measured, in which unit, and how its value is written for people."""

from __future__ import annotations

import math
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from kaizen_processors.money import UNITS_PER_USD, format_usd

if TYPE_CHECKING:
    from collections.abc import Mapping

DAY_S: Final = 86_400.0
ACTIVE_S: Final = 300.0


class Unit(Enum):
    """What a measure counts. The value is the pattern that writes it, in Prometheus, too."""

    RATIO = "{:.1%}"
    MILLISECONDS = "{:.0f}ms"
    PER_MINUTE = "{:.4g}/min"
    PER_SECOND = "{:.4g}/s"
    USD_SMALL = "${:.8f}"
    USD = "${:.4f}"
    USD_PER_HOUR = "${:.4f}/hour"
    COUNT = "{:.4g}"

    def write(self, value: float) -> str:
        """Write a value for people; dollars as everywhere, three digits of them below one (`$0.000027`)."""
        if self.value.startswith("$") and math.isfinite(value):
            numerator, denominator = float(value).as_integer_ratio()
            return format_usd(numerator * UNITS_PER_USD // denominator) + self.value.partition("}")[2]
        return self.value.format(value)


class Measure(NamedTuple):
    """One name of the condition language.

    Attributes:
        name: as it stands in a condition.
        title: as it stands in a message.
        unit: of its value.
        meaning: for the documentation.
        window_s: the time it always covers, whatever the rule's window; None where the rule says.
    """

    name: str
    title: str
    unit: Unit
    meaning: str
    window_s: float | None = None


_MEASURES: Final = (
    Measure("error_rate", "Error rate", Unit.RATIO, "errors / (successes + errors)"),
    Measure("success_rate", "Success rate", Unit.RATIO, "successes / (successes + errors)"),
    Measure("avg_latency", "Average latency", Unit.MILLISECONDS, "mean duration of executions, ms"),
    Measure("p50_latency", "P50 latency", Unit.MILLISECONDS, "median duration of executions, ms"),
    Measure("p95_latency", "P95 latency", Unit.MILLISECONDS, "95th percentile of their duration, ms"),
    Measure("p99_latency", "P99 latency", Unit.MILLISECONDS, "99th percentile of their duration, ms"),
    Measure("throughput_rpm", "Throughput", Unit.PER_MINUTE, "executions per minute"),
    Measure("tokens_per_second", "Tokens", Unit.PER_SECOND, "input and output tokens per second"),
    Measure("cost_per_execution", "Cost per execution", Unit.USD_SMALL, "dollars / executions"),
    Measure("cost_per_token", "Cost per token", Unit.USD_SMALL, "dollars / tokens"),
    Measure("cost_per_hour", "Cost rate", Unit.USD_PER_HOUR, "dollars per hour"),
    Measure("daily_cost", "Cost of 24 hours", Unit.USD, "dollars of the last 24 hours", DAY_S),
    Measure("quality_average", "Quality average", Unit.RATIO, "mean quality score, 0 to 1"),
    Measure("executions", "Executions", Unit.COUNT, "executions that ended, cancelled ones included"),
    Measure("active_agents", "Active agents", Unit.COUNT, "agents that run, or ended within 5 minutes", ACTIVE_S),
)

MEASURES: Final[Mapping[str, Measure]] = MappingProxyType({measure.name: measure for measure in _MEASURES})
"""Every measure by its name."""
