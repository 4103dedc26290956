"""kaizen_agents' Delegate: each run is one execution, whether its events are read or `run_sync` reads them.

`AgentLoop.run_turn` below it is one, too, where somebody else asks for it (`run_print`, the wrappers, the terminal).
"""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context

from kaizen_otel.invocations.agent import AgentInvocation, AgentRequest
from kaizen_otel.invocations.base import NULL_INVOCATION, CarriedContext
from kaizen_otel.invocations.call import CallInvocation, CallRequest
from kaizen_otel.invocations.scope import current_scope
from kaizen_otel.invocations.stream import watched_generator
from kaizen_otel.invocations.values import attribute_of, bounded_text, entry_of, mapping
from kaizen_otel.patches import stream_adapters
from kaizen_otel.patches.coroutines import in_place_of
from kaizen_otel.patches.llm_client import MAX_COLLECTED_CHARS
from kaizen_otel.patches.mcp_session import TOOL_ERROR
from kaizen_otel.patches.patcher import Patcher, Surface, contains_ours
from kaizen_otel.patches.standins import along, method_of
from kaizen_otel.patches.switch import active
from kaizen_otel.patches.tools import awaited_tool
from kaizen_processors.values import type_name
from kaizen_semconv import gen_ai as g

if TYPE_CHECKING:
    from kaizen_otel.invocations.base import Invocation, NullInvocation
    from kaizen_otel.invocations.workflow import ToolInvocation
    from kaizen_otel.telemetry import Telemetry

MAX_ERROR_JSON = 65_536
"""Longest answer of a tool that is looked at for an error; the longer ones are answers."""


def apply_delegate(patcher: Patcher, module: Any) -> None:
    """The facade, and the bridge that its wrappers run."""
    patcher.wrap(module.Delegate, "run", run)
    patcher.wrap(module._LoopAgent, "run", run_bridge)  # noqa: SLF001 - what every wrapper around a Delegate runs


def apply_loop(patcher: Patcher, module: Any) -> None:
    """The loop of model calls and tools."""
    patcher.wrap(module.AgentLoop, "run_turn", run_turn)
    patcher.wrap(module.AgentLoop, "_stream_completion", stream_completion)
    patcher.wrap(module.AgentLoop, "_execute_tool_calls", execute_tool_calls)
    patcher.wrap(module.ToolRegistry, "execute", execute_tool)


SURFACES = (
    Surface("kaizen_agents.delegate.delegate", apply_delegate),
    Surface("kaizen_agents.delegate.loop", apply_loop),
)


# -- executions ---------------------------------------------------------------------------------------------------


