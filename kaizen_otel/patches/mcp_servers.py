"""Kailash and Kaizen as MCP servers: each request that a client sends is a server span in the client's trace.

Kailash serves by the official SDK's FastMCP (pipes, and HTTP where an application mounts it), and by WebSockets and a
loop over pipes (`mcp_stdio`) of its own; Kaizen's catalog and Kailash's EATP server have loops of their own. The SDK's
servers that are not Kailash's are left alone (`mcp_owners`).
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final

from kaizen_otel.invocations.base import NULL_INVOCATION
from kaizen_otel.invocations.mcp import McpRequest, McpServer
from kaizen_otel.invocations.mcp_server import McpServerInvocation
from kaizen_otel.invocations.values import attribute_of, bounded_text, entry_of
from kaizen_otel.patches.by_identity import ByIdentity
from kaizen_otel.patches.carriers import carrier_in
from kaizen_otel.patches.coroutines import in_place_of
from kaizen_otel.patches.mcp_owners import is_kailash, note_server
from kaizen_otel.patches.mcp_session import CALL_TOOL, GET_PROMPT, INITIALIZE, TOOL_ERROR, OpenedTransport
from kaizen_otel.patches.patcher import Patcher, Surface
from kaizen_otel.patches.standins import Standin
from kaizen_otel.patches.switch import active
from kaizen_otel.patches.vendor_payloads import listed
from kaizen_otel.patches.watching import awaited, blocking

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from kaizen_otel.patches.watching import Arguments, Begun, Keywords
    from kaizen_otel.telemetry import Telemetry

PIPE: Final = McpServer("pipe")
HTTP: Final = McpServer("tcp", "http")
WEBSOCKET: Final = McpServer("tcp", "websocket")
"""What a request came by."""

MAX_NAMES: Final = 1_000
"""Tools, prompts and methods that are told by name: clients choose them, so there may be any number."""

OTHER: Final = "other"
_names: dict[str, None] = {}

_SERVED: ByIdentity[bool] = ByIdentity()
"""The options that a session is opened with, by which it is known for one of a server of Kailash's."""

_SESSION_IDS: ByIdentity[str] = ByIdentity()
"""The id of a session over streamable HTTP, by the stream that it reads from: what opens it is not told the id."""

_MAX_RESULT = 65_536


def apply_server(patcher: Patcher, module: Any) -> None:
    """Kailash's servers: what makes and runs one of the SDK's, and what answers over WebSockets."""
    for owner, runs in ((module.MCPServer, "run"), (module.MCPServerBase, "start")):
        patcher.wrap(owner, "_init_mcp", made)
        patcher.wrap(owner, runs, running)
    patcher.wrap(module.MCPServer, "_dispatch_ws_method", awaited(begin_websocket, observe_answer, unless=_unanswered))


def apply_platform(patcher: Patcher, module: Any) -> None:
    """The server that tells of a project's parts."""
    patcher.wrap(module, "create_platform_server", made_by_function)


def apply_sdk(patcher: Patcher, module: Any) -> None:
    """Where a server of the SDK opens a session, and where it answers one request of it."""
    patcher.wrap(module.Server, "run", serve)
    patcher.wrap(module.Server, "_handle_request", handle_request)


def apply_sdk_session(patcher: Patcher, module: Any) -> None:
    """What answers `initialize` by itself, before any server sees it."""
    patcher.wrap(module.ServerSession, "_received_request", receive_request)


def apply_sdk_http(patcher: Patcher, module: Any) -> None:
    """The transport that makes its session's id up."""
    patcher.wrap(module.StreamableHTTPServerTransport, "connect", connect)


def apply_catalog(patcher: Patcher, module: Any) -> None:
    """Kaizen's catalog of agents."""
    patcher.wrap(module.CatalogMCPServer, "handle_request", blocking(begin_catalog, observe_answer, unless=_notified))


def apply_eatp(patcher: Patcher, module: Any) -> None:
    """Kailash's server of trust operations."""
    patcher.wrap(module.EATPMCPServer, "handle_message", awaited(begin_text, observe_text))


SURFACES = (
    Surface("kailash_mcp.server", apply_server),
    Surface("kailash_mcp.platform_server", apply_platform),
    Surface("mcp.server.lowlevel.server", apply_sdk),
    Surface("mcp.server.session", apply_sdk_session),
    Surface("mcp.server.streamable_http", apply_sdk_http),
    Surface("kaizen.mcp.catalog_server.server", apply_catalog),
    Surface("kailash.trust.mcp.server", apply_eatp),
)


# -- whose server ---------------------------------------------------------------------------------------------------


def made(wrapped: Any, instance: Any, args: Arguments, kwargs: Keywords) -> Any:
    """`_init_mcp()`, which puts a server of the SDK on the object."""
    result = wrapped(*args, **kwargs)
    _know(attribute_of(instance, "_mcp"))
    return result


def running(wrapped: Any, instance: Any, args: Arguments, kwargs: Keywords) -> Any:
    """`run()`, or `start()`: it may have been made before us."""
    _know(attribute_of(instance, "_mcp"))
    return wrapped(*args, **kwargs)


