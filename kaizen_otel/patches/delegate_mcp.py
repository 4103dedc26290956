"""kaizen_agents' own MCP client: JSON-RPC over the pipes of a process, without the SDK (0.13)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from kaizen_otel.invocations.failure import message_of
from kaizen_otel.invocations.mcp import McpClientScope, McpInvocation, McpRequest
from kaizen_otel.invocations.scope import current_scope
from kaizen_otel.invocations.values import attribute_of, bounded_text, entry_of
from kaizen_otel.patches.carriers import current_carrier
from kaizen_otel.patches.coroutines import in_place_of
from kaizen_otel.patches.mcp_clients import STDIO, tool_call
from kaizen_otel.patches.mcp_session import CALL_TOOL, INITIALIZE, TOOL_ERROR, client_scope, within
from kaizen_otel.patches.patcher import Patcher, Surface
from kaizen_otel.patches.switch import active

if TYPE_CHECKING:
    from kaizen_otel.invocations.workflow import ToolInvocation
    from kaizen_otel.telemetry import Telemetry

_ERROR: Final = re.compile(r" error \(code=(-?\d{1,9})\): (.*)", re.DOTALL)
"""How the client says what the server answered with: the code is nowhere else."""

_STDIO_CONFIG: Final = {"transport": "stdio"}

_VERSIONS: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
"""The version of the protocol that a client agreed on with its server; the client does not keep it."""


def apply(patcher: Patcher, module: Any) -> None:
    """What the loop's tools call, and what sends every message."""
    patcher.wrap(module.McpClient, "start", start)
    patcher.wrap(module.McpClient, "call_tool", call_tool)
    patcher.wrap(module.McpClient, "_send_request", send_request)
    patcher.wrap(module.McpClient, "_send_notification", send_notification)


SURFACE = Surface("kaizen_agents.delegate.mcp", apply)


def start(wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`start()`: the server's process, and the first request to it."""
    telemetry = active()
    call = wrapped(*args, **kwargs)
    if telemetry is None:
        return call
    return in_place_of(call, lambda call: within(call, STDIO))


def call_tool(wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`call_tool(name, arguments)`: a tool's own error is a text like any other."""
    telemetry = active()
    call = wrapped(*args, **kwargs)
    if telemetry is None:
        return call
    name = args[0] if args else kwargs.get("name")
    arguments = args[1] if len(args) > 1 else kwargs.get("arguments")
    return in_place_of(call, lambda call: tool_call(telemetry, call, name, arguments, _STDIO_CONFIG, observe_text))


def observe_text(tool: ToolInvocation, result: Any) -> None:
    """What the model is given."""
    tool.result = result


def send_request(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`_send_request(method, params)`."""
    telemetry = active()
    if telemetry is None or len(args) != 2:  # noqa: PLR2004 - both, as the client itself gives them
        return wrapped(*args, **kwargs)
    return _send_request(telemetry, wrapped, instance, args, kwargs)


async def _send_request(
    telemetry: Telemetry, wrapped: Any, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    around = client_scope()
    if around is not None:
        around.asked = True
    with telemetry.operation("mcp", lambda: describe(telemetry, client, *args)) as call:
        result = await wrapped(args[0], with_context(telemetry, args[1]), **kwargs)
        call.observe(lambda call: observe(call, client, result))
    return result


def describe(telemetry: Telemetry, client: Any, method: Any, params: Any) -> McpInvocation:
    """Method, target and identity of a request."""
    scope = client_scope() or McpClientScope(current_scope(), STDIO)
    name = bounded_text(method) or "unknown"
    last = attribute_of(client, "_request_id")
    request = McpRequest(
        name,
        scope.server,
        request_id=str(last + 1) if type(last) is int else None,
        tool=bounded_text(entry_of(params, "name")) if name == CALL_TOOL else None,
        protocol_version=_VERSIONS.get(client),
    )
    return McpInvocation(telemetry, scope, request, json_rpc_error)


def observe(call: McpInvocation, client: Any, result: Any) -> None:
    """The version agreed on; a tool's own error."""
    if call.request.method == INITIALIZE:
        agreed = bounded_text(entry_of(result, "protocolVersion"))
        if agreed is not None:
            _VERSIONS[client] = call.request.protocol_version = agreed
    elif entry_of(result, "isError") is True:
        call.failed_with(TOOL_ERROR)


def json_rpc_error(error: BaseException) -> tuple[int, str] | None:
    """Code and message of the server's error, which the client raises as a `RuntimeError`."""
    found = _ERROR.search(message_of(error)) if type(error) is RuntimeError else None
    return None if found is None else (int(found[1]), found[2])


def send_notification(wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`_send_notification(method, params)`: nothing answers, so there is no span; the server may go on with ours."""
    telemetry = active()
    if telemetry is None or len(args) != 2:  # noqa: PLR2004 - as above
        return wrapped(*args, **kwargs)
    return wrapped(args[0], with_context(telemetry, args[1]), **kwargs)


def with_context(telemetry: Telemetry, params: Any) -> Any:
    """A copy of a message's parameters that carries the current context in `_meta`."""
    with telemetry.fence("mcp.context"):
        carrier = current_carrier()
        said = entry_of(params, "_meta")
        if type(params) is dict and carrier and (said is None or type(said) is dict):
            meta = said or {}
            if meta.keys().isdisjoint(carrier):
                return {**params, "_meta": {**meta, **carrier}}
    return params
