"""Kailash's nodes: a span each, and the execution where a workflow runs an LLM node directly.

`Node.execute` and `AsyncNode.execute_async` cover most classes; some thirty override them (kailash 2.65), so every
class that defines its own is patched too, those defined later included.
"""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Any

from kaizen_otel.invocations.agent import AgentInvocation, AgentRequest
from kaizen_otel.invocations.base import NULL_INVOCATION
from kaizen_otel.invocations.scope import EvaluatorScope, MeasureScope, current_scope
from kaizen_otel.invocations.values import attribute_of, bounded_text, entry_of, mapping
from kaizen_otel.invocations.workflow import NodeInvocation, WorkflowInvocation
from kaizen_otel.patches.node_names import execution_name
from kaizen_otel.patches.patcher import Patcher, Surface
from kaizen_otel.patches.switch import active
from kaizen_otel.patches.watching import awaited, blocking
from kaizen_processors.values import type_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kaizen_otel.invocations.scope import Scope
    from kaizen_otel.patches.watching import Arguments, Begun, Keywords
    from kaizen_otel.telemetry import Telemetry

METHODS = ("execute", "execute_async")
NODE_ERROR = "node_error"
"""`error.type` of what Kaizen's own nodes return of an error: a text, without its class."""

_MAX_MESSAGE = 1_024
"""Characters of it that are told."""