def made_by_function(wrapped: Any, _instance: Any, args: Arguments, kwargs: Keywords) -> Any:
    """A function that returns a server of the SDK."""
    server = wrapped(*args, **kwargs)
    _know(server)
    return server


def _know(server: Any) -> None:
    telemetry = active()
    if telemetry is not None:
        with telemetry.fence("mcp.served"):
            note_server(server)


def _knows(telemetry: Telemetry, low: Any) -> bool:
    with telemetry.fence("mcp.served"):
        return is_kailash(low)
    return False


# -- by the SDK -------------------------------------------------------------------------------------------------------


def serve(wrapped: Any, instance: Any, args: Arguments, kwargs: Keywords) -> Any:
    """`run(read_stream, write_stream, initialization_options, …)`: one session."""
    telemetry = active()
    if telemetry is not None and _knows(telemetry, instance):
        with telemetry.fence("mcp.served"):
            _SERVED.put(args[2] if len(args) > 2 else kwargs.get("initialization_options"), True)  # noqa: PLR2004
    return wrapped(*args, **kwargs)


def connect(wrapped: Any, instance: Any, args: Arguments, kwargs: Keywords) -> Any:
    """`connect()`: a context manager, whose streams are the session's."""
    telemetry, session_id = active(), bounded_text(attribute_of(instance, "mcp_session_id"))
    manager = wrapped(*args, **kwargs)
    if telemetry is None or session_id is None:
        return manager

    def see(streams: Any) -> None:
        with telemetry.fence("mcp.session"):
            _SESSION_IDS.put(streams[0], session_id)

    return OpenedTransport(manager, see)


def receive_request(wrapped: Any, instance: Any, args: Arguments, kwargs: Keywords) -> Any:
    """`_received_request(responder)`: of all requests; `initialize` it answers, the others go on to the server."""
    telemetry = active()
    responder = args[0] if args else kwargs.get("responder")
    asked = attribute_of(attribute_of(responder, "request"), "root")
    call = wrapped(*args, **kwargs)
    if (
        telemetry is None
        or bounded_text(attribute_of(asked, "method")) != INITIALIZE
        or _SERVED.get(attribute_of(instance, "_init_options")) is None
    ):
        return call
    return in_place_of(call, lambda call: _initialize(telemetry, call, responder, asked, instance))


async def _initialize(telemetry: Telemetry, answer: Awaitable[Any], responder: Any, asked: Any, session: Any) -> Any:
    with telemetry.operation("mcp_server", lambda: describe(telemetry, responder, asked, session)) as call:
        result = await answer
        call.observe(_was_answered)
    return result


def _was_answered(call: McpServerInvocation) -> None:
    call.answered = True


def handle_request(wrapped: Any, instance: Any, args: Arguments, kwargs: Keywords) -> Any:
    """`_handle_request(message, request, session, lifespan_context, raise_exceptions)`."""
    telemetry = active()
    if telemetry is None or len(args) < 3 or not _knows(telemetry, instance):  # noqa: PLR2004 - those that are read
        return wrapped(*args, **kwargs)
    return _handle_request(telemetry, wrapped, args, kwargs)


async def _handle_request(telemetry: Telemetry, wrapped: Any, args: Arguments, kwargs: Keywords) -> Any:
    message, asked, session = args[:3]
    with telemetry.operation("mcp_server", lambda: describe(telemetry, message, asked, session)) as call:
        seen = Standin(message, "respond", lambda respond: _noting(call, respond))
        return await wrapped(seen, *args[1:], **kwargs)


def _noting(call: Any, respond: Callable[[Any], Any]) -> Any:
    def noted(response: Any) -> Any:
        call.observe(lambda call: observe_response(call, response))
        return respond(response)

    return noted


def describe(telemetry: Telemetry, message: Any, asked: Any, session: Any) -> McpServerInvocation:
    """A request that the SDK has read."""
    params = attribute_of(asked, "params")
    received = attribute_of(attribute_of(message, "message_metadata"), "request_context")
    headers = attribute_of(received, "headers")
    uri, number = attribute_of(params, "uri"), attribute_of(message, "request_id")
    request = _request(
        PIPE if received is None else HTTP,
        attribute_of(asked, "method"),
        attribute_of(params, "name"),
        number,
        None if uri is None else str(uri),
    )
    request.session_id = None if headers is None else bounded_text(headers.get("mcp-session-id"))
    if request.method == INITIALIZE:
        request.session_id = _SESSION_IDS.get(attribute_of(session, "_read_stream"))
    said = params if request.method == INITIALIZE else attribute_of(session, "client_params")
    request.protocol_version = _agreed(attribute_of(said, "protocolVersion"))
    meta = attribute_of(message, "request_meta")
    call = McpServerInvocation(telemetry, request, carrier_in(attribute_of(meta, "model_extra")))
    call.arguments = attribute_of(params, "arguments")
    return call


