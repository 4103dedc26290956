"""A made-up steady load: its measures, and its series. The unit tests of the rules are made of two for each rule.

Every minute is like the other, so rates and increases are exact and the expected value can be written down.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Final

from kaizen_processors.alerts import expressions as ex
from kaizen_processors.alerts.promql import measures as pm
from kaizen_processors.alerts.vocabulary import MEASURES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kaizen_processors.alerts.rules import Rule

AGENT: Final = "tested_agent"
MODEL: Final = "tested_model"
_QUANTILES: Final = {"p50_latency": 0.5, "p95_latency": 0.95, "p99_latency": 0.99}
_FACTORS: Final = (1.0, 2.0, 0.5, 1.1, 0.9)
_MOST_TRIED: Final = 20_000


@dataclass(frozen=True, slots=True)
class Workload:
    """What happens each minute.

    Attributes:
        per_minute: executions that end.
        failing: the part of them that fails.
        duration_s: how long each takes; it must not be an edge of a bucket.
        tokens: that each uses, half of them input.
        cost_usd: that each costs.
        quality: the score of each.
        agents: that are active.
    """

    per_minute: float = 60.0
    failing: float = 0.0
    duration_s: float = 0.75
    tokens: float = 1_000.0
    cost_usd: float = 0.001
    quality: float = 0.95
    agents: float = 1.0

    def measure(self, name: str, window_s: float) -> float | None:
        """What the recording rules make of it."""
        if name in _QUANTILES:
            return 1_000 * self._percentile_s(_QUANTILES[name])
        per_s = self.per_minute / 60
        return {
            "error_rate": self.failing,
            "success_rate": 1 - self.failing,
            "avg_latency": 1_000 * self.duration_s,
            "throughput_rpm": self.per_minute,
            "tokens_per_second": per_s * self.tokens,
            "cost_per_execution": self.cost_usd,
            "cost_per_token": self.cost_usd / self.tokens,
            "cost_per_hour": 3_600 * per_s * self.cost_usd,
            "daily_cost": 86_400 * per_s * self.cost_usd,
            "quality_average": self.quality,
            "executions": per_s * (MEASURES[name].window_s or window_s),
            "active_agents": self.agents,
        }[name]

    def judge(self, rule: Rule) -> bool:
        """Whether a rule's condition holds under it."""
        values = [self.measure(name, rule.window_s) for name in rule.condition.names]
        executions = self.measure("executions", rule.window_s) or 0.0
        return rule.condition.evaluate(values) is True and executions >= rule.min_executions

    def series(self, step_s: float) -> Iterator[tuple[str, float, bool]]:
        """Each series that it makes: its selector, what it grows by in a step, and whether it is a counter."""
        count = self.per_minute * step_s / 60
        who = f'agent_name="{AGENT}",model="{MODEL}"'
        for status, part in (("success", 1 - self.failing), ("error", self.failing)):
            yield f'{pm.EXECUTIONS}{{{who},status="{status}"}}', count * part, True
        for edge in pm.EDGES_S:
            yield f'{pm.DURATION}_bucket{{{who},le="{edge:g}"}}', count if self.duration_s <= edge else 0.0, True
        yield f'{pm.DURATION}_bucket{{{who},le="+Inf"}}', count, True
        yield f"{pm.DURATION}_sum{{{who}}}", count * self.duration_s, True
        yield f"{pm.DURATION}_count{{{who}}}", count, True
        for kind in ("input", "output"):
            yield f'{pm.TOKENS}{{{who},token_type="{kind}"}}', count * self.tokens / 2, True
        yield f"{pm.COST}{{{who}}}", count * self.cost_usd, True
        scored = f'agent_name="{AGENT}",{pm.STRUCTURAL}'
        yield f"{pm.QUALITY}_sum{{{scored}}}", count * self.quality, True
        yield f"{pm.QUALITY}_count{{{scored}}}", count, True
        yield f'{pm.ACTIVE}{{environment="tested"}}', self.agents, False

    def _percentile_s(self, quantile: float) -> float:
        below = 0.0
        for edge in pm.EDGES_S:
            if self.duration_s <= edge:
                return below + (edge - below) * quantile
            below = edge
        return below


def find_workload(rule: Rule, *, fires: bool) -> Workload | None:
    """A load under which the rule holds, or under which it does not; None when none was found."""
    choices = _choices(rule)
    for tried, values in enumerate(product(*choices.values())):
        if tried >= _MOST_TRIED:
            return None
        workload = replace(Workload(), **dict(zip(choices, values, strict=True)))
        if workload.judge(rule) is fires:
            return workload
    return None


def _choices(rule: Rule) -> dict[str, tuple[float, ...]]:
    """For each part of a load that the rule depends on, values worth trying: the usual one first."""
    names = {*rule.condition.names, *(("executions",) if rule.min_executions else ())}
    near = sorted({abs(number) * factor for number in _numbers(rule) for factor in _FACTORS if number})
    usual = Workload()
    middles = [(low + high) / 2 for low, high in zip((0.0, *pm.EDGES_S), pm.EDGES_S, strict=False)]
    window_min = rule.window_s / 60
    found: dict[str, tuple[float, ...]] = {}
    if names & {"error_rate", "success_rate"}:
        shares = [share for share in (*near, *(1 - one for one in near)) if 0 <= share <= 1]
        found["failing"] = (usual.failing, *shares, 0.5, 1.0)
    if names & {"avg_latency", *_QUANTILES}:
        exact = [one / 1_000 for one in near if one / 1_000 not in pm.EDGES_S and one < 1e7]  # noqa: PLR2004 - ms
        found["duration_s"] = (usual.duration_s, *middles, 2 * pm.EDGES_S[-1], *exact)
    if names & {"throughput_rpm", "executions", "tokens_per_second", "cost_per_hour", "daily_cost"}:
        counts = (*near, *(one / window_min for one in near))
        found["per_minute"] = (usual.per_minute, 1.0, 6_000.0, *(one for one in counts if one <= 1e6))  # noqa: PLR2004
    if any(name.startswith(("cost", "daily")) for name in names):
        found["cost_usd"] = (usual.cost_usd, *(10.0**power for power in range(-7, 5)), *near)
    if names & {"tokens_per_second", "cost_per_token"}:
        found["tokens"] = (usual.tokens, 1.0, 10.0, 100.0, 10_000.0, 1_000_000.0)
    if "quality_average" in names:
        found["quality"] = (usual.quality, *(one for one in near if one <= 1), 0.5, 0.05, 1.0)
    if "active_agents" in names:
        found["agents"] = (usual.agents, 0.0, *(float(round(one)) for one in near), *(one + 1 for one in near))
    return found


def _numbers(rule: Rule) -> Iterator[float]:
    for comparison in ex.comparisons(rule.condition.expression):
        for operand in comparison.operands:
            yield from _numbers_in(operand)


def _numbers_in(node: ex.Numeric) -> Iterator[float]:
    if isinstance(node, ex.Number):
        yield node.value
    elif isinstance(node, ex.Negative):
        yield from _numbers_in(node.operand)
    elif isinstance(node, ex.Arithmetic):
        yield from _numbers_in(node.left)
        yield from _numbers_in(node.right)
