"""Everything that stands: each rule for each of its groups, and what sources of alerts raise by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kaizen_processors.alerts.alert import Alert, alert_of, labels_of
from kaizen_processors.alerts.kept import StandingKey
from kaizen_processors.alerts.standing import Standing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kaizen_processors.alerts.judging import Judged
    from kaizen_processors.alerts.kept import Raised
    from kaizen_processors.alerts.rules import Rule
    from kaizen_processors.alerts.values import Group
    from kaizen_processors.clock import Clock


class Over(NamedTuple):
    """An alert that is over, and how it stood: who was told that it fires."""

    alert: Alert
    standing: Standing


class Standings:
    """What stands, by rule and group. Not safe for threads by itself: the evaluator's lock is held around it.

    Args:
        clock: what time it is.

    Attributes:
        by_key: what stands; what is inactive is there until it is buried.
    """

    def __init__(self, clock: Clock) -> None:
        """Let nothing stand."""
        self._clock = clock
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget everything."""
        self.by_key: dict[StandingKey, Standing] = {}
        self._raised_for: dict[StandingKey, tuple[str, ...]] = {}

    def restore(self, by_key: dict[StandingKey, Standing]) -> None:
        """Let stand what stood in another process."""
        self.by_key = by_key

    # What begins, and what ends

    def step(self, rule: Rule, judged: Judged, now_ns: int) -> Alert | None:
        """Take what was judged of one group of a rule; returns its alert when it begins to fire by this, or is over."""
        key = StandingKey(rule.name, judged.group)
        standing = self.by_key.get(key)
        if standing is None:
            if not judged.answer:
                return None
            standing = self.by_key[key] = Standing(now_ns)
        before = standing.phase
        after = standing.step(rule, judged.answer, now_ns)
        if after == "firing" and judged.finding is not None:
            began_ns = self._clock.time_ns() if standing.alert is None else standing.alert.starts_at_ns
            standing.alert = alert_of(rule, judged.group, judged.finding, began_ns)
            return standing.alert if before == "pending" else None
        if after == "inactive" and standing.alert is not None:
            standing.alert = standing.alert.resolved(self._clock.time_ns())
            return standing.alert
        return None

    def take(self, found: Iterable[Raised], now_ns: int) -> list[Alert]:
        """Let stand what the sources raise, end what they no longer do; returns the alerts that begin, or are over."""
        raised = {one.key: one for one in found}
        changed = []
        for key, one in raised.items():
            standing = self.by_key.get(key)
            if standing is None or standing.alert is None or standing.alert.id != one.alert.id:
                standing = self.by_key[key] = Standing(now_ns)
                standing.phase = "firing"
                changed.append(one.alert)
            standing.alert = one.alert
            self._raised_for[key] = one.channels
        for key, standing in self.by_key.items():
            if key.is_of_source and key not in raised and standing.alert is not None:
                self._raised_for.pop(key, None)
                standing.phase = "inactive"
                standing.alert = standing.alert.resolved(self._clock.time_ns())
                changed.append(standing.alert)
        return changed

    def bury(self) -> list[Over]:
        """Forget what is inactive; returns what fired before."""
        over = []
        for key, standing in tuple(self.by_key.items()):
            if standing.phase == "inactive":
                del self.by_key[key]
                if standing.alert is not None:
                    over.append(Over(standing.alert, standing))
        return over

    def drop_orphans(self, rules: Mapping[str, Rule]) -> list[Over]:
        """Forget what stands for rules that are gone, or mean another alert; returns what fired, as over."""
        over = []
        for key, standing in tuple(self.by_key.items()):
            if key.is_of_source or self._is_of(rules.get(key.rule), key.group, standing.alert):
                continue
            del self.by_key[key]
            if standing.alert is not None:
                over.append(Over(standing.alert.resolved(self._clock.time_ns()), standing))
        return over

    @staticmethod
    def _is_of(rule: Rule | None, group: Group, alert: Alert | None) -> bool:
        if rule is None or rule.group_by != group.by:
            return False
        return alert is None or alert.labels == labels_of(rule, group)

    # What stands

    def groups_of(self, rule_name: str) -> list[Group]:
        """For whom a rule stands."""
        return [key.group for key in self.by_key if key.rule == rule_name]

    def firing(self) -> Iterator[tuple[StandingKey, Standing, Alert]]:
        """What fires, and its alert."""
        for key, standing in self.by_key.items():
            if standing.phase == "firing" and standing.alert is not None:
                yield key, standing, standing.alert

    def pending(self) -> Iterator[StandingKey]:
        """What holds, but not for long enough yet."""
        return (key for key, standing in self.by_key.items() if standing.phase == "pending")

    def counts(self) -> dict[str, int]:
        """How much fires, and how much is pending."""
        phases = [standing.phase for standing in self.by_key.values()]
        return {"firing": phases.count("firing"), "pending": phases.count("pending")}

    def raised_for(self, key: StandingKey) -> tuple[str, ...] | None:
        """The channels that a source wants its alert told to; None for one of a rule."""
        return self._raised_for.get(key)
