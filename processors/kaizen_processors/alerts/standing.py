"""Where one rule stands for one group: inactive, pending, firing. Transitions are Prometheus'.

* True: pending; firing once it has been true for `for` (at once without one).
* Not true (false, or missing): a pending one is forgotten; a firing one is resolved, after `keep_firing_for`.
* Restored after a restart, while the windows fill again: missing data leaves it as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from kaizen_processors.alerts.alert import Alert, ExecutionLink

if TYPE_CHECKING:
    from kaizen_processors.alerts.rules import Rule

Phase = Literal["inactive", "pending", "firing"]
_NS = 1_000_000_000


class Standing:
    """One rule and group. Times are of the monotonic clock, in nanoseconds, but for the alert's own."""

    __slots__ = ("alert", "false_since_ns", "held_until_ns", "phase", "seen_ns", "since_ns", "told_ns")

    def __init__(self, since_ns: int) -> None:
        """Begin pending."""
        self.phase: Phase = "pending"
        self.since_ns = since_ns
        self.seen_ns = since_ns
        self.false_since_ns: int | None = None
        self.held_until_ns: int | None = None
        self.alert: Alert | None = None
        self.told_ns: dict[str, int] = {}
        """When each channel was last told that it fires."""

    def step(self, rule: Rule, answer: bool | None, now_ns: int) -> Phase:
        """Take the rule's answer of this moment; returns where it stands now."""
        elapsed_ns, self.seen_ns = now_ns - self.seen_ns, now_ns
        if answer:
            self.held_until_ns = self.false_since_ns = None
            if self.phase == "pending" and now_ns - self.since_ns >= rule.for_s * _NS:
                self.phase = "firing"
            return self.phase
        if answer is None and self.held_until_ns is not None and now_ns < self.held_until_ns:
            if self.phase == "pending":  # what could not be judged does not count
                self.since_ns += elapsed_ns
            return self.phase
        if self.phase == "firing" and self._kept(rule, now_ns):
            return self.phase
        self.phase = "inactive"
        return self.phase

    def _kept(self, rule: Rule, now_ns: int) -> bool:
        if self.false_since_ns is None:
            self.false_since_ns = now_ns
        return now_ns - self.false_since_ns < rule.keep_firing_for_s * _NS

    def to_record(self, now_ns: int) -> dict[str, Any]:
        """What has to be kept of it: ages, since a monotonic clock means nothing to another process."""
        return {
            "phase": self.phase,
            "age_ns": now_ns - self.since_ns,
            "told_ages_ns": {channel: now_ns - told_ns for channel, told_ns in self.told_ns.items()},
            "alert": None if self.alert is None else alert_record(self.alert),
        }

    @classmethod
    def of_record(cls, record: dict[str, Any], now_ns: int, downtime_ns: int, hold_ns: int) -> Standing:
        """Restore it. The time that nobody looked counts for an alert that fires, not for one that is pending."""
        phase = record["phase"]
        if phase not in {"pending", "firing"}:
            raise ValueError(phase)
        standing = cls(now_ns - int(record["age_ns"]) - (downtime_ns if phase == "firing" else 0))
        standing.phase = phase
        standing.seen_ns = now_ns
        standing.held_until_ns = now_ns + hold_ns
        standing.alert = None if record["alert"] is None else alert_of_record(record["alert"])
        if (phase == "firing") is (standing.alert is None):
            raise ValueError(phase)
        ages = record["told_ages_ns"].items()
        standing.told_ns = {str(channel): now_ns - downtime_ns - int(age_ns) for channel, age_ns in ages}
        return standing


def alert_record(alert: Alert) -> dict[str, Any]:
    """An alert as JSON that `alert_of_record` reads."""
    return alert.as_dict() | {"starts_at_ns": alert.starts_at_ns, "ends_at_ns": alert.ends_at_ns}


def alert_of_record(record: dict[str, Any]) -> Alert:
    """Read an alert again. Raises `KeyError`, `TypeError` or `ValueError` for anything else."""
    if record["status"] not in {"firing", "resolved"}:
        raise ValueError(record["status"])
    return Alert(
        type=str(record["type"]),
        severity=str(record["severity"]),
        measure=str(record["measure"]),
        message=str(record["message"]),
        value=float(record["value"]),
        threshold=float(record["threshold"]),
        status=record["status"],
        labels={str(name): str(value) for name, value in record["labels"].items()},
        annotations={str(name): str(value) for name, value in record["annotations"].items()},
        starts_at_ns=int(record["starts_at_ns"]),
        ends_at_ns=None if record["ends_at_ns"] is None else int(record["ends_at_ns"]),
        executions=tuple(
            ExecutionLink(
                str(one["execution_id"]),
                str(one["agent_name"]),
                str(one["status"]),
                None if one["value"] is None else float(one["value"]),
                str(one["trace_id"]),
                str(one["url"]),
                bool(one.get("cost_complete", True)),
            )
            for one in record["executions"]
        ),
    )
