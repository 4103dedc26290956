"""kaizen_agents' StreamingAgent: it asks the model for the agent it wraps, so what it streams is that agent's run.

Where it cannot stream it runs the agent, whose own run is then the execution (`agents`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kaizen_otel.invocations.stream import watched_generator
from kaizen_otel.invocations.values import attribute_of
from kaizen_otel.patches.agents import describe_base_agent
from kaizen_otel.patches.delegate import observe_delegate_event
from kaizen_otel.patches.patcher import Patcher, Surface
from kaizen_otel.patches.switch import active

if TYPE_CHECKING:
    from kaizen_otel.invocations.agent import AgentRequest

MAX_WRAPPERS = 16


def apply(patcher: Patcher, module: Any) -> None:
    """The path that streams."""
    patcher.wrap(module.StreamingAgent, "_stream_with_client", stream)


SURFACE = Surface("kaizen_agents.streaming_agent", apply)


def stream(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`_stream_with_client(client, **inputs)`: an async generator of events."""
    telemetry = active()
    events = wrapped(*args, **kwargs)
    if telemetry is None:
        return events
    return watched_generator(
        telemetry, events, lambda: telemetry.agent(lambda: describe(instance, kwargs)), observe_delegate_event
    )


def describe(wrapper: Any, inputs: dict[str, Any]) -> AgentRequest:
    """The agent inside all wrappers."""
    agent = wrapper
    for _ in range(MAX_WRAPPERS):
        inner = attribute_of(agent, "_inner")
        if inner is None:
            break
        agent = inner
    return describe_base_agent(agent, inputs)
