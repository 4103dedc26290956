"""kaizen_agents' deprecated `api.Agent`: a run is one execution, which tells the error that it returns (0.13).

With Kaizen 2.46 each run returns one: it makes Kaizen's `ExecutionContext` with an argument that this does not take.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kaizen_otel.invocations.agent import AgentInvocation, AgentRequest
from kaizen_otel.invocations.failure import Failure
from kaizen_otel.invocations.values import attribute_of, bounded_text
from kaizen_otel.patches.agents import by_itself
from kaizen_otel.patches.patcher import Patcher, Surface
from kaizen_otel.patches.runtime_adapters import FAILED, INTERRUPTED
from kaizen_otel.patches.watching import awaited
from kaizen_processors.values import type_name

if TYPE_CHECKING:
    from kaizen_otel.patches.watching import Arguments, Begun, Keywords
    from kaizen_otel.telemetry import Telemetry


def apply(patcher: Patcher, module: Any) -> None:
    """`run`, which `run_sync` and `chat` call, and `stream` of a runtime that cannot stream."""
    patcher.wrap(module.Agent, "run", awaited(begin, observe, unless=by_itself))


SURFACE = Surface("kaizen_agents.api.agent", apply)


def begin(telemetry: Telemetry, agent: Any, args: Arguments, kwargs: Keywords) -> Begun:
    """`run(task, …)`. Such an agent has no name, so its class is told."""
    return telemetry.agent(
        lambda: AgentRequest(
            type_name(agent),
            agent,
            session_id=bounded_text(attribute_of(agent, "_session_id")),
            inputs=args[0] if args else kwargs.get("task"),
            instructions=attribute_of(agent, "_system_prompt"),
        )
    )


def observe(run: AgentInvocation, result: Any) -> None:
    """An `AgentResult`: what the run failed with is in it."""
    run.returned(attribute_of(result, "text"))
    status = bounded_text(attribute_of(attribute_of(result, "status"), "value"))
    if status in FAILED:
        error_type = bounded_text(attribute_of(result, "error_type")) or status
        run.failed(error_type, bounded_text(attribute_of(result, "error"), 1_024) or "")
    elif status == INTERRUPTED:
        run.failure = Failure(INTERRUPTED, cancelled=True)
