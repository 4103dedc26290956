"""Kaizen's own tools, and the LLM node's "regular" tools, whose answers Kaizen makes up; MCP tools: `mcp_clients`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kaizen_otel.invocations.scope import current_scope
from kaizen_otel.invocations.values import attribute_of, bounded_text, entry_of, mapping
from kaizen_otel.invocations.workflow import ToolInvocation
from kaizen_otel.patches.coroutines import in_place_of
from kaizen_otel.patches.mcp_session import TOOL_ERROR
from kaizen_otel.patches.patcher import Patcher, Surface
from kaizen_otel.patches.switch import active

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from kaizen_otel.telemetry import Telemetry

FUNCTION_TOOL = "function"


def apply_llm_agent(patcher: Patcher, module: Any) -> None:
    """The LLM node's regular tools."""
    patcher.wrap(module.LLMAgentNode, "_execute_regular_tool", execute_regular_tool)


def apply_native(patcher: Patcher, module: Any) -> None:
    """Kaizen's own tools: files, shell, search (they need `aiofiles`, which Kaizen does not declare)."""
    patcher.wrap(module.KaizenToolRegistry, "execute", execute_native)


SURFACES = (
    Surface("kaizen.tools.native.registry", apply_native),
    Surface("kaizen.nodes.ai.llm_agent", apply_llm_agent),
)


def execute_native(wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """One call of a native tool: `execute(tool_name, params)`."""
    telemetry = active()
    call = wrapped(*args, **kwargs)
    if telemetry is None:
        return call
    name = args[0] if args else kwargs.get("tool_name")
    params = args[1] if len(args) > 1 else kwargs.get("params")
    return in_place_of(call, lambda call: awaited_tool(telemetry, call, name, params, observe_native))


async def awaited_tool(
    telemetry: Telemetry,
    call: Awaitable[Any],
    name: Any,
    arguments: Any,
    observe: Callable[[ToolInvocation, Any], None],
) -> Any:
    """Await one call of a tool by its name, watched; `observe` reads what it answered."""
    with telemetry.tool(
        lambda: ToolInvocation(
            telemetry, current_scope(), tool_name=bounded_text(name) or "unknown", tool_type=FUNCTION_TOOL
        )
    ) as tool:
        tool.observe(lambda tool: tool.called_with(arguments))
        result = await call
        tool.observe(lambda tool: observe(tool, result))
    return result


def observe_native(tool: ToolInvocation, result: Any) -> None:
    """A `NativeToolResult`: the registry raises nothing, whatever the tool does."""
    tool.result = attribute_of(result, "output")
    if attribute_of(result, "success") is False:
        raised = bounded_text(entry_of(attribute_of(result, "metadata"), "exception_type"))
        tool.failed_with(raised or TOOL_ERROR, bounded_text(attribute_of(result, "error"), 1_024) or "")


def execute_regular_tool(wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """One call of a regular tool. Kaizen 2.46 returns a made-up answer: the span says so."""
    telemetry = active()
    if telemetry is None:
        return wrapped(*args, **kwargs)
    request = args[0] if args else kwargs.get("tool_call")
    with telemetry.tool(lambda: describe_regular(telemetry, request)) as tool:
        result = wrapped(*args, **kwargs)
        tool.observe(lambda tool: observe_regular(tool, result))
    return result


def describe_regular(telemetry: Telemetry, request: Any) -> ToolInvocation:
    """Name and id from the model's tool call, a dictionary or an SDK object."""
    if type(request) is dict:
        function, call_id = entry_of(request, "function"), entry_of(request, "id")
        name = entry_of(function, "name")
        arguments = entry_of(function, "arguments")
    else:
        function, call_id = attribute_of(request, "function"), attribute_of(request, "id")
        name, arguments = attribute_of(function, "name"), attribute_of(function, "arguments")
    tool = ToolInvocation(
        telemetry,
        current_scope(),
        tool_name=bounded_text(name) or "unknown",
        tool_type=FUNCTION_TOOL,
        call_id=bounded_text(call_id),
    )
    tool.called_with(arguments)
    return tool


def observe_regular(tool: ToolInvocation, result: Any) -> None:
    """Recognise the made-up answer."""
    tool.result = result
    tool.simulated = "not yet implemented" in (bounded_text(mapping(result).get("note"), 1_024) or "")
