"""What an evaluator keeps over a restart, as JSON, and how it is read again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from kaizen_processors.alerts.alert import Alert  # noqa: TC001 - a NamedTuple's field
from kaizen_processors.alerts.silences import Matcher, Silence
from kaizen_processors.alerts.standing import Standing, alert_of_record, alert_record
from kaizen_processors.alerts.values import Group
from kaizen_processors.alerts.vocabulary import MEASURES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kaizen_processors.alerts.rules import Rule
    from kaizen_processors.clock import Clock
    from kaizen_processors.fence import Fence


class StandingKey(NamedTuple):
    """Of which rule, and for whom. Of a source it has a `/` in place of a rule's name, which has none."""

    rule: str
    group: Group

    @property
    def is_of_source(self) -> bool:
        """Whether it is of no rule: then its source says itself whether it stands."""
        return "/" in self.rule


class Address(NamedTuple):
    """Which channel is to be told of which state of which alert."""

    channel: str
    alert_id: str
    status: str


class Raised(NamedTuple):
    """An alert of something else than a rule, as it stands now."""

    key: StandingKey
    alert: Alert
    channels: tuple[str, ...]


class AlertSource(Protocol):
    """What raises alerts by itself: budgets."""

    def raised(self) -> Sequence[Raised]:
        """The alerts that stand now."""
        ...

    def save(self) -> None:
        """Keep what must outlive the process."""
        ...


class AlertState(Protocol):
    """Sections of JSON that outlive the process: a `StateFile`, or a store's."""

    @property
    def may_wait(self) -> bool:
        """Whether it may wait for other processes."""
        ...

    def section(self, name: str) -> dict[str, Any]:
        """What was saved last under this name; empty when nothing was."""
        ...

    def save(self, name: str, section: Mapping[str, Any], news: Iterable[Mapping[str, Any]] = ()) -> None:
        """Replace one section, and write down which alerts began or are over; raises when it cannot be kept."""
        ...

    def close(self) -> None:
        """Let another process have it."""
        ...

    def after_fork_in_child(self) -> None:
        """Leave it to the parent."""
        ...


@dataclass(slots=True)
class Kept:
    """What stands, what is not delivered yet, and what nobody wants to hear of."""

    standings: dict[StandingKey, Standing] = field(default_factory=dict)
    outbox: dict[Address, Alert] = field(default_factory=dict)
    silences: dict[str, Silence] = field(default_factory=dict)


def to_section(kept: Kept, now_ns: int, time_ns: int) -> dict[str, Any]:
    """Write it down, at this moment of both clocks."""
    return {
        "saved_at_ns": time_ns,
        "standing": [
            {"rule": key.rule, "group": list(key.group), **standing.to_record(now_ns)}
            for key, standing in kept.standings.items()
            if standing.phase != "inactive"
        ],
        "outbox": [{"channel": key.channel, "alert": alert_record(alert)} for key, alert in kept.outbox.items()],
        "silences": [_silence_record(silence) for silence in kept.silences.values()],
    }


def of_section(section: Mapping[str, Any], rules: Mapping[str, Rule], clock: Clock, fence: Fence) -> Kept:
    """Read it again. What cannot be read is counted by the fence, and left out."""
    kept = Kept()
    now_ns = clock.monotonic_ns()
    with fence("alerts.restore"):
        downtime_ns = max(clock.time_ns() - int(section.get("saved_at_ns", 0)), 0)
        for record in section.get("standing", ()):
            with fence("alerts.restore"):
                by, group_key = record["group"]
                key = StandingKey(str(record["rule"]), Group(by, str(group_key)))
                hold_ns = _hold_ns(rules.get(key.rule))
                kept.standings[key] = Standing.of_record(record, now_ns, downtime_ns, hold_ns)
        for record in section.get("outbox", ()):
            with fence("alerts.restore"):
                alert = alert_of_record(record["alert"])
                kept.outbox[Address(str(record["channel"]), alert.id, alert.status)] = alert
        for record in section.get("silences", ()):
            with fence("alerts.restore"):
                silence = _silence_of(record)
                kept.silences[silence.id] = silence
    return kept


def _hold_ns(rule: Rule | None) -> int:
    """A window has to fill before its silence means anything."""
    if rule is None:
        return 0
    return int(max(MEASURES[name].window_s or rule.window_s for name in rule.condition.names) * 1e9)


def _silence_record(silence: Silence) -> dict[str, Any]:
    return {
        "matchers": [str(matcher) for matcher in silence.matchers],
        "starts_at_ns": silence.starts_at_ns,
        "ends_at_ns": silence.ends_at_ns,
        "comment": silence.comment,
        "created_by": silence.created_by,
    }


def _silence_of(record: Mapping[str, Any]) -> Silence:
    return Silence(
        tuple(Matcher.parse(text) for text in record["matchers"]),
        int(record["starts_at_ns"]),
        int(record["ends_at_ns"]),
        str(record["comment"]),
        str(record["created_by"]),
    )
