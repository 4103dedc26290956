"""Every way in which Kailash and Kaizen are clients of MCP servers: each marks what it asks of which server.

A tool call is one `execute_tool`; the requests below it are watched where the MCP SDK sends them (`mcp_session`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from opentelemetry import context as otel_context

from kaizen_otel.invocations.mcp import McpServer, attempt_failed
from kaizen_otel.invocations.scope import current_scope
from kaizen_otel.invocations.values import attribute_of, bounded_text, entry_of, mapping
from kaizen_otel.invocations.workflow import ToolInvocation
from kaizen_otel.patches.context_fix import carried
from kaizen_otel.patches.coroutines import in_place_of
from kaizen_otel.patches.mcp_session import TOOL_ERROR, client_scope, peeled, reached, within
from kaizen_otel.patches.patcher import Patcher, Surface
from kaizen_otel.patches.standins import Standin, method_of
from kaizen_otel.patches.switch import active

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from kaizen_otel.telemetry import Telemetry

EXTENSION_TOOL = "extension"
"""The conventions' word for a tool that runs outside the model's process, on the agent's side."""

STDIO: Final = McpServer("pipe")
NOWHERE: Final = McpServer()
"""A session that the application opened: who is at its other end is not told."""

_PROTOCOLS: Final = {"sse": "http", "http": "http", "websocket": "websocket"}
_PORTS: Final = {"https": 443, "wss": 443}
_ATTEMPTS: Final = ("_call_tool_stdio", "_call_tool_sse", "_call_tool_http", "_call_tool_websocket")
_DISCOVERIES: Final = tuple(f"_discover_tools_{transport}" for transport in ("stdio", "sse", "http", "websocket"))
_OF_A_SESSION: Final = ("list_resources", "read_resource", "list_prompts", "get_prompt")


def apply_client(patcher: Patcher, module: Any) -> None:
    """The MCP client of kailash, in a package of its own since kailash 2.3."""
    patcher.wrap(module.MCPClient, "call_tool", call_tool)
    patcher.wrap(module.MCPClient, "discover_tools", asking_configured)
    patcher.wrap(module.MCPClient, "read_resource_simple", asking_own)
    for name in _DISCOVERIES:
        patcher.wrap(module.MCPClient, name, reaching)
    for name in _OF_A_SESSION:
        patcher.wrap(module.MCPClient, name, asking_session)


def apply_mixin(patcher: Patcher, module: Any) -> None:
    """An agent's resources and prompts: it opens a session for each."""
    patcher.wrap(module.MCPMixin, "_with_mcp_session", asking_configured)


def apply_middleware(patcher: Patcher, module: Any) -> None:
    """The connections of kailash's middleware, which keep their sessions."""
    connection = module.MCPServerConnection
    patcher.wrap(connection, "call_tool", call_connected_tool)
    for name in ("connect", "get_resource", "ping"):
        patcher.wrap(connection, name, asking_connection)
    patcher.wrap(connection, "_enter_cm", reaching)


def apply_executor(patcher: Patcher, module: Any) -> None:
    """The node that runs a tool of a server that speaks SSE, with a circuit breaker around it."""
    patcher.wrap(module, "_execute_mcp_tool", execute_at)


SURFACES = (
    Surface("kailash_mcp.client", apply_client),
    Surface("kailash.mcp_server.client", apply_client),
    Surface("kaizen.core.mcp_mixin", apply_mixin),
    Surface("kailash.middleware.mcp.client_integration", apply_middleware),
    Surface("kailash.nodes.enterprise.mcp_executor", apply_executor),
)


# -- tools --------------------------------------------------------------------------------------------------------


