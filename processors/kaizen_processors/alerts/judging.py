"""Judges one rule at one moment, for each of its groups."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from kaizen_processors.alerts.conditions import Finding  # noqa: TC001 - a NamedTuple's field
from kaizen_processors.alerts.values import EVERYTHING, Group
from kaizen_processors.alerts.vocabulary import MEASURES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kaizen_processors.alerts.rules import Rule
    from kaizen_processors.alerts.values import Values


class Judged(NamedTuple):
    """Whether a rule holds for a group: True, False, or None for missing data; and, where it does, by what."""

    group: Group
    answer: bool | None
    finding: Finding | None


class Judge:
    """Asks for the numbers of rules.

    Args:
        values: where they come from.
        max_groups: agents or models of one rule that are judged at most.

    Attributes:
        groups_over_limit: how often one was not, for want of room.
    """

    def __init__(self, values: Values, max_groups: int) -> None:
        """Ask these."""
        self._values = values
        self._max_groups = max_groups
        self.groups_over_limit = 0

    def judge(self, rule: Rule, standing: Iterable[Group]) -> list[Judged]:
        """Judge a rule for what is seen now, and for what `standing` says that it stood for before.

        Whatever the source of the numbers raises passes through.
        """
        return [self._judge(rule, group) for group in self._groups(rule, standing)]

    def _groups(self, rule: Rule, standing: Iterable[Group]) -> Iterable[Group]:
        if rule.group_by == "none":
            return (EVERYTHING,)
        seen = dict.fromkeys(self._values.groups(rule.group_by, rule.window_s))
        groups = tuple(dict.fromkeys(standing) | seen)
        self.groups_over_limit += max(len(groups) - self._max_groups, 0)
        return groups[: self._max_groups]

    def _judge(self, rule: Rule, group: Group) -> Judged:
        numbers = [self._number(name, rule, group) for name in rule.condition.names]
        answer = rule.condition.evaluate(numbers)
        if answer is not None and rule.min_executions:
            executions = self._number("executions", rule, group)
            if executions is None or executions < rule.min_executions:
                answer = None
        return Judged(group, answer, rule.condition.explain(numbers) if answer else None)

    def _number(self, name: str, rule: Rule, group: Group) -> float | None:
        value = self._values.value(name, group, MEASURES[name].window_s or rule.window_s)
        return value if value is not None and math.isfinite(value) else None
