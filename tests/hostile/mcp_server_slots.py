"""Slots of Kailash and Kaizen as MCP servers."""

from __future__ import annotations

import copy
import functools
import io
import json
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from tests.hostile.slot import Slots

if TYPE_CHECKING:
    from tests.hostile.stage import Stage

SLOTS = Slots()
SERVER = "kailash_mcp.server:MCPServer"


def _dispatched(stage: Stage, server: Any, method: Any, params: Any, number: Any = 1) -> Any:
    return stage.run(server._dispatch_ws_method(method, params, number, "client-1"))


@SLOTS.add(f"{SERVER}._dispatch_ws_method")
def served_method(stage: Stage) -> Any:
    return "error" in _dispatched(stage, _once(), stage.value, {"_meta": stage.value}, stage.value)


@SLOTS.add(f"{SERVER}._dispatch_ws_method")
def served_params(stage: Stage) -> Any:
    params = {"name": stage.value, "arguments": stage.value, "uri": stage.value, "_meta": {"traceparent": stage.value}}
    return type(_dispatched(stage, _once(), "prompts/get", params)).__name__


@SLOTS.add(f"{SERVER}._init_mcp")
def served_again(stage: Stage) -> Any:
    server = copy.copy(_once())
    server._mcp = None
    with _independent(stage):
        return server._init_mcp()


@functools.cache
def _once() -> Any:
    """A server of Kailash's, which takes long to make."""
    from kailash_mcp.server import MCPServer

    return MCPServer("orders", enable_metrics=False)


def _independent(stage: Stage) -> Any:
    """The package `fastmcp`, whose server holds the value."""
    package = SimpleNamespace(FastMCP=lambda _: SimpleNamespace(_mcp_server=stage.give()))
    return patch.dict(sys.modules, {"fastmcp": package})


@SLOTS.add(f"{SERVER}.run")
def served_run(stage: Stage) -> Any:
    server = copy.copy(_once())
    server._mcp = SimpleNamespace(run=stage.give, _mcp_server=stage.value)
    return server.run()


@SLOTS.add("kailash_mcp.server:MCPServerBase._init_mcp")
def base_server_made(stage: Stage) -> Any:
    with _independent(stage):
        return _base()._init_mcp()


@SLOTS.add("kailash_mcp.server:MCPServerBase.start")
def base_server_started(stage: Stage) -> Any:
    server = _base()
    server._mcp = SimpleNamespace(run=stage.give, _mcp_server=stage.value)
    return server.start()


def _base() -> Any:
    from kailash_mcp.server import MCPServerBase

    class Server(MCPServerBase):
        def setup(self) -> None:
            return None

    return Server("x")


@SLOTS.add("kailash_mcp.platform_server:create_platform_server")
def platform_server(stage: Stage) -> Any:
    from kailash_mcp import platform_server

    made = SimpleNamespace(FastMCP=lambda *_, **__: SimpleNamespace(_mcp_server=stage.give()))
    with (
        patch.object(platform_server, "FRAMEWORK_CONTRIBUTORS", []),
        patch.object(platform_server, "_get_fastmcp_class", lambda: made.FastMCP),
    ):
        return type(platform_server.create_platform_server()).__name__


@SLOTS.add("mcp.server.lowlevel.server:Server._handle_request")
def handled_request(stage: Stage) -> Any:
    from mcp.shared.message import ServerMessageMetadata

    server: Any = _ours()

    async def answer(_: Any) -> Any:
        return SimpleNamespace(root=SimpleNamespace(isError=stage.give(), content=[SimpleNamespace(text=stage.value)]))

    async def respond(_: Any) -> Any:
        return None

    params = SimpleNamespace(name=stage.value, uri=stage.value, arguments=stage.value)
    asked = SimpleNamespace(method="tools/call", params=params)
    server.request_handlers[SimpleNamespace] = answer
    meta = SimpleNamespace(model_extra=stage.value)
    received = ServerMessageMetadata(request_context=SimpleNamespace(headers=stage.value))
    message = SimpleNamespace(message_metadata=received, request_id=stage.value, request_meta=meta, respond=respond)
    session = SimpleNamespace(client_params=SimpleNamespace(capabilities=None, protocolVersion=stage.value))
    return stage.run(server._handle_request(message, asked, session, None, False))


