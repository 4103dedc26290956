"""Alerts as OpenTelemetry events, through the logger provider that the spans' application has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kaizen_otel.otel_logs import EventLog
from kaizen_otel.testing import capture
from kaizen_processors.alerts.channels.otel_event import EventChannel
from kaizen_processors.alerts.evaluator import Evaluator
from kaizen_processors.alerts.rules import DEFAULT_RULES
from kaizen_processors.alerts.values import Group, WorstExecution
from tests.processors.alerts.support import RankedValues, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kaizen_otel.testing import Captured

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def captured() -> Iterator[Captured]:
    with capture() as one:
        yield one


def test_an_alert_is_an_event_when_it_begins_and_when_it_is_over(captured: Captured) -> None:
    log = EventLog(captured.logger_provider, "0", "https://opentelemetry.io/schemas/1.41.0")
    values = RankedValues([WorstExecution("e1", TRACE, "writer", 1.0, "error")])
    by_model = rule("p95_latency > 10", "slow", group_by="model", severity="critical")
    rules = [rule(group_by="agent"), by_model, DEFAULT_RULES[3]]
    evaluator = Evaluator(rules, values, [EventChannel("events", log.emit)])
    for error_rate, latency, quality in ((0.5, 50.0, 0.25), (0.0, 5.0, 1.0)):
        values.set("error_rate", error_rate, Group("agent", "writer"))
        values.set("p95_latency", latency, Group("model", "gpt-4o"))
        values.set("quality_average", quality)
        evaluator.tick()
        assert evaluator.flush(10.0)
    told: list[tuple[Any, ...]] = [
        (one.event_name, one.severity_text, one.attributes["kaizen.alert.type"], one.attributes["kaizen.alert.status"])
        for one in captured.events
    ]
    assert told == [
        ("kaizen.alert", "WARN", "high_error_rate", "firing"),
        ("kaizen.alert", "ERROR", "slow", "firing"),
        ("kaizen.alert", "WARN", "low_quality", "firing"),
        ("kaizen.alert", "INFO", "high_error_rate", "resolved"),
        ("kaizen.alert", "INFO", "slow", "resolved"),
        ("kaizen.alert", "INFO", "low_quality", "resolved"),
    ]
    first = dict(captured.events[0].attributes)
    assert first.pop("kaizen.alert.id") == captured.events[3].attributes["kaizen.alert.id"]
    assert first == {
        "kaizen.alert.type": "high_error_rate",
        "kaizen.alert.status": "firing",
        "kaizen.alert.severity": "warning",
        "kaizen.alert.message": "Error rate: 50.0% (writer)",
        "kaizen.alert.value": 0.5,
        "kaizen.alert.threshold": 0.1,
        "kaizen.alert.trace_ids": (TRACE,),
        "gen_ai.agent.name": "writer",
    }
    assert captured.events[1].attributes["gen_ai.request.model"] == "gpt-4o"


def test_a_rule_that_only_informs_says_so(captured: Captured) -> None:
    log = EventLog(captured.logger_provider, "0", "https://opentelemetry.io/schemas/1.41.0")
    values = RankedValues([])
    evaluator = Evaluator(
        [rule("p95_latency > 10", "slow", severity="info")], values, [EventChannel("events", log.emit)]
    )
    values.set("p95_latency", 50.0)
    evaluator.tick()
    assert evaluator.flush(10.0)

    (event,) = captured.events
    assert (event.severity_text, event.attributes["kaizen.alert.severity"]) == ("INFO", "info")
