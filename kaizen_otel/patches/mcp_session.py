"""The session of the MCP SDK, below Kailash's clients: each request they make, with the trace's context in it.

Only requests made right inside an `McpClientScope`, which the clients' own patches attach, are watched and changed.
"""

from __future__ import annotations

from asyncio import CancelledError
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from kaizen_otel.invocations.failure import Failure
from kaizen_otel.invocations.mcp import McpClientScope, McpInvocation, McpRequest, McpUnreached
from kaizen_otel.invocations.scope import attach, current_scope, detach, with_scope
from kaizen_otel.invocations.values import attribute_of, bounded_text
from kaizen_otel.patches.carriers import current_carrier
from kaizen_otel.patches.patcher import Patcher, Surface
from kaizen_otel.patches.switch import active

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from kaizen_otel.invocations.mcp import McpServer
    from kaizen_otel.invocations.workflow import ToolInvocation
    from kaizen_otel.telemetry import Telemetry

TOOL_ERROR = "tool_error"
"""`error.type` of a tool that reported an error of its own (the conventions' value for `isError`)."""

INITIALIZE, CALL_TOOL, GET_PROMPT = "initialize", "tools/call", "prompts/get"

_VERSIONS: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
"""The version of the protocol that a session's two sides agreed on: the SDK keeps it nowhere (1.30)."""


def apply_session(patcher: Patcher, module: Any) -> None:
    """What every session of the SDK sends by; those of servers are never in a scope of ours."""
    patcher.wrap(module.BaseSession, "send_request", send_request)
    patcher.wrap(module.BaseSession, "send_notification", send_notification)


def apply_streamable_http(patcher: Patcher, module: Any) -> None:
    """The transport that knows its session's id, and tells only who opens it."""
    patcher.wrap(module, "streamable_http_client", open_streamable_http)


SURFACES = (
    Surface("mcp.shared.session", apply_session),
    Surface("mcp.client.streamable_http", apply_streamable_http),
)


async def within(call: Awaitable[Any], server: McpServer, tool: ToolInvocation | None = None) -> Any:
    """Await what makes requests to this server."""
    scope = McpClientScope(current_scope(), server, tool)
    attached = attach(with_scope(scope), scope)
    try:
        return await (reached(call) if tool is None else call)
    finally:
        detach(attached)


def client_scope() -> McpClientScope | None:
    """The scope that a request of a client of Kailash's is made in; None for all other requests."""
    scope = current_scope()
    return scope if type(scope) is McpClientScope else None


async def reached(call: Awaitable[Any]) -> Any:
    """Await what starts a server, or connects to it, where its requests are watched."""
    telemetry, scope = active(), client_scope()
    return await (call if telemetry is None or scope is None else _connecting(telemetry, scope, call))


async def _connecting(telemetry: Telemetry, scope: McpClientScope, call: Awaitable[Any]) -> Any:
    """Await it, and tell what is raised, unless a request has told it."""
    since, before = 0, scope.wait()
    with telemetry.fence("clock"):
        since = telemetry.clock.monotonic_ns()
    try:
        return await call
    except Exception as error:
        with telemetry.fence("mcp.connect"):
            tell_unreached(telemetry, scope, Failure.of(peeled(error)), since)
        raise
    finally:
        scope.connects, cut = before, scope.cut
        if cut is not None:
            scope.cut = None
            cut.finish(None if cut.failure is not None else CancelledError())


def tell_unreached(telemetry: Telemetry, scope: McpClientScope, failure: Failure, since: int) -> None:
    """Tell it by the request that the broken transport cut short, or by the first one, if there was none."""
    if failure.cancelled:
        return
    if scope.cut is not None:
        scope.cut.failure = failure
    elif not scope.asked:
        scope.asked = True  # for whoever waits further out
        with telemetry.operation("mcp", lambda: McpUnreached(telemetry, scope, since)) as call:
            call.observe(lambda call: call.failed_with(failure.error_type, failure.message))


_exceptions_of = BaseExceptionGroup.__dict__["exceptions"].__get__


def peeled(error: BaseException) -> BaseException:
    """The error in a group: the SDK's transports put whatever is raised inside them into one."""
    for _ in range(32):
        if not issubclass(type(error), BaseExceptionGroup):
            break
        error = _exceptions_of(error)[0]
    return error


# -- requests -----------------------------------------------------------------------------------------------------