def _ours() -> Any:
    """A server of the SDK's that is known for Kailash's."""
    from mcp.server.lowlevel import Server

    from kaizen_otel.patches import mcp_owners

    server: Any = Server("x")
    mcp_owners._OURS.put(server, True)
    return server


@SLOTS.add("mcp.server.lowlevel.server:Server._handle_request")
def handled_by_one_unknown(stage: Stage) -> Any:
    from mcp.server.fastmcp import FastMCP

    fast: Any = FastMCP("x")
    fast._tool_manager._tools = {"x": SimpleNamespace(fn=stage.value), "y": stage.value}
    fast._prompt_manager._prompts = stage.value

    async def answer(_: Any) -> Any:
        return stage.give()

    async def respond(response: Any) -> Any:
        return response

    fast._mcp_server.request_handlers[SimpleNamespace] = answer
    message = SimpleNamespace(message_metadata=None, request_id=1, request_meta=None, respond=respond)
    session = SimpleNamespace(client_params=None)
    return stage.run(fast._mcp_server._handle_request(message, SimpleNamespace(), session, None, False))


@SLOTS.add("mcp.server.session:ServerSession._received_request")
def initialized(stage: Stage) -> Any:
    from mcp.server.session import InitializationState, ServerSession

    from kaizen_otel.patches import mcp_servers

    class Responder:
        request_id = stage.value
        request_meta = SimpleNamespace(model_extra=stage.value)
        message_metadata = SimpleNamespace(request_context=SimpleNamespace(headers=stage.value))

        @property
        def request(self) -> Any:
            stage.give()
            return SimpleNamespace(root=SimpleNamespace(method="initialize", params=self))

        protocolVersion = stage.value  # noqa: N815 - the protocol's name

    session: Any = ServerSession.__new__(ServerSession)
    session._init_options, session._read_stream = Responder(), stage.value
    session._initialization_state = InitializationState.Initialized
    mcp_servers._SERVED.put(session._init_options, True)
    return stage.run(session._received_request(Responder()))


@SLOTS.add("mcp.server.lowlevel.server:Server.run")
def session_run(stage: Stage) -> Any:
    server = _ours()
    server.lifespan = stage.value
    return stage.run(server.run(stage.value, stage.value, stage.value))


@SLOTS.add(f"{SERVER}.run_stdio")
def stdio_loop(stage: Stage) -> Any:
    server = copy.copy(_once())
    server._tool_registry = {"x": {"function": stage.give}}
    server._mcp = SimpleNamespace()
    lines = [{"method": "tools/call", "id": 1, "params": {"name": "x", "arguments": {}}}, {"method": "ping", "id": 2}]
    read, written = io.StringIO("".join(f"{json.dumps(line)}\n" for line in lines)), io.StringIO()
    with patch.object(sys, "stdin", read), patch.object(sys, "stdout", written):
        ended = stage.run(server.run_stdio())
    return ended, written.getvalue().count("\n"), server._running


@SLOTS.add("kailash.trust.mcp.server:EATPMCPServer.handle_message")
def eatp_message(stage: Stage) -> Any:
    from kailash.trust.mcp.server import EATPMCPServer

    return stage.run(EATPMCPServer().handle_message(stage.value))


@SLOTS.add("kaizen.mcp.catalog_server.server:CatalogMCPServer.handle_request")
def catalog_request(stage: Stage) -> Any:
    from kaizen.mcp.catalog_server.server import CatalogMCPServer

    server = CatalogMCPServer()
    server._request_log = []
    return server.handle_request({"method": stage.value, "id": 1, "params": {"_meta": stage.value}})


@SLOTS.add("kaizen.mcp.catalog_server.server:CatalogMCPServer.handle_request")
def catalog_message(stage: Stage) -> Any:
    from kaizen.mcp.catalog_server.server import CatalogMCPServer

    return CatalogMCPServer().handle_request(stage.value)