def _agreed(asked: object) -> str | None:
    """The version that the two sides agreed on: the client's own, if the SDK speaks it, else the SDK's newest."""
    versions = sys.modules.get("mcp.shared.version")
    if asked is None or versions is None:
        return None
    known = attribute_of(versions, "SUPPORTED_PROTOCOL_VERSIONS")
    if type(known) is list and type(asked) is str and asked not in known:
        return bounded_text(attribute_of(versions, "LATEST_PROTOCOL_VERSION"))
    return bounded_text(asked)


def observe_response(call: McpServerInvocation, response: Any) -> None:
    """A `ServerResult`, or `ErrorData`."""
    call.answered = True
    root = attribute_of(response, "root")
    code = attribute_of(response, "code")
    if root is None and type(code) is int:
        call.refused(code, bounded_text(attribute_of(response, "message"), 1_024) or "")
    elif call.request.tool is not None:
        if attribute_of(root, "isError") is True:
            call.failed_with(TOOL_ERROR)
        if call.recorded.captures:
            said = [
                bounded_text(attribute_of(part, "text"), _MAX_RESULT) for part in listed(attribute_of(root, "content"))
            ]
            call.result = "\n".join(text for text in said if text)


# -- by what Kailash and Kaizen wrote themselves ------------------------------------------------------------------


def begin_websocket(telemetry: Telemetry, _server: Any, args: Arguments, _kwargs: Keywords) -> Begun:
    """`_dispatch_ws_method(method, params, request_id, client_id)`."""
    return telemetry.operation("mcp_server", lambda: describe_message(telemetry, WEBSOCKET, *args[:3]))


def _unanswered(_server: Any, args: Arguments, _kwargs: Keywords) -> bool:
    return len(args) < 3 or args[2] is None  # noqa: PLR2004 - the request's id: a notification has none


def begin_catalog(telemetry: Telemetry, _server: Any, args: Arguments, kwargs: Keywords) -> Begun:
    """`handle_request(request)`."""
    message = args[0] if args else kwargs.get("request")
    fields = (entry_of(message, name) for name in ("method", "params", "id"))
    return telemetry.operation("mcp_server", lambda: describe_message(telemetry, PIPE, *fields))


def begin_text(telemetry: Telemetry, _server: Any, args: Arguments, kwargs: Keywords) -> Begun:
    """`handle_message(raw)`: the JSON of one message; what is none has no method, and a notification no answer."""
    message = _parsed(args[0] if args else kwargs.get("raw"))
    method, params, number = (entry_of(message, name) for name in ("method", "params", "id"))
    if number is None:
        return NULL_INVOCATION
    return telemetry.operation("mcp_server", lambda: describe_message(telemetry, PIPE, method, params, number))


def observe_text(call: McpServerInvocation, answer: Any) -> None:
    """The answer's JSON, as a text."""
    observe_answer(call, _parsed(answer))


def _parsed(text: Any) -> Any:
    if type(text) is not str:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # the server says so to the client
        return None


def _notified(_server: Any, args: Arguments, kwargs: Keywords) -> bool:
    return entry_of(args[0] if args else kwargs.get("request"), "id") is None


def describe_message(
    telemetry: Telemetry, server: McpServer, method: Any, params: Any, number: Any
) -> McpServerInvocation:
    """A request as its JSON says it."""
    uri = bounded_text(entry_of(params, "uri"), 1_024)
    request = _request(server, method, entry_of(params, "name"), number, uri)
    if method == INITIALIZE:
        request.protocol_version = bounded_text(entry_of(params, "protocolVersion"))
    call = McpServerInvocation(telemetry, request, carrier_in(entry_of(params, "_meta")))
    call.arguments = entry_of(params, "arguments")
    return call


def observe_answer(call: McpServerInvocation, answer: Any) -> None:
    """The answer's JSON."""
    call.answered = True
    error, result = entry_of(answer, "error"), entry_of(answer, "result")
    code = entry_of(error, "code")
    if type(code) is int:
        call.refused(code, bounded_text(entry_of(error, "message"), 1_024) or "")
    elif call.request.tool is not None:
        if entry_of(result, "isError") is True:
            call.failed_with(TOOL_ERROR)
        call.result = entry_of(result, "content")
    elif call.request.method == INITIALIZE:
        agreed = bounded_text(entry_of(result, "protocolVersion"))
        call.request.protocol_version = agreed or call.request.protocol_version


# -- all --------------------------------------------------------------------------------------------------------------


def _request(server: McpServer, method: Any, name: Any, number: Any, uri: str | None) -> McpRequest:
    known = _named(method) or "unknown"
    return McpRequest(
        known,
        server,
        request_id=str(number) if type(number) is int else bounded_text(number),
        tool=(_named(name) or "unknown") if known == CALL_TOOL else None,
        prompt=_named(name) if known == GET_PROMPT else None,
        resource_uri=bounded_text(uri, 1_024) if known.startswith("resources/") else None,
    )


def _named(value: object) -> str | None:
    """A name that a client gave; one of `MAX_NAMES`, or `other`."""
    name = bounded_text(value) or None
    if name is None or name in _names:
        return name
    if len(_names) >= MAX_NAMES:
        return OTHER
    _names[name] = None
    return name
