"""Kaizen's own agents: each run is one execution, whichever of their methods starts it."""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from kaizen_otel.invocations.agent import AgentInvocation, AgentRequest
from kaizen_otel.invocations.base import NULL_INVOCATION
from kaizen_otel.invocations.scope import current_scope
from kaizen_otel.invocations.values import attribute_of, bounded_text, entry_of
from kaizen_otel.patches.patcher import Patcher, Surface
from kaizen_otel.patches.switch import active
from kaizen_otel.patches.watching import awaited, blocking
from kaizen_processors.values import type_name

if TYPE_CHECKING:
    from kaizen_otel.patches.watching import Arguments, Begun, Keywords
    from kaizen_otel.telemetry import Telemetry

AGENT_METHODS = ("execute_workflow", "execute_cot", "execute_react", "execute_multi_round")
"""Methods that run the agent's own implementation, whatever their arguments."""

_NO_INPUTS = frozenset({"agent", "session_id"})
"""Arguments of `AgentLoop` that are not the agent's inputs."""

_DEFAULT_ID = re.compile(r"agent_\d+$")
"""What `BaseAgent` calls an agent that nobody named: the address of the object, so never a name or a label."""


def apply_agents(patcher: Patcher, module: Any) -> None:
    """`kaizen.core.agents.Agent`: made by `Kaizen.create_agent`."""
    patcher.wrap(module.Agent, "execute", blocking(begin_execute, observe_agent, unless=by_itself))
    for name in AGENT_METHODS:
        patcher.wrap(module.Agent, name, blocking(begin_agent, observe_agent, unless=by_itself))
    communicate = blocking(begin_answer, observe_agent, unless=lambda *call: already_watched(_answering(*call)))
    patcher.wrap(module.Agent, "communicate_with", communicate)


def apply_agent_loop(patcher: Patcher, module: Any) -> None:
    """`AgentLoop`: what every `BaseAgent.run` and `run_async` goes through (kaizen >= 2.7).

    The loop never calls itself: a run inside a run is an agent that calls itself.
    """
    patcher.wrap(module.AgentLoop, "run_sync", blocking(begin_loop, observe_base_agent))
    patcher.wrap(module.AgentLoop, "run_async", awaited(begin_loop, observe_base_agent))


def apply_base_agent(patcher: Patcher, module: Any) -> None:
    """`BaseAgent._handle_error`: where an exception becomes a dictionary and would be lost.

    Before `AgentLoop` (kaizen < 2.7) the loop stands in `run` and `run_async` themselves. An override that calls them
    is the same run.
    """
    patcher.wrap(module.BaseAgent, "_handle_error", handle_error)
    if find_spec("kaizen.core.agent_loop") is None:
        patcher.wrap(module.BaseAgent, "run", blocking(begin_base_agent, observe_base_agent, unless=by_itself))
        patcher.wrap(module.BaseAgent, "run_async", awaited(begin_base_agent, observe_base_agent, unless=by_itself))


SURFACES = (
    Surface("kaizen.core.agents", apply_agents),
    Surface("kaizen.core.agent_loop", apply_agent_loop),
    Surface("kaizen.core.base_agent", apply_base_agent),
)


# -- kaizen.core.agents.Agent -------------------------------------------------------------------------------------


def begin_execute(telemetry: Telemetry, agent: Any, args: Arguments, kwargs: Keywords) -> Begun:
    """`Agent.execute(workflow=None, **inputs)`: a run of the agent, or of a workflow that the caller hands in."""
    workflow = args[0] if args else kwargs.get("workflow")
    # A workflow that the caller hands in is the caller's: its LLM nodes are executions of their own.
    owns_nodes = workflow is None or issubclass(type(workflow), str)
    return telemetry.agent(lambda: describe_agent(agent, asked_of(kwargs, workflow), owns_nodes=owns_nodes))


def begin_agent(telemetry: Telemetry, agent: Any, args: Arguments, kwargs: Keywords) -> Begun:
    """One run of a `kaizen.core.agents.Agent`."""
    return telemetry.agent(lambda: describe_agent(agent, {"inputs": args[0]} if args else kwargs))


def begin_answer(telemetry: Telemetry, agent: Any, args: Arguments, kwargs: Keywords) -> Begun:
    """`Agent.communicate_with(target_agent, message)`: the target answers, so it is a run of the target."""
    message = args[1] if len(args) > 1 else kwargs.get("message")
    return telemetry.agent(lambda: describe_agent(_answering(agent, args, kwargs), message))


def _answering(agent: Any, args: Arguments, kwargs: Keywords) -> Any:
    target = args[0] if args else kwargs.get("target_agent")
    return agent if target is None else target


