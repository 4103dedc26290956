"""What an application does, and what is seen of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kaizen_otel.patches.switch import active

if TYPE_CHECKING:
    from kaizen_otel.telemetry import Telemetry
    from kaizen_otel.testing import Captured

DURATION = "kaizen.execution.duration"


def says(config: dict[str, Any]) -> None:
    """Make a Kaizen object with this dictionary."""
    from kaizen.core.framework import Kaizen

    Kaizen(config=config)


def runs(name: str = "desk", **config: Any) -> None:
    """Make an agent and run it once."""
    from kaizen.core.framework import Kaizen

    Kaizen().create_agent(name, {"model": "gpt-4o", "provider": "openai", **config}).execute(question="hi")


def telemetry() -> Telemetry:
    found = active()
    assert found is not None
    return found


def names(captured: Captured) -> list[str]:
    return [execution.agent_name for execution in captured.executions]


def agents_of(captured: Captured, metric: str) -> list[str]:
    """The agents that points of a metric name; a structural score, which every answer has, is none of theirs."""
    points = captured.metrics().get(metric, [])
    return [one.attributes["agent_name"] for one in points if one.attributes.get("evaluation") != "structural"]


def with_content(captured: Captured) -> list[str]:
    spans = captured.spans_named("invoke_agent")
    return [span["gen_ai.agent.name"] for span in spans if "gen_ai.input.messages" in span.attributes]


def good(_: Any) -> float:
    return 1.0