def send_request(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`send_request(request, result_type, …)`."""
    telemetry, scope = active(), client_scope()
    if telemetry is None or scope is None or not args:
        return wrapped(*args, **kwargs)
    return _send_request(telemetry, scope, wrapped, instance, args, kwargs)


async def _send_request(
    telemetry: Telemetry,
    scope: McpClientScope,
    wrapped: Any,
    session: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    scope.asked = True
    with telemetry.operation("mcp", lambda: describe(telemetry, scope, session, args[0])) as call:
        request = with_context(telemetry, args[0])
        result = await wrapped(request, *args[1:], **kwargs)
        call.observe(lambda call: observe(call, session, result))
    return result


def describe(telemetry: Telemetry, scope: McpClientScope, session: Any, message: Any) -> McpInvocation:
    """Method, target and identity of a request of the SDK's."""
    root = attribute_of(message, "root")
    params = attribute_of(root, "params")
    method = bounded_text(attribute_of(root, "method")) or "unknown"
    name = bounded_text(attribute_of(params, "name"))
    uri = attribute_of(params, "uri")
    number = attribute_of(session, "_request_id")
    request = McpRequest(
        method,
        scope.server,
        request_id=str(number) if type(number) is int else None,
        tool=name if method == CALL_TOOL else None,
        prompt=name if method == GET_PROMPT else None,
        resource_uri=None if uri is None else bounded_text(str(uri), 1_024),
        protocol_version=_VERSIONS.get(session),
    )
    request.session_id = session_id_in(scope)
    return McpInvocation(telemetry, scope, request, json_rpc_error)


def observe(call: McpInvocation, session: Any, result: Any) -> None:
    """What comes with an answer: the version agreed on, the session's id, a tool's own error."""
    request = call.request
    if request.method == INITIALIZE:
        version = attribute_of(result, "protocolVersion")
        agreed = bounded_text(version if type(version) is str else str(version))
        if agreed is not None:
            _VERSIONS[session] = request.protocol_version = agreed
    elif request.tool is not None and attribute_of(result, "isError") is True:
        call.failed_with(TOOL_ERROR)
    if request.session_id is None and isinstance(call.parent, McpClientScope):
        request.session_id = session_id_in(call.parent)


def session_id_in(scope: McpClientScope) -> str | None:
    """The session's identity: a server gives it with its first answer, over streamable HTTP."""
    return None if scope.read_session_id is None else bounded_text(scope.read_session_id())


def json_rpc_error(error: BaseException) -> tuple[int, str] | None:
    """Code and message of an `McpError`: the error that the server answered with."""
    said = attribute_of(error, "error")
    code = attribute_of(said, "code")
    return (int(code), bounded_text(attribute_of(said, "message"), 1_024) or "") if isinstance(code, int) else None


def send_notification(wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`send_notification(notification, …)`: nothing answers, so there is no span; the server may go on with ours."""
    telemetry = active()
    if telemetry is None or client_scope() is None or not args:
        return wrapped(*args, **kwargs)
    return wrapped(with_context(telemetry, args[0]), *args[1:], **kwargs)


# -- the context in `params._meta` --------------------------------------------------------------------------------


def with_context(telemetry: Telemetry, message: Any) -> Any:
    """A copy of a message that carries the current context; the message itself where there is nothing to carry."""
    with telemetry.fence("mcp.context"):
        carrier = current_carrier()
        if carrier:
            return _carrying(message, carrier)
    return message


def _carrying(message: Any, carrier: dict[str, str]) -> Any:
    root = message.root
    params = root.params
    if params is None:
        params = _params_class(type(root))()
    meta = params.meta
    said = {} if meta is None else dict(meta.model_extra or {})
    if not said.keys().isdisjoint(carrier):
        return message  # the application propagates a context of its own
    filled = type(params).Meta(**carrier) if meta is None else meta.model_copy(update=carrier)
    params = params.model_copy(update={"meta": filled})
    return message.model_copy(update={"root": root.model_copy(update={"params": params})})


def _params_class(root: Any) -> Any:
    """The class of a message's parameters, which may be left out: `… | None`."""
    (chosen,) = (one for one in root.model_fields["params"].annotation.__args__ if one is not type(None))
    return chosen


# -- the session's id ---------------------------------------------------------------------------------------------


class OpenedTransport:
    """The SDK's context manager of a transport, whose streams are shown to `see`."""

    __slots__ = ("_manager", "_see")

    def __init__(self, manager: Any, see: Any) -> None:
        """Stand in for `manager`."""
        self._manager = manager
        self._see = see

    async def __aenter__(self) -> Any:
        streams = await self._manager.__aenter__()
        self._see(streams)
        return streams

    async def __aexit__(self, *error: object) -> Any:
        return await self._manager.__aexit__(*error)


def open_streamable_http(wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`streamable_http_client(url, …)`, opened by a client of Kailash's."""
    manager = wrapped(*args, **kwargs)
    telemetry, scope = active(), client_scope()
    if telemetry is None or scope is None:
        return manager

    def see(streams: Any) -> None:
        with telemetry.fence("mcp.session"):
            scope.read_session_id = streams[2]

    return OpenedTransport(manager, see)
