"""Numbers that a test sets, a clock that it moves, a channel that remembers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kaizen_processors.alerts.alert import Alert
from kaizen_processors.alerts.channels.channel import Channel
from kaizen_processors.alerts.conditions import Condition
from kaizen_processors.alerts.evaluator import Evaluator
from kaizen_processors.alerts.evaluator_options import EvaluatorOptions
from kaizen_processors.alerts.rules import Rule
from kaizen_processors.alerts.values import EVERYTHING, Group, GroupBy

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kaizen_processors.alerts.values import WorstExecution

START_NS = 1_767_225_600 * 10**9
"""2026-01-01 00:00:00 UTC."""


class HandClock:
    """Stands still until it is moved."""

    def __init__(self, wall_ns: int = START_NS, monotonic_ns: int = 50 * 10**9) -> None:
        self.wall_ns = wall_ns
        self.mono_ns = monotonic_ns

    def time_ns(self) -> int:
        return self.wall_ns

    def monotonic_ns(self) -> int:
        return self.mono_ns

    def advance(self, seconds: float) -> None:
        self.wall_ns += int(seconds * 10**9)
        self.mono_ns += int(seconds * 10**9)


class HandValues:
    """Measures as the test sets them; what it does not set is missing."""

    def __init__(self) -> None:
        self.numbers: dict[tuple[str, Group], float | None] = {}
        self.asked: list[tuple[str, Group, float]] = []
        self.failing = False

    def set(self, name: str, value: float | None, group: Group = EVERYTHING) -> None:
        self.numbers[name, group] = value

    def value(self, condition: str, group: Group, window_s: float) -> float | None:
        self.asked.append((condition, group, window_s))
        if self.failing:
            raise RuntimeError("no numbers")
        return self.numbers.get((condition, group))

    def groups(self, by: GroupBy, window_s: float) -> Iterable[Group]:
        del window_s
        return [group for _, group in self.numbers if group.by == by]


class RankedValues(HandValues):
    """The same, knowing executions, too."""

    def __init__(self, executions: Sequence[WorstExecution]) -> None:
        super().__init__()
        self.executions = executions
        self.ranked: list[tuple[str, Group, float, int]] = []

    def worst(self, condition: str, group: Group, window_s: float, limit: int) -> Sequence[WorstExecution]:
        self.ranked.append((condition, group, window_s, limit))
        return self.executions


class Remembering(Channel):
    """Remembers what it was sent."""

    def __init__(self, name: str = "memory") -> None:
        super().__init__(name)
        self.seen: list[Alert] = []

    def send(self, alert: Alert) -> None:
        self.seen.append(alert)

    @property
    def told(self) -> list[tuple[str, str]]:
        return [(alert.type, alert.status) for alert in self.seen]


class Scene:
    """An evaluator with everything at hand."""

    def __init__(self, *rules: Rule, values: HandValues | None = None, **options: Any) -> None:
        self.clock = options.pop("clock", None) or HandClock()
        self.values = values or HandValues()
        self.channel = Remembering()
        self.channels: list[Channel] = [self.channel, *options.pop("channels", ())]
        state = options.pop("state", None)
        self.evaluator = Evaluator(
            rules,
            self.values,
            self.channels,
            state=state,
            options=EvaluatorOptions(clock=self.clock, **options),
        )

    def tick(self, after_s: float = 0.0) -> list[tuple[str, str]]:
        """Let time pass and judge; what changed with it, when it has been told."""
        self.clock.advance(after_s)
        changed = self.evaluator.tick()
        assert self.evaluator.flush(10.0)
        return [(alert.type, alert.status) for alert in changed]


def alert(name: str = "slow", value: float = 1.0, **changes: Any) -> Alert:
    made = Alert(
        type=name,
        severity="warning",
        measure="p95_latency",
        message=name,
        value=value,
        threshold=0.0,
        status="firing",
        labels={"alertname": name},
        starts_at_ns=0,
    )
    return replace(made, **changes)


def rule(condition: str = "error_rate > 0.1", name: str = "high_error_rate", **fields: Any) -> Rule:
    return Rule(name=name, condition=Condition(condition), **fields)
