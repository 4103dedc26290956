"""An alert as it is told: the same to a function, a webhook, a log event and Alertmanager."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from kaizen_processors.alerts.annotations import fill
from kaizen_processors.alerts.durations import write_duration
from kaizen_processors.alerts.vocabulary import MEASURES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kaizen_processors.alerts.conditions import Finding
    from kaizen_processors.alerts.rules import Rule
    from kaizen_processors.alerts.values import Group, WorstExecution

Status = Literal["firing", "resolved"]
WORST_LIMIT: Final = 3


@dataclass(frozen=True, slots=True)
class ExecutionLink:
    """One execution that an alert is about, and where to look at its trace (empty where nobody said).

    `value` is None where it is not known; in dollars it is a lower bound unless `cost_complete`.
    """

    execution_id: str
    agent_name: str
    status: str
    value: float | None
    trace_id: str = ""
    url: str = ""
    cost_complete: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert at one moment.

    Attributes:
        type: the rule's name.
        severity: `info`, `warning` or `critical`.
        measure: what it is about, a name of the vocabulary.
        message: one line for people.
        value: what the deciding comparison compared.
        threshold: with what.
        status: `firing` or `resolved`.
        labels: what the alert is; two alerts with the same labels are the same alert.
        annotations: further texts for people.
        starts_at_ns: when it began to fire, Unix nanoseconds.
        ends_at_ns: when it was resolved; None while it fires.
        executions: the worst of those it is about.
    """

    type: str
    severity: str
    measure: str
    message: str
    value: float
    threshold: float
    status: Status
    labels: Mapping[str, str]
    annotations: Mapping[str, str] = field(default_factory=dict)
    starts_at_ns: int
    ends_at_ns: int | None = None
    executions: tuple[ExecutionLink, ...] = ()

    @property
    def fingerprint(self) -> str:
        """The identity of the alert: 16 hexadecimal digits, made of its labels."""
        return fingerprint(self.labels)

    @property
    def id(self) -> str:
        """The identity of this raising of it: the fingerprint and when it began."""
        return f"{self.fingerprint}-{self.starts_at_ns}"

    def resolved(self, at_ns: int) -> Alert:
        """The same, no longer firing."""
        return replace(self, status="resolved", ends_at_ns=at_ns)

    def about(self, executions: tuple[ExecutionLink, ...]) -> Alert:
        """The same, naming these executions."""
        return replace(self, executions=executions)

    def as_dict(self) -> dict[str, Any]:
        """The alert as a function gets it and as JSON carries it: times are ISO 8601 in UTC."""
        return {
            "type": self.type,
            "severity": self.severity,
            "message": self.message,
            "value": self.value,
            "threshold": self.threshold,
            "measure": self.measure,
            "status": self.status,
            "id": self.id,
            "fingerprint": self.fingerprint,
            "labels": dict(self.labels),
            "annotations": dict(self.annotations),
            "starts_at": iso(self.starts_at_ns),
            "ends_at": None if self.ends_at_ns is None else iso(self.ends_at_ns),
            "executions": [
                {
                    "execution_id": one.execution_id,
                    "agent_name": one.agent_name,
                    "status": one.status,
                    "value": one.value,
                    "cost_complete": one.cost_complete,
                    "trace_id": one.trace_id,
                    "url": one.url,
                }
                for one in self.executions
            ],
        }


def alert_of(
    rule: Rule, group: Group, finding: Finding, starts_at_ns: int, executions: tuple[ExecutionLink, ...] = ()
) -> Alert:
    """Make the firing alert of a rule."""
    places = _places(rule, group, finding)
    return Alert(
        type=rule.name,
        severity=rule.severity,
        measure=finding.measure,
        message=f"{places['subject']}: {places['value']}" + (f" ({group.key})" if group.key else ""),
        value=finding.value,
        threshold=finding.threshold,
        status="firing",
        labels=labels_of(rule, group),
        annotations={name: fill(text, places) for name, text in rule.annotations.items()},
        starts_at_ns=starts_at_ns,
        executions=executions,
    )


def labels_of(rule: Rule, group: Group) -> dict[str, str]:
    """The labels of a rule's alert."""
    return {**rule.labels, **group.labels, "alertname": rule.name, "severity": rule.severity}


def link_of(execution: WorstExecution, template: str | None) -> ExecutionLink:
    """An execution with the address of its trace."""
    url = template.replace("{trace_id}", execution.trace_id) if template and execution.trace_id else ""
    return ExecutionLink(
        execution.execution_id,
        execution.agent_name,
        execution.status,
        execution.value,
        execution.trace_id,
        url,
        execution.cost_complete,
    )


def fingerprint(labels: Mapping[str, str]) -> str:
    """A hash of labels, whatever their order."""
    said = "\0".join(f"{name}\1{value}" for name, value in sorted(labels.items()))
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def iso(time_ns: int) -> str:
    """A moment as ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(time_ns // 1_000_000 / 1_000, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def _places(rule: Rule, group: Group, finding: Finding) -> dict[str, str]:
    measure = MEASURES[finding.measure]
    alone = finding.subject == finding.measure  # a measure by itself has a unit, a calculation has none
    write = measure.unit.write if alone else "{:.4g}".format
    return {
        "subject": measure.title if alone else finding.subject,
        "value": write(finding.value),
        "threshold": write(finding.threshold),
        "agent": group.key,
        "model": group.key,
        "window": write_duration(rule.window_s),
        "name": rule.name,
        "severity": rule.severity,
    }
