"""Emits each alert as an OpenTelemetry event, so that it arrives where the spans do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from kaizen_processors.alerts.channels.channel import Channel
from kaizen_processors.alerts.values import LABEL_OF
from kaizen_processors.clock import SYSTEM_CLOCK
from kaizen_semconv import attributes as k
from kaizen_semconv import events, gen_ai

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kaizen_processors.alerts.alert import Alert
    from kaizen_processors.clock import Clock

_SEVERITIES: Final = {"info": "INFO", "warning": "WARN", "critical": "ERROR"}


class Emit(Protocol):
    """What emits an event: `EventLog.emit` of kaizen-otel, or a function of the application's own."""

    def __call__(self, name: str, attributes: Mapping[str, Any], *, timestamp_ns: int, severity: str) -> None:
        """Emit one event; `severity` is a name of OpenTelemetry's `SeverityNumber`."""
        ...


class EventChannel(Channel):
    """Emits the event `kaizen.alert` for each alert, and one when it is over.

    Args:
        name: by which rules choose it.
        emit: what emits an event.
        clock: what time it is.
    """

    def __init__(self, name: str, emit: Emit, *, clock: Clock = SYSTEM_CLOCK) -> None:
        """Hold both."""
        super().__init__(name)
        self._emit = emit
        self._clock = clock

    def send(self, alert: Alert) -> None:
        """Emit it."""
        severity = _SEVERITIES[alert.severity] if alert.status == "firing" else "INFO"
        self._emit(events.KAIZEN_ALERT, _attributes(alert), timestamp_ns=self._clock.time_ns(), severity=severity)


def _attributes(alert: Alert) -> dict[str, Any]:
    found: dict[str, Any] = {
        k.KAIZEN_ALERT_TYPE: alert.type,
        k.KAIZEN_ALERT_ID: alert.id,
        k.KAIZEN_ALERT_STATUS: alert.status,
        k.KAIZEN_ALERT_SEVERITY: alert.severity,
        k.KAIZEN_ALERT_MESSAGE: alert.message,
        k.KAIZEN_ALERT_VALUE: alert.value,
        k.KAIZEN_ALERT_THRESHOLD: alert.threshold,
    }
    trace_ids = [one.trace_id for one in alert.executions if one.trace_id]
    if trace_ids:
        found[k.KAIZEN_ALERT_TRACE_IDS] = trace_ids
    for label, key in ((LABEL_OF["agent"], gen_ai.GEN_AI_AGENT_NAME), (LABEL_OF["model"], gen_ai.GEN_AI_REQUEST_MODEL)):
        if alert.labels.get(label):
            found[key] = alert.labels[label]
    return found