def apply(patcher: Patcher, module: Any) -> None:
    """Patch the base class, what overrides it, and what will."""
    base = module.Node
    for node_class in _family(base):
        _wrap_class(patcher, node_class)

    def init_subclass(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        result = wrapped(*args, **kwargs)
        telemetry = active()
        if telemetry is not None and isinstance(instance, type):
            with telemetry.fence("patch.node_subclass"):
                _wrap_class(patcher, instance)
        return result

    patcher.wrap(base, "__init_subclass__", init_subclass)


SURFACE = Surface("kailash.nodes.base", apply)


def _family(base: Any) -> Iterator[Any]:
    seen = {base}
    waiting = [base]
    while waiting:
        node_class = waiting.pop()
        yield node_class
        for child in type.__subclasses__(node_class):
            if child not in seen:
                seen.add(child)
                waiting.append(child)


def _wrap_class(patcher: Patcher, node_class: Any) -> None:
    for name in METHODS:
        if name in vars(node_class):
            patcher.wrap(node_class, name, EXECUTE_ASYNC if _is_coroutine(vars(node_class)[name]) else EXECUTE)


def _is_coroutine(function: Any) -> bool:
    return inspect.iscoroutinefunction(function)


def by_itself(instance: Any, _args: Arguments, _kwargs: Keywords) -> bool:
    """Whether this very run of the node is being watched: one of its own methods called another."""
    scope = current_scope()
    if isinstance(scope, NodeInvocation):
        return scope.subject is instance and not scope.ended
    return isinstance(scope, AgentInvocation) and scope.request.subject is instance and not scope.ended


def begin(telemetry: Telemetry, instance: Any, _args: Arguments, kwargs: Keywords) -> Begun:
    """Begin the node's span, or the execution that it is."""
    with telemetry.fence("node.describe"):
        scope = current_scope()
        node_class = type_name(instance)
        key = node_key(scope, instance)
        if is_llm_node(instance) and not belongs_to_agent(telemetry, scope, key):
            return begin_execution(telemetry, scope, instance, key, kwargs)
        return telemetry.node(
            lambda: NodeInvocation(
                telemetry,
                scope,
                subject=instance,
                node_class=node_class,
                node_key=key,
                model=bounded_text(kwargs.get("model")),
            )
        )
    return NULL_INVOCATION


def begin_execution(telemetry: Telemetry, scope: Scope | None, instance: Any, key: str, kwargs: Keywords) -> Begun:
    """An LLM node that no agent runs as its own implementation: its span is the `invoke_agent` span."""
    config = attribute_of(instance, "config")
    return telemetry.agent(
        lambda: AgentRequest(
            execution_name(workflow_of(scope), key),
            instance,
            conversation_id=bounded_text(entry_of(config, "conversation_id"))
            or bounded_text(kwargs.get("conversation_id")),
            node_class=type_name(instance),
            node_key=key,
            model=bounded_text(kwargs.get("model")),
            inputs=kwargs.get("messages", entry_of(config, "messages")),
            instructions=kwargs.get("system_prompt", entry_of(config, "system_prompt")),
        )
    )


def is_llm_node(instance: Any) -> bool:
    """Whether the node is Kaizen's LLM node or one derived from it."""
    module = sys.modules.get("kaizen.nodes.ai.llm_agent")
    return module is not None and issubclass(type(instance), module.LLMAgentNode)


def belongs_to_agent(telemetry: Telemetry, scope: Scope | None, key: str) -> bool:
    """Whether an LLM node started here is the implementation of the agent above.

    It is, when between the agent and here there is nothing but the workflow that the agent runs. A node or a tool in
    between means that somebody's workflow was started from inside a run: its LLM nodes are executions of their own.
    So is the node of another agent, known by its name, whose workflow the run started.
    """
    while isinstance(scope, (WorkflowInvocation, MeasureScope)):
        scope = scope.parent
    if not isinstance(scope, AgentInvocation) or not scope.request.owns_nodes:
        return False
    return key == scope.request.agent_name or key not in telemetry.settings_desk.agents


def workflow_of(scope: Scope | None) -> WorkflowInvocation | None:
    """The run of the workflow whose node is started in `scope`, if there is one."""
    while isinstance(scope, (MeasureScope, EvaluatorScope)):
        scope = scope.parent
    return scope if isinstance(scope, WorkflowInvocation) else None


def node_key(scope: Scope | None, instance: Any) -> str:
    """The node's key in its workflow; elsewhere its class name.

    Which of `node.id` and `node.metadata.name` holds the key differs by class (kailash 2.65), so the workflow's own
    table is asked, by identity.
    """
    run = workflow_of(scope)
    if run is not None:
        keys = run.node_keys
        if keys is None:
            table = mapping(attribute_of(run.subject, "_node_instances"))
            keys = run.node_keys = {id(node): name for name, node in list(table.items())}
        found = bounded_text(keys.get(id(instance)))
        if found:
            return found
    return type_name(instance)


def returned_error(instance: Any, result: Any) -> str | None:
    """The error that a node of Kaizen's returned, one of those that return what they fail with (2.46)."""
    for module_name, class_name, error_in in _RETURNING:
        module = sys.modules.get(module_name)
        if module is not None and issubclass(type(instance), getattr(module, class_name)):
            return error_in(result)
    return None


def _status_failed(result: Any) -> str | None:
    """`{"error": …, "status": "failed"}`, and nothing besides."""
    if type(result) is dict and set(result) == {"error", "status"} and bounded_text(result["status"]) == "failed":
        return bounded_text(result["error"], _MAX_MESSAGE) or ""
    return None


def _no_success(result: Any) -> str | None:
    """`{"success": False, "error": …}`."""
    return bounded_text(entry_of(result, "error"), _MAX_MESSAGE) if entry_of(result, "success") is False else None


def _no_analysis(result: Any) -> str | None:
    """`{"error": …, "analysis_metadata": {"error": …}}`: the same text twice."""
    error = bounded_text(entry_of(result, "error"), _MAX_MESSAGE)
    again = bounded_text(entry_of(entry_of(result, "analysis_metadata"), "error"), _MAX_MESSAGE)
    return error if error == again else None


_RETURNING = (
    ("kaizen.nodes.base", "KaizenNode", _status_failed),
    ("kaizen.nodes.compliance.gdpr", "GDPRComplianceNode", _no_success),
    ("kaizen.nodes.security.ai_behavior_analysis", "AIBehaviorAnalysisNode", _no_analysis),
    ("kaizen.nodes.security.ai_threat_detection", "AIThreatDetectionNode", _no_analysis),
)


def observe_result(node: AgentInvocation | NodeInvocation, result: Any) -> None:
    """A node that says it failed, in Kaizen's own shapes; any other node's result is the user's business."""
    instance = node.request.subject if isinstance(node, AgentInvocation) else node.subject
    if not is_llm_node(instance):
        error = returned_error(instance, result)
        if error is not None:
            node.failed_with(NODE_ERROR, error)
        return
    if type(result) is dict and result.get("success") is False and "error" in result and "error_type" in result:
        node.failed_with(
            bounded_text(result.get("error_type")) or "error", bounded_text(result.get("error"), _MAX_MESSAGE) or ""
        )
    if isinstance(node, AgentInvocation):
        node.returned(result)


EXECUTE = blocking(begin, observe_result, unless=by_itself)
"""A node that blocks."""
EXECUTE_ASYNC = awaited(begin, observe_result, unless=by_itself)
"""A node that is awaited."""