def call_tool(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """One call of an MCP tool: `call_tool(server_config, tool_name, arguments, timeout)`."""
    telemetry = active()
    if telemetry is None:
        return wrapped(*args, **kwargs)
    seen, tools = instance, list[ToolInvocation]()
    for attempt_name in _ATTEMPTS:
        seen = Standin(seen, attempt_name, lambda attempt: _noting(telemetry, attempt, tools))
    call = method_of(wrapped, seen, instance)(*args, **kwargs)
    server = args[0] if args else kwargs.get("server_config")
    name = args[1] if len(args) > 1 else kwargs.get("tool_name")
    arguments = args[2] if len(args) > 2 else kwargs.get("arguments")  # noqa: PLR2004 - the third argument
    return in_place_of(
        call, lambda call: tool_call(telemetry, call, name, arguments, server, observe_client, started=tools.append)
    )


async def tool_call(  # noqa: PLR0913 - what a call of a tool is made of
    telemetry: Telemetry,
    call: Awaitable[Any],
    name: Any,
    arguments: Any,
    server: Any,
    observe: Callable[[ToolInvocation, Any], None],
    *,
    started: Callable[[ToolInvocation], object] = lambda _: None,
) -> Any:
    """Await one call of a tool of an MCP server: one `execute_tool`, whoever began it."""
    outer = tool_around(name)
    if outer is not None:
        return await within(call, server_at(telemetry, server), outer)
    with telemetry.tool(lambda: describe_tool(telemetry, name)) as tool:
        if not isinstance(tool, ToolInvocation):
            return await call
        tool.observe(lambda tool: tool.called_with(arguments))
        started(tool)
        result = await within(call, server_at(telemetry, server), tool)
        tool.observe(lambda tool: observe(tool, result))
    return result


def describe_tool(telemetry: Telemetry, name: Any) -> ToolInvocation:
    """A tool by its name."""
    return ToolInvocation(
        telemetry, current_scope(), tool_name=bounded_text(name) or "unknown", tool_type=EXTENSION_TOOL
    )


def tool_around(name: Any) -> ToolInvocation | None:
    """The call of this very tool, when it is what runs right here: its registry calls it `mcp_{server}_{tool}`."""
    scope, known = current_scope(), bounded_text(name)
    if not isinstance(scope, ToolInvocation) or scope.ended or scope.mcp_request is not None or not known:
        return None
    called = scope.tool_name
    return scope if called == known or (called.startswith("mcp_") and called.endswith(f"_{known}")) else None


def observe_client(tool: ToolInvocation, result: Any) -> None:
    """The client never raises, and says `success: True` even when the tool's own result `isError` (kailash-mcp 0.6)."""
    answer = mapping(result)
    tool.result = answer.get("content")
    if answer.get("success") is False:
        tool.failed_with(
            bounded_text(answer.get("error_code")) or TOOL_ERROR, bounded_text(answer.get("error"), 1_024) or ""
        )
    elif attribute_of(answer.get("result"), "isError") is True:
        tool.failed_with(TOOL_ERROR)


def _noting(telemetry: Telemetry, attempt: Any, tools: list[ToolInvocation]) -> Any:
    """One of the client's attempts; what it raises is noted, for the client swallows it."""

    def call(*args: Any, **kwargs: Any) -> Any:
        return in_place_of(attempt(*args, **kwargs), noted)

    async def noted(attempt: Awaitable[Any]) -> Any:
        for tool in tools:
            tool.request_failure = None
        try:
            return await attempt
        except Exception as error:
            with telemetry.fence("mcp.attempt"):
                for tool in tools:
                    attempt_failed(tool, peeled(error))
            raise

    return call


def call_connected_tool(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`MCPServerConnection.call_tool(tool_name, arguments, session_id)`."""
    telemetry = active()
    call = wrapped(*args, **kwargs)
    if telemetry is None:
        return call
    name = args[0] if args else kwargs.get("tool_name")
    arguments = args[1] if len(args) > 1 else kwargs.get("arguments")
    server = attribute_of(instance, "connection_config")
    return in_place_of(call, lambda call: tool_call(telemetry, call, name, arguments, server, observe_connected))


def observe_connected(tool: ToolInvocation, result: Any) -> None:
    """A connection does not raise; a tool's own error is in what it found."""
    answer = mapping(result)
    found = mapping(answer.get("tool_result"))
    tool.result = found.get("result")
    if answer.get("success") is False or found.get("is_error") is True:
        tool.failed_with(TOOL_ERROR, bounded_text(answer.get("error"), 1_024) or "")


def execute_at(wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`_execute_mcp_tool(server_id, tool_name, params)`, where the server's id is its URL."""
    telemetry = active()
    call = wrapped(*args, **kwargs)
    if telemetry is None:
        return call
    server = args[0] if args else kwargs.get("server_id")
    name = args[1] if len(args) > 1 else kwargs.get("tool_name")
    params = args[2] if len(args) > 2 else kwargs.get("params")  # noqa: PLR2004 - the third argument
    context = otel_context.get_current()  # inside a running event loop the node awaits this in a thread of its own
    return in_place_of(
        call, lambda call: carried(tool_call(telemetry, call, name, params, server, observe_executed), context)
    )


def observe_executed(tool: ToolInvocation, result: Any) -> None:
    """`{"data": …, "is_error": …}`; what fails on the way is raised."""
    tool.result = entry_of(result, "data")
    if entry_of(result, "is_error") is True:
        tool.failed_with(TOOL_ERROR)


# -- everything else that is asked of a server --------------------------------------------------------------------


def asking_configured(wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A method whose first argument says which server."""
    return _asking(wrapped(*args, **kwargs), args[0] if args else kwargs.get("server_config"))


def asking_own(wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A method for the server of the client's own configuration, which it starts itself."""
    return _asking(wrapped(*args, **kwargs), {"transport": "stdio"})


def asking_connection(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A method of a connection."""
    return _asking(wrapped(*args, **kwargs), attribute_of(instance, "connection_config"))


def asking_session(wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A method whose first argument is a session: opened by Kaizen, around us, or by the application."""
    call = wrapped(*args, **kwargs)
    return call if client_scope() is not None else _asking(call, None)


def _asking(call: Any, server: Any) -> Any:
    telemetry = active()
    if telemetry is None:
        return call
    return in_place_of(call, lambda call: within(call, server_at(telemetry, server)))


def reaching(wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A part of these that starts a server or connects to it, and whose errors the client swallows."""
    return in_place_of(wrapped(*args, **kwargs), reached)


# -- servers ------------------------------------------------------------------------------------------------------


def server_at(telemetry: Telemetry, config: Any) -> McpServer:
    """Where a client finds its server: a URL, or a dictionary with `transport` and `url`; None: it is not told."""
    with telemetry.fence("mcp.server"):
        if config is None:
            return NOWHERE
        url = bounded_text(config, 2_048) or bounded_text(entry_of(config, "url"), 2_048)
        scheme = (url or "").partition(":")[0]
        transport = bounded_text(entry_of(config, "transport")) or ("websocket" if scheme in {"ws", "wss"} else "sse")
        if type(config) is dict and "transport" not in config:
            transport = "stdio"
        protocol = _PROTOCOLS.get(transport)
        if protocol is None or url is None:
            return STDIO if transport == "stdio" else NOWHERE
        parts = urlsplit(url)
        return McpServer("tcp", protocol, bounded_text(parts.hostname), parts.port or _PORTS.get(parts.scheme, 80))
    return NOWHERE