def run(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`Delegate.run(prompt)`: an async generator of events."""
    telemetry = active()
    events = wrapped(*args, **kwargs)
    if telemetry is None:
        return events
    return watched_generator(
        telemetry, events, lambda: telemetry.agent(lambda: describe(instance)), observe_delegate_event
    )


def describe(runner: Any) -> AgentRequest:
    """Who runs: neither a Delegate nor a loop has a name, so its class is told."""
    return AgentRequest(type_name(runner), runner)


def observe_delegate_event(run: AgentInvocation, event: Any) -> None:
    """What the run came to. An error is an event here, and only the class of the exception is left of it.

    `TurnComplete.usage` is the sum of the session's runs so far (kaizen-agents 0.13): it is not looked at.
    """
    kind = type_name(event)
    if kind == "TurnComplete":
        run.returned(attribute_of(event, "text"))
    elif kind == "ErrorEvent":
        cause = bounded_text(entry_of(attribute_of(event, "details"), "exception_type"))
        run.failed(cause or kind, bounded_text(attribute_of(event, "error"), 1_024) or "")
    elif kind == "BudgetExhausted":
        run.failed(kind)


def run_turn(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`AgentLoop.run_turn(user_message)`: an async generator of text."""
    telemetry = active()
    texts = wrapped(*args, **kwargs)
    if telemetry is None:
        return texts
    return watched_generator(telemetry, texts, lambda: begin_turn(telemetry, instance), observe_text)


def observe_text(run: AgentInvocation, text: Any) -> None:
    """Put the answer together, up to what may be of use."""
    said = run.output if type(run.output) is str else ""
    if len(said) < MAX_COLLECTED_CHARS:
        run.returned(said + (bounded_text(text, MAX_COLLECTED_CHARS) or ""))


def begin_turn(telemetry: Telemetry, loop: Any) -> Invocation | NullInvocation:
    """One execution; none where it is the Delegate's own loop that runs."""
    scope = current_scope()
    if isinstance(scope, AgentInvocation) and not scope.ended:
        subject = scope.request.subject
        if subject is loop or attribute_of(subject, "_loop") is loop:
            return NULL_INVOCATION
    return telemetry.agent(lambda: describe(loop))


def run_bridge(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`_LoopAgent.run`: inside a running event loop it runs the turn in a thread with an empty context."""
    telemetry = active()
    if telemetry is None:
        return wrapped(*args, **kwargs)
    context = otel_context.get_current()

    def carried(turn: Any) -> Any:
        def start(*args: Any, **kwargs: Any) -> Any:
            texts = turn(*args, **kwargs)
            return watched_generator(telemetry, texts, lambda: CarriedContext(context), lambda *_: None)

        return start

    return method_of(wrapped, along(instance, "_loop.run_turn", carried), instance)(*args, **kwargs)


# -- model calls that no adapter of Kaizen's makes ----------------------------------------------------------------


def stream_completion(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """One model call of the loop: by a bare OpenAI client, or by an adapter of the application's own."""
    telemetry = active()
    adapter = attribute_of(instance, "_adapter")
    if telemetry is None or contains_ours(inspect.getattr_static(type(adapter), "stream_chat", None)):
        return wrapped(*args, **kwargs)
    vendor = stream_adapters.OPENAI if adapter is None else None
    call = wrapped if vendor is None else method_of(wrapped, stream_adapters.seen_by(instance, vendor), instance)
    return watched_generator(
        telemetry,
        call(*args, **kwargs),
        lambda: stream_adapters.begin(telemetry, lambda: loop_request(instance, vendor)),
        observe_completion,
    )


def loop_request(loop: Any, vendor: stream_adapters.Vendor | None) -> CallRequest:
    """What the loop asks for."""
    config = attribute_of(loop, "_config")
    address, port = (None, None) if vendor is None else stream_adapters.server_of(loop, vendor)
    return CallRequest(
        g.GenAiOperationName.CHAT.value,
        bounded_text(attribute_of(config, "provider")) if vendor is None else vendor.provider,
        bounded_text(attribute_of(config, "model")),
        server_address=address,
        server_port=port,
        streaming=True,
        messages=attribute_of(attribute_of(loop, "_conversation"), "messages"),
    )


def observe_completion(call: CallInvocation, event: Any) -> None:
    """`(event type, StreamResult)`."""
    if call.first_chunk_ns is None:
        call.first_chunk()
    kind, result = event
    if kind == "done":
        stream_adapters.observe_end(call, result)
        call.output = {
            "text": bounded_text(attribute_of(result, "content"), MAX_COLLECTED_CHARS) or "",
            "tool_calls": attribute_of(result, "tool_calls") or [],
        }


# -- tools --------------------------------------------------------------------------------------------------------


def execute_tool_calls(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The tools of one answer: where a hydrator chooses them, it hands their functions straight to the loop."""
    telemetry = active()
    if telemetry is None:
        return wrapped(*args, **kwargs)

    def looked_up(get_executor: Any) -> Any:
        def get(name: Any) -> Any:
            executor = get_executor(name)
            return None if executor is None else watched_executor(telemetry, name, executor)

        return get

    seen = instance
    if attribute_of(instance, "_hydrator") is not None:
        seen = along(instance, "_hydrator.get_executor_force", looked_up)
    return method_of(wrapped, seen, instance)(*args, **kwargs)


def watched_executor(telemetry: Telemetry, name: Any, executor: Any) -> Any:
    """The tool's own function, watched."""

    def execute(**arguments: Any) -> Any:
        call = executor(**arguments)
        return in_place_of(call, lambda call: awaited_tool(telemetry, call, name, arguments, observe_tool))

    return execute


def execute_tool(wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`ToolRegistry.execute(name, arguments)`."""
    telemetry = active()
    call = wrapped(*args, **kwargs)
    if telemetry is None:
        return call
    name = args[0] if args else kwargs.get("name")
    arguments = args[1] if len(args) > 1 else kwargs.get("arguments")
    return in_place_of(call, lambda call: awaited_tool(telemetry, call, name, arguments, observe_tool))


def observe_tool(tool: ToolInvocation, result: Any) -> None:
    """A tool's answer. An error that it does not raise is by custom JSON: an object with an `error` in it."""
    tool.result = result
    if type(result) is not str or len(result) > MAX_ERROR_JSON or not result.lstrip().startswith("{"):
        return
    try:
        answer = json.loads(result)
    except (ValueError, RecursionError):
        return  # a text that begins with a brace
    message = mapping(answer).get("error")
    if message:
        tool.failed_with(TOOL_ERROR, bounded_text(message, 1_024) or "")