def already_watched(agent: Any) -> bool:
    """Whether this very run is being watched: one of the agent's own methods called another."""
    scope = current_scope()
    return isinstance(scope, AgentInvocation) and scope.request.subject is agent and not scope.ended


def by_itself(agent: Any, _args: Arguments, _kwargs: Keywords) -> bool:
    """The same, of a method of the agent."""
    return already_watched(agent)


def asked_of(kwargs: dict[str, Any], workflow: Any) -> dict[str, Any]:
    """What `Agent.execute` was given for the agent: a text in the workflow's place is a question."""
    asked = {name: value for name, value in kwargs.items() if name != "workflow"}
    return {"question": workflow, **asked} if issubclass(type(workflow), str) else asked


def describe_agent(agent: Any, inputs: Any, *, owns_nodes: bool = True) -> AgentRequest:
    """Who runs, with what."""
    return AgentRequest(
        bounded_text(attribute_of(agent, "agent_id")) or bounded_text(attribute_of(agent, "name")) or "agent",
        agent,
        owns_nodes=owns_nodes,
        expected_fields=output_fields(attribute_of(agent, "signature")),
        inputs=inputs,
        instructions=entry_of(attribute_of(agent, "config"), "system_prompt"),
    )


def observe_agent(run: AgentInvocation, result: Any) -> None:
    """`Agent` swallows what its workflow fails with and answers with a placeholder: the workflow knows better."""
    if run.workflow_failure is not None:
        run.failed(run.workflow_failure.error_type)
    run.returned(result)


# -- kaizen.core.agent_loop.AgentLoop -----------------------------------------------------------------------------


def begin_loop(telemetry: Telemetry, _loop: Any, args: Arguments, kwargs: Keywords) -> Begun:
    """`AgentLoop.run_sync(agent, **inputs)`, or `run_async`: one run of a `BaseAgent`."""
    agent = args[0] if args else kwargs.get("agent")
    around = current_scope()
    if (
        isinstance(around, AgentInvocation)
        and around.request.owns_agents
        and around.request.subject is not agent
        and not around.ended
    ):
        return NULL_INVOCATION
    return begin_base_agent(telemetry, agent, args, kwargs)


def begin_base_agent(telemetry: Telemetry, agent: Any, _args: Arguments, kwargs: Keywords) -> Begun:
    """One run of a `BaseAgent`."""
    return telemetry.agent(lambda: describe_base_agent(agent, kwargs))


def describe_base_agent(agent: Any, inputs: dict[str, Any]) -> AgentRequest:
    """Who runs, in which session (`AgentLoop` takes `session_id` out of the inputs)."""
    return AgentRequest(
        name_of_base_agent(agent),
        agent,
        expected_fields=output_fields(attribute_of(agent, "signature")),
        session_id=bounded_text(inputs.get("session_id")),
        inputs={name: value for name, value in inputs.items() if name not in _NO_INPUTS},
    )


def name_of_base_agent(agent: Any) -> str:
    """The id that somebody gave the agent, or its class."""
    name = bounded_text(attribute_of(agent, "agent_id"))
    return type_name(agent) if not name or _DEFAULT_ID.match(name) else name


def observe_base_agent(run: AgentInvocation, result: Any) -> None:
    """`AgentLoop` returns its error instead of raising it."""
    if run.failure is None and is_error(result):
        run.failed(bounded_text(result["type"]) or "error", bounded_text(result["error"], 1_024) or "")
    run.returned(result)


def is_error(result: Any) -> bool:
    """Whether it is what `AgentLoop` returns instead of raising: `{"error", "type", "success": False}`."""
    return entry_of(result, "success") is False and type(entry_of(result, "type")) is str and "error" in result


def handle_error(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Take notice of the exception that is about to become a dictionary."""
    telemetry = active()
    if telemetry is not None:
        with telemetry.fence("agent.error"):
            error = args[0] if args else kwargs.get("error")
            scope = current_scope()
            if (
                isinstance(scope, AgentInvocation)
                and scope.request.subject is instance
                and isinstance(error, Exception)
            ):
                scope.failed(type_name(error), error=error)
    return wrapped(*args, **kwargs)


# -- both ---------------------------------------------------------------------------------------------------------


def output_fields(signature: Any) -> tuple[str, ...] | None:
    """The output fields that a signature promises; None without one, or for a kind that has no such table."""
    fields = attribute_of(signature, "output_fields")
    if type(fields) is not dict:
        return None
    names = tuple(name for name in (bounded_text(key) for key in list(fields)[:64]) if name)
    return names or None
