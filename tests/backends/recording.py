"""Recorded executions: the numbers of the process, exact, and the series that Prometheus would have scraped."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kaizen_processors.alerts.promql import measures as pm
from kaizen_processors.alerts.values import EVERYTHING, Group, GroupBy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

SCRAPE_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution that ended `at_s` seconds after the recording began."""

    at_s: float
    agent: str
    model: str
    failed: bool
    duration_s: float
    tokens: int
    cost_usd: float
    quality: float


class RecordedValues:
    """The numbers at one moment of a recording, computed from its executions one by one."""

    def __init__(self, executions: Sequence[Execution]) -> None:
        self._executions = sorted(executions, key=lambda one: one.at_s)
        self.now_s = 0.0

    def groups(self, by: GroupBy, window_s: float) -> Iterable[Group]:
        keys = {one.agent if by == "agent" else one.model for one in self._within(EVERYTHING, window_s)}
        return [Group(by, key) for key in sorted(keys)]

    def value(self, condition: str, group: Group, window_s: float) -> float | None:
        seen = self._within(group, window_s)
        if condition == "active_agents":
            return float(len({one.agent for one in seen}))
        if condition == "executions":
            return float(len(seen))
        if condition in {"throughput_rpm", "tokens_per_second", "cost_per_hour", "daily_cost"}:
            return self._rate(condition, seen, min(window_s, self.now_s))
        return _RATIOS[condition](seen) if seen else None

    def _rate(self, condition: str, seen: Sequence[Execution], observed_s: float) -> float | None:
        if condition == "daily_cost":
            return sum(one.cost_usd for one in seen)
        if not observed_s:
            return None
        if condition == "throughput_rpm":
            return 60 * len(seen) / observed_s
        if condition == "cost_per_hour":
            return 3_600 * sum(one.cost_usd for one in seen) / observed_s
        return sum(one.tokens for one in seen) / observed_s

    def _within(self, group: Group, window_s: float) -> list[Execution]:
        return [
            one
            for one in self._executions
            if self.now_s - window_s < one.at_s <= self.now_s
            and group.key in {"", one.agent if group.by == "agent" else one.model}
        ]


def _mean(values: Iterable[float]) -> float:
    numbers = list(values)
    return sum(numbers) / len(numbers)


def _latency_ms(quantile: float) -> Callable[[Sequence[Execution]], float]:
    def read(seen: Sequence[Execution]) -> float:
        durations = sorted(one.duration_s for one in seen)
        return 1_000 * durations[round(quantile * (len(durations) - 1))]

    return read


_RATIOS: Final[dict[str, Callable[[Sequence[Execution]], float]]] = {
    "error_rate": lambda seen: _mean(one.failed for one in seen),
    "success_rate": lambda seen: _mean(not one.failed for one in seen),
    "avg_latency": lambda seen: 1_000 * _mean(one.duration_s for one in seen),
    "p50_latency": _latency_ms(0.50),
    "p95_latency": _latency_ms(0.95),
    "p99_latency": _latency_ms(0.99),
    "cost_per_execution": lambda seen: _mean(one.cost_usd for one in seen),
    "cost_per_token": lambda seen: sum(one.cost_usd for one in seen) / sum(one.tokens for one in seen),
    "quality_average": lambda seen: _mean(one.quality for one in seen),
}


def series_of(executions: Sequence[Execution], until_s: float, *, born: bool = True) -> dict[str, list[float | None]]:
    """Cumulative series, as scraped every `SCRAPE_S` seconds from 0 to `until_s`.

    Args:
        executions: the recording.
        until_s: its length.
        born: whether every series is there, at zero, from the first scrape on; otherwise it appears with its first
            execution, as counters do.
    """
    steps = int(until_s / SCRAPE_S) + 1
    found: dict[str, list[float | None]] = defaultdict(lambda: [0.0 if born else None] * steps)
    for one in executions:
        first = int(-(-one.at_s // SCRAPE_S))
        for series, amount in _increments(one):
            values = found[series]
            for step in range(first, steps):
                values[step] = (values[step] or 0.0) + amount
    active = RecordedValues(executions)
    for step in range(steps):
        active.now_s = step * SCRAPE_S
        found[f'{pm.ACTIVE}{{environment="recorded"}}'][step] = active.value("active_agents", EVERYTHING, 300.0)
    return dict(found)


def _increments(one: Execution) -> Iterator[tuple[str, float]]:
    who = f'agent_name="{one.agent}",model="{one.model}"'
    yield f'{pm.EXECUTIONS}{{{who},status="{"error" if one.failed else "success"}"}}', 1.0
    for edge in (*pm.EDGES_S, float("inf")):
        le = "+Inf" if edge == float("inf") else f"{edge:g}"
        yield f'{pm.DURATION}_bucket{{{who},le="{le}"}}', float(one.duration_s <= edge)
    yield f"{pm.DURATION}_sum{{{who}}}", one.duration_s
    yield f"{pm.DURATION}_count{{{who}}}", 1.0
    for kind in ("input", "output"):
        yield f'{pm.TOKENS}{{{who},token_type="{kind}"}}', one.tokens / 2
    yield f"{pm.COST}{{{who}}}", one.cost_usd
    scored = f'agent_name="{one.agent}",{pm.STRUCTURAL}'
    yield f"{pm.QUALITY}_sum{{{scored}}}", one.quality
    yield f"{pm.QUALITY}_count{{{scored}}}", 1.0


def incident(minutes: int) -> list[Execution]:
    """Two agents with a bad hour: errors, slowness, cost, bad answers, silence, each at a time of its own."""
    executions = []
    for number in range(minutes * 12):
        at_s = number * 5 + 2.5
        minute = at_s / 60
        for agent, model in (("writer", "gpt-4o"), ("editor", "gpt-4o-mini")):
            if 70 <= minute < 80:
                continue  # nobody asks anything
            writer = agent == "writer"
            executions.append(
                Execution(
                    at_s,
                    agent,
                    model,
                    failed=writer and 12 <= minute < 20 and number % 5 != 0,
                    duration_s=15.0 if 26 <= minute < 34 and number % 3 == 0 else 0.7,
                    tokens=1_000,
                    cost_usd=0.5 if writer and 40 <= minute < 46 else 0.0005,
                    quality=0.2 if 52 <= minute < 60 else 0.95,
                )
            )
    return executions


def noise(minutes: int, seed: int) -> list[Execution]:
    """One agent whose numbers change all the time, reproducibly."""
    source = random.Random(seed)  # noqa: S311 - the same numbers every time
    executions: list[Execution] = []
    at_s = 0.0
    while at_s < minutes * 60:
        at_s += source.expovariate(0.5)
        executions.append(
            Execution(
                at_s,
                "writer",
                "gpt-4o",
                failed=source.random() < 0.2,
                duration_s=source.lognormvariate(0.5, 0.8),
                tokens=source.randrange(100, 4_000, 2),
                cost_usd=source.lognormvariate(-5, 1),
                quality=source.random(),
            )
        )
    return executions
