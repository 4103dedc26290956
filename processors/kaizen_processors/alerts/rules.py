"""Rules: when to raise which alert, for whom. Frozen, and checked when they are made."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from kaizen_processors.alerts.annotations import places_in, problem_in
from kaizen_processors.alerts.conditions import Condition
from kaizen_processors.alerts.durations import write_duration
from kaizen_processors.alerts.values import GROUPINGS, LABEL_OF, GroupBy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SEVERITIES: Final = ("info", "warning", "critical")
MIN_WINDOW_S: Final = 10.0
MAX_WINDOW_S: Final = 86_400.0
MAX_FOR_S: Final = 7 * 86_400.0
MAX_TEXT_CHARS: Final = 1_024

NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_LABEL_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_RESERVED: Final = frozenset(
    {"alertname", "severity", "agent_name", "model", "user", "session", "budget", "le", "job", "instance"}
)


class RuleError(ValueError):
    """Rules cannot be used. `problems` has one text for each wrong place: where, what, and what is allowed."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        """Show all problems at once."""
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """When to raise an alert.

    Attributes:
        name: the alert's type, and its label `alertname`.
        condition: what must hold.
        window_s: seconds that its numbers cover.
        for_s: seconds that it must hold before the alert is raised.
        keep_firing_for_s: seconds that the alert stays up after it last held, against flapping.
        min_executions: fewer in the window are as good as no data.
        group_by: judged for everything together, or for each agent or model.
        severity: `info`, `warning` or `critical`.
        labels: further labels of the alert.
        annotations: texts for people, with places such as `{value}`.
        channels: names of the channels that get it; empty for all.

    Raises:
        RuleError: a field is not what it may be.
    """

    name: str
    condition: Condition
    window_s: float = 300.0
    for_s: float = 0.0
    keep_firing_for_s: float = 0.0
    min_executions: int = 0
    group_by: GroupBy = "none"
    severity: str = "warning"
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    channels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        problems = list(self._problems())
        if problems:
            raise RuleError(tuple(f"rule {self.name!r}: {key}: {what}" for key, what in problems))
        object.__setattr__(self, "labels", MappingProxyType(dict(self.labels)))
        object.__setattr__(self, "annotations", MappingProxyType(dict(self.annotations)))

    def _problems(self) -> Iterable[tuple[str, str]]:
        if not isinstance(self.name, str) or not NAME.fullmatch(self.name):
            yield "name", "allowed: letters, digits and _, no digit first, at most 100"
        yield from _seconds("time_window", self.window_s, MIN_WINDOW_S, MAX_WINDOW_S)
        yield from _seconds("for", self.for_s, 0.0, MAX_FOR_S)
        yield from _seconds("keep_firing_for", self.keep_firing_for_s, 0.0, MAX_FOR_S)
        if type(self.min_executions) is not int or not 0 <= self.min_executions <= 10**9:
            yield "min_executions", f"cannot be {self.min_executions!r}; allowed: a whole number, 0 or more"
        if self.group_by not in GROUPINGS:
            yield "group_by", f"cannot be {self.group_by!r}; allowed: {', '.join(GROUPINGS)}"
        if self.severity not in SEVERITIES:
            yield "severity", f"cannot be {self.severity!r}; allowed: {', '.join(SEVERITIES)}"
        yield from _label_problems(self.labels)
        yield from self._annotation_problems()
        if not all(isinstance(name, str) and NAME.fullmatch(name) for name in self.channels):
            yield "channels", "allowed: names of channels"

    def _annotation_problems(self) -> Iterable[tuple[str, str]]:
        for name, text in self.annotations.items():
            key = f"annotations.{name}"
            if not _LABEL_NAME.fullmatch(name):
                yield key, "allowed names: letters, digits and _, no digit first"
            elif not isinstance(text, str) or not 0 < len(text) <= MAX_TEXT_CHARS:
                yield key, f"allowed: a text of 1 to {MAX_TEXT_CHARS} characters"
            elif (problem := problem_in(text)) is not None:
                yield key, problem
            else:
                absent = (places_in(text) & LABEL_OF.keys()) - {self.group_by}
                if absent:
                    place = min(absent)
                    yield key, f"{{{place}}} is known only with group_by: {place}"


def _seconds(key: str, value: object, least: float, most: float) -> Iterable[tuple[str, str]]:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        yield key, f"cannot be {value!r} s; allowed: {write_duration(least)} to {write_duration(most)}"


def _label_problems(labels: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    for name, text in labels.items():
        key = f"labels.{name}"
        if not _LABEL_NAME.fullmatch(name) or name.startswith("__"):
            yield key, "allowed names: letters, digits and _, no digit and no __ first"
        elif name in _RESERVED:
            yield key, "is a label of the alert itself"
        elif not isinstance(text, str) or not 0 < len(text) <= MAX_TEXT_CHARS or not text.isprintable():
            yield key, f"allowed: a line of 1 to {MAX_TEXT_CHARS} printable characters"


DEFAULT_RULES: Final[tuple[Rule, ...]] = (
    Rule(name="high_error_rate", condition=Condition("error_rate > 0.1")),
    Rule(name="high_latency", condition=Condition("p95_latency > 10000"), severity="critical"),
    Rule(name="high_cost", condition=Condition("cost_per_hour > 100")),
    Rule(name="low_quality", condition=Condition("quality_average < 0.7")),
)
"""The rules that hold when nobody wrote any."""


def production_rules(budget_limit: float | None = None) -> tuple[Rule, ...]:
    """The stricter rules of the production preset; `budget_limit` is what 24 hours may cost, in dollars.

    Without one the rule about it is left out: nobody knows what is too much.
    """
    rules = (
        Rule(name="high_error_rate", condition=Condition("error_rate > 0.05")),
        Rule(
            name="execution_latency_spike",
            condition=Condition("p95_latency > 10000"),
            window_s=600.0,
            severity="critical",
        ),
    )
    if budget_limit is None:
        return rules
    condition = Condition("daily_cost > budget_limit", {"budget_limit": budget_limit})
    return (*rules, Rule(name="cost_budget_exceeded", condition=condition, window_s=86_400.0))
