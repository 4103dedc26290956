"""kaizen_agents' autonomous agents: their loop goes round without `AgentLoop`, so it is the execution itself.

The loop and not `run`: Kaizen's mixins keep the bound `run` of an agent that was made before us.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kaizen_otel.patches.agents import already_watched, describe_base_agent, observe_base_agent
from kaizen_otel.patches.coroutines import in_place_of
from kaizen_otel.patches.patcher import Patcher, Surface
from kaizen_otel.patches.switch import active

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from kaizen_otel.telemetry import Telemetry


def apply(patcher: Patcher, module: Any) -> None:
    """`BaseAutonomousAgent`, and with it the agents derived from it."""
    patcher.wrap(module.BaseAutonomousAgent, "_autonomous_loop", loop)


SURFACE = Surface("kaizen_agents.agents.autonomous.base", apply)


def loop(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`_autonomous_loop(task, session_id=None)`."""
    telemetry = active()
    call = wrapped(*args, **kwargs)
    if telemetry is None:
        return call
    return in_place_of(call, lambda call: _loop(telemetry, call, instance, kwargs))


async def _loop(telemetry: Telemetry, call: Awaitable[Any], agent: Any, inputs: dict[str, Any]) -> Any:
    if already_watched(agent):
        return await call
    with telemetry.agent(lambda: describe_base_agent(agent, inputs)) as run:
        result = await call
        run.observe(lambda run: observe_base_agent(run, result))
    return result
