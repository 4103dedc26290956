"""The figures that rules may ask for, and how each is computed from the sums of a window.

What cannot be known is None, never 0 and never 1: a rule about it does not fire. Rates divide by the time that was
really observed, and need at least `MIN_OBSERVED_S` of it.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from kaizen_processors.money import UNITS_PER_USD
from kaizen_processors.window_sums import QUALITY_UNITS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kaizen_processors.window_sums import WindowSums
    from kaizen_processors.windows import Group, Window

MIN_OBSERVED_S: Final = 10.0
"""A rate needs at least this time: the first call of a process is no load."""

DAY_S: Final = 86_400.0

_NS_PER_MS: Final = 1e6


class ConditionSource(Protocol):
    """What answers the conditions of rules."""

    def value(self, condition: str, group: Group, window_s: float) -> float | None:
        """The condition's figure for this group in the last `window_s` seconds; None when it is not known."""
        ...


class Condition(NamedTuple):
    """One figure.

    Attributes:
        name: as rules write it.
        unit: UCUM, as in OpenTelemetry: `1` is a part of one.
        meaning: what it is, in a sentence.
        compute: from a window; None for what is not in the windows (`active_agents`).
        window_s: the window it always has, whatever the rule says; None where the rule's counts.
        needs_latency: whether it is computed from durations.
    """

    name: str
    unit: str
    meaning: str
    compute: Callable[[Window], float | None] | None
    window_s: float | None = None
    needs_latency: bool = False


def cost_usd(sums: WindowSums) -> float | None:
    """Dollars of the calls whose price is known; None when there were calls and of none it is."""
    if sums.unpriced_calls and sums.unpriced_calls == sums.model_calls:
        return None
    return sums.cost_units / UNITS_PER_USD


def _per(value: float | None, count: float) -> float | None:
    return value / count if value is not None and count else None


def _rate(value: float | None, window: Window) -> float | None:
    return None if window.observed_s < MIN_OBSERVED_S else _per(value, window.observed_s)


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _error_rate(window: Window) -> float | None:
    sums = window.sums
    return _per(sums.error, sums.success + sums.error)


def _success_rate(window: Window) -> float | None:
    sums = window.sums
    return _per(sums.success, sums.success + sums.error)


def _avg_latency(window: Window) -> float | None:
    return _scaled(window.sums.latency.mean, 1 / _NS_PER_MS)


def _latency_at(q: float) -> Callable[[Window], float | None]:
    return lambda window: _scaled(window.sums.latency.quantile(q), 1 / _NS_PER_MS)


def _throughput_rpm(window: Window) -> float | None:
    return _scaled(_rate(window.sums.executions, window), 60.0)


def _tokens_per_second(window: Window) -> float | None:
    return _rate(window.sums.input_tokens + window.sums.output_tokens, window)


def _cost_per_execution(window: Window) -> float | None:
    return _per(cost_usd(window.sums), window.sums.executions)


def _cost_per_token(window: Window) -> float | None:
    return _per(cost_usd(window.sums), window.sums.input_tokens + window.sums.output_tokens)


def _cost_per_hour(window: Window) -> float | None:
    return _scaled(_rate(cost_usd(window.sums), window), 3_600.0)


def _daily_cost(window: Window) -> float | None:
    return cost_usd(window.sums)


def _quality_average(window: Window) -> float | None:
    sums = window.sums
    return _per(sums.quality_units / QUALITY_UNITS, sums.quality_count)


def _executions(window: Window) -> float | None:
    return float(window.sums.executions)


_ALL = (
    Condition("error_rate", "1", "errors among the executions that succeeded or failed", _error_rate),
    Condition("success_rate", "1", "successes among the executions that succeeded or failed", _success_rate),
    Condition("avg_latency", "ms", "mean duration of the executions", _avg_latency, needs_latency=True),
    Condition("p50_latency", "ms", "half of the executions took no longer", _latency_at(0.50), needs_latency=True),
    Condition("p95_latency", "ms", "95 % of the executions took no longer", _latency_at(0.95), needs_latency=True),
    Condition("p99_latency", "ms", "99 % of the executions took no longer", _latency_at(0.99), needs_latency=True),
    Condition("throughput_rpm", "{execution}/min", "executions that ended, per minute", _throughput_rpm),
    Condition("tokens_per_second", "{token}/s", "tokens of model calls, input and output", _tokens_per_second),
    Condition("cost_per_execution", "{USD}", "dollars of model calls per execution", _cost_per_execution),
    Condition("cost_per_token", "{USD}/{token}", "dollars per token, input and output", _cost_per_token),
    Condition("cost_per_hour", "{USD}/h", "dollars of model calls per hour", _cost_per_hour),
    Condition("daily_cost", "{USD}", "dollars of the last 24 hours, whatever the window", _daily_cost, DAY_S),
    Condition("quality_average", "1", "mean quality of the executions that have a score", _quality_average),
    Condition("executions", "{execution}", "executions that ended", _executions),
    Condition("active_agents", "{agent}", "agents that run, or did within five minutes", None),
)

CONDITIONS: Final[Mapping[str, Condition]] = MappingProxyType({one.name: one for one in _ALL})
"""Every condition, by its name."""


def condition_named(name: str) -> Condition:
    """Look a condition up.

    Raises:
        ValueError: there is none of that name; the message lists those there are.
    """
    found = CONDITIONS.get(name)
    if found is None:
        raise ValueError(f"unknown condition {name!r}; known: {', '.join(CONDITIONS)}")
    return found
