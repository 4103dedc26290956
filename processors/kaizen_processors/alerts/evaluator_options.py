"""How an evaluator tells of alerts, and what it checks before it starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kaizen_processors.alerts.channels.dispatch import RetryPolicy, always
from kaizen_processors.alerts.rules import Rule, RuleError
from kaizen_processors.clock import SYSTEM_CLOCK
from kaizen_processors.spelling import meant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from kaizen_processors.alerts.channels.channel import Channel
    from kaizen_processors.clock import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatorOptions:
    """How alerts are told of.

    Attributes:
        repeat_interval_s: seconds after which an alert that still fires is told again.
        trace_url_template: address of a trace, with `{trace_id}` in it; None for no links.
        max_groups: agents or models of one rule that may stand at once; further ones are counted, not judged.
        clock: what time it is.
        retry: how often a delivery is tried again.
        leads: whether this process is the one that judges and notifies; asked before each tick, and each delivery.

    Raises:
        ValueError: a value is not allowed.
    """

    repeat_interval_s: float = 4 * 3_600.0
    trace_url_template: str | None = None
    max_groups: int = 1_000
    clock: Clock = SYSTEM_CLOCK
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    leads: Callable[[], bool] = always

    def __post_init__(self) -> None:
        if not 1.0 <= self.repeat_interval_s <= 31 * 86_400.0:
            raise ValueError(f"repeat_interval_s cannot be {self.repeat_interval_s!r}; allowed: 1 s to 31 days")
        template = self.trace_url_template
        if template is not None and ("{trace_id}" not in template or not template.startswith(("http://", "https://"))):
            raise ValueError(
                f"trace_url_template cannot be {template!r}; allowed: http(s)://… with {{trace_id}} in it, "
                "such as http://localhost:16686/trace/{trace_id}"
            )
        if self.max_groups < 1:
            raise ValueError(f"max_groups cannot be {self.max_groups!r}; allowed: 1 or more")


def channels_by_name(channels: Iterable[Channel]) -> dict[str, Channel]:
    """Give the channels by their names. Raises `RuleError` when two have one name."""
    found: dict[str, Channel] = {}
    for channel in channels:
        if channel.name in found:
            raise RuleError((f"there are two channels named {channel.name!r}",))
        found[channel.name] = channel
    return found


def checked_rules(rules: Iterable[Rule], channels: Mapping[str, Channel]) -> dict[str, Rule]:
    """Give the rules by their names. Raises `RuleError` when two have one name or a channel is unknown."""
    found: dict[str, Rule] = {}
    problems = []
    for rule in rules:
        if rule.name in found:
            problems.append(f"there are two rules named {rule.name!r}")
        known = ", ".join(sorted(channels)) or "none is there"
        problems += [
            f"rule {rule.name!r}: channels: {name!r} is unknown{meant(name, channels)}; allowed: {known}"
            for name in rule.channels
            if name not in channels
        ]
        found[rule.name] = rule
    if problems:
        raise RuleError(tuple(problems))
    return found
