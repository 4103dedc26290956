"""Kailash as an MCP server: each request is a server span of the client's trace, whatever it came by."""

from __future__ import annotations

import asyncio
import importlib
import json
import socket
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kaizen_otel.patches import mcp_servers
from kaizen_otel.testing import capture
from kaizen_processors.export.otlp_file import read_otlp_json
from tests.kaizen_otel.surfaces import kailash_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kaizen_otel.testing import Captured, CapturedSpan

pytestmark = [
    # As in test_mcp_clients.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]

SCRIPT = Path(kailash_server.__file__)
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
DEADLINE_S = 30


def in_memory(ask: Any, server: Any = None) -> Any:
    """Ask a server of Kailash's in this process, by a session of the application's own."""
    from mcp.shared.memory import create_connected_server_and_client_session

    fast = (server or kailash_server.orders())._mcp

    async def run() -> Any:
        async with create_connected_server_and_client_session(fast._mcp_server) as session:
            return await ask(session)

    return asyncio.run(run())


@contextmanager
def over_http(app: Any) -> Iterator[str]:
    """Serve in a thread."""
    import uvicorn

    listener = socket.create_server(("127.0.0.1", 0))
    serving = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
    thread = threading.Thread(target=serving.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
    finally:
        serving.should_exit = True
        thread.join(DEADLINE_S)


def call(config: dict[str, Any], order: str = "A-17") -> Any:
    from kailash_mcp.client import MCPClient

    return asyncio.run(MCPClient().call_tool(config, "lookup", {"order": order}))


def test_a_clients_trace_goes_on_in_a_server_of_another_process(tmp_path: Path, kaizen_telemetry: Captured) -> None:
    file = tmp_path / "served.jsonl"
    serve = {"command": sys.executable, "args": [str(SCRIPT), str(file)], "env": {"PYTHONPATH": str(SCRIPT.parents[3])}}
    config = {"transport": "stdio", **serve}
    assert call(config)["content"] == "A-17 is on its way"

    tool = kaizen_telemetry.span("execute_tool lookup")
    served = {span.name: span for span in read_otlp_json(file)}
    assert served.keys() == {"initialize", "tools/call lookup", "tools/list"}
    one, first = served["tools/call lookup"], served["initialize"]
    assert (one.trace_id, one.parent_id) == (tool.trace_id, tool.span_id)
    assert one.attributes["network.transport"] == "pipe"
    assert (first.trace_id, first.parent_id) == (tool.trace_id, kaizen_telemetry.span("initialize").span_id)


@pytest.mark.covers("mcp.server.lowlevel.server:Server._handle_request", "traced", "context")
@pytest.mark.kaizen_otel(content="span")
def test_a_tool_call_over_http_is_one_server_span_below_the_clients(kaizen_telemetry: Captured) -> None:
    with over_http(kailash_server.orders()._mcp.streamable_http_app()) as url:
        assert call({"transport": "http", "url": url})["success"]

    tool, served = kaizen_telemetry.span("execute_tool lookup"), kaizen_telemetry.span("tools/call lookup")
    assert (served.kind, served.status, served.parent_id) == ("SERVER", "UNSET", tool.span_id)
    assert (served["gen_ai.operation.name"], served["gen_ai.tool.name"]) == ("execute_tool", "lookup")
    assert (served["mcp.method.name"], served["jsonrpc.request.id"]) == ("tools/call", tool["jsonrpc.request.id"])
    assert served["mcp.session.id"] == tool["mcp.session.id"]
    assert served["mcp.protocol.version"] == tool["mcp.protocol.version"]
    assert (served["network.transport"], served["network.protocol.name"]) == ("tcp", "http")
    assert json.loads(served["gen_ai.tool.call.arguments"]) == {"order": "A-17"}
    assert "on its way" in served["gen_ai.tool.call.result"]
    assert kaizen_telemetry.executions == []

    asked, first = (span for span in kaizen_telemetry.spans if span.name == "initialize")
    asked, first = (asked, first) if asked.kind == "CLIENT" else (first, asked)
    assert (first.kind, first.status, first.parent_id) == ("SERVER", "UNSET", asked.span_id)
    assert (first["mcp.method.name"], first["jsonrpc.request.id"]) == ("initialize", asked["jsonrpc.request.id"])
    assert first["mcp.session.id"] == tool["mcp.session.id"]
    assert first["mcp.protocol.version"] == tool["mcp.protocol.version"]
    assert (first["network.transport"], first["network.protocol.name"]) == ("tcp", "http")


def test_what_a_tool_runs_hangs_below_the_request_and_is_an_execution_of_its_own(
    kaizen_offline: Any, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import scenes

    server = kailash_server.orders()

    @server.tool()
    def ask(question: str) -> str:
        """Ask an agent."""
        return str(scenes.base_agent(agent_id="desk").run(question=question))

    in_memory(lambda session: session.call_tool("ask", {"question": "x"}), server)

    served, agent = kaizen_telemetry.span("tools/call ask"), kaizen_telemetry.span("invoke_agent desk")
    assert agent.parent_id == served.span_id
    assert [one.agent_name for one in kaizen_telemetry.executions] == ["desk"]
    assert len(kaizen_telemetry.calls) == len(kaizen_offline.requests) == 1


def test_each_method_is_a_span_by_its_name_and_no_uri_is_in_one(kaizen_telemetry: Captured) -> None:
    async def ask(session: Any) -> None:
        await session.send_ping()
        await session.list_tools()
        await session.list_resources()
        await session.read_resource("notes://today")
        await session.get_prompt("greet", {"name": "Ann"})

    in_memory(ask)

    spans = kaizen_telemetry.spans
    assert [span.name for span in spans] == [
        "initialize",
        "ping",
        "tools/list",
        "resources/list",
        "resources/read",
        "prompts/get greet",
    ]
    assert {span.kind for span in spans} == {"SERVER"}
    assert spans[4]["mcp.resource.uri"] == "notes://today"
    assert spans[5]["gen_ai.prompt.name"] == "greet"
    points = kaizen_telemetry.metrics()["mcp.server.operation.duration"]
    assert {point.attributes["mcp.method.name"] for point in points} == {span["mcp.method.name"] for span in spans}


@pytest.mark.covers("mcp.server.lowlevel.server:Server._handle_request", "error")
def test_a_tool_that_fails_is_an_error_of_the_request(kaizen_telemetry: Captured) -> None:
    result = in_memory(lambda session: session.call_tool("lookup", {"order": "gone"}))
    assert result.isError
    served = kaizen_telemetry.span("tools/call lookup")
    assert (served.status, served["error.type"]) == ("ERROR", "tool_error")


def test_an_error_that_is_answered_has_its_code(kaizen_telemetry: Captured) -> None:
    from mcp import McpError

    async def ask(session: Any) -> None:
        with pytest.raises(McpError):
            await session.get_prompt("nothing")

    in_memory(ask)
    served = kaizen_telemetry.span("prompts/get nothing")
    assert (served.status, served["error.type"], served["rpc.response.status_code"]) == ("ERROR", "0", "0")


def test_a_request_that_is_called_off_is_no_error(kaizen_telemetry: Captured) -> None:
    from mcp import types

    server, begun = kailash_server.orders(), asyncio.Event()

    @server.tool()
    async def hang() -> str:
        """Never answer."""
        begun.set()
        await asyncio.Event().wait()
        return ""

    async def ask(session: Any) -> None:
        asking = asyncio.create_task(session.call_tool("hang", {}))
        await begun.wait()
        off = types.CancelledNotification(params=types.CancelledNotificationParams(requestId=1))
        await session.send_notification(types.ClientNotification(off))
        with pytest.raises(Exception, match="cancelled"):
            await asking

    in_memory(ask, server)
    served = kaizen_telemetry.span("tools/call hang")
    assert (served.status, "error.type" in served.attributes) == ("UNSET", False)


def test_a_server_of_the_applications_own_is_left_alone(kaizen_telemetry: Captured) -> None:
    from types import SimpleNamespace

    from mcp.server.fastmcp import FastMCP

    in_memory(lambda session: session.list_tools(), SimpleNamespace(_mcp=FastMCP("mine")))
    assert kaizen_telemetry.spans == []


@pytest.mark.covers("mcp.server.session:ServerSession._received_request", "error")
def test_a_client_that_is_gone_when_its_initialize_is_answered_is_told(kaizen_telemetry: Captured) -> None:
    import anyio
    from mcp import types
    from mcp.shared.message import SessionMessage

    params = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "gone", "version": "1"}}
    asked = types.JSONRPCRequest(jsonrpc="2.0", id=1, method="initialize", params=params)
    low = kailash_server.orders()._mcp._mcp_server

    async def run() -> None:
        to_server, received = anyio.create_memory_object_stream[SessionMessage | Exception](1)
        answers, heard = anyio.create_memory_object_stream[SessionMessage](0)
        await to_server.send(SessionMessage(types.JSONRPCMessage(asked)))
        heard.close()
        with to_server:
            await low.run(received, answers, low.create_initialization_options())

    asyncio.run(run())
    (served,) = kaizen_telemetry.spans
    assert (served.name, served.kind, served["error.type"]) == ("initialize", "SERVER", "anyio.BrokenResourceError")


# -- made before `instrument()` ------------------------------------------------------------------------------------


def mounted(fast: Any) -> Any:
    """An application of its own, of which a server is a part."""
    from starlette.applications import Starlette
    from starlette.routing import Mount

    routes = [Mount("/tools", app=fast.streamable_http_app())]
    return Starlette(routes=routes, lifespan=lambda _: fast.session_manager.run())


@pytest.mark.covers("mcp.server.session:ServerSession._received_request", "traced", "context")
def test_a_server_that_was_made_and_mounted_before_is_seen() -> None:
    app = mounted(kailash_server.orders()._mcp)
    with capture() as captured:
        with over_http(app) as url:
            config = {"transport": "http", "url": url.replace("/mcp", "/tools/mcp")}
            assert call(config)["success"]
        served = [span for span in captured.spans if span.kind == "SERVER"]
        assert {span.name for span in served} == {"initialize", "tools/list", "tools/call lookup"}
        assert len({span.trace_id for span in captured.spans}) == 1
        assert {span["mcp.session.id"] for span in served} == {captured.span("execute_tool")["mcp.session.id"]}


def only(kind: str) -> Any:
    """A server of Kailash's that serves nothing else."""
    from kailash_mcp.server import MCPServer

    server = MCPServer("orders")

    def today() -> str:
        return "buy milk"

    def named(name: str) -> str:
        return name

    if kind == "resource":
        server.resource("notes://today")(today)
    elif kind == "template":
        server.resource("notes://{name}")(named)
    else:
        server.prompt("greet")(named)
    return server._mcp


@pytest.mark.parametrize("kind", ["resource", "template", "prompt", "platform", "trust plane"])
def test_of_which_kind_a_server_is_that_was_made_before_is_told_by_what_it_serves(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from types import SimpleNamespace

    # What the trust plane writes by, and Kailash does not have pip install (2.65); nothing is written here.
    monkeypatch.setitem(sys.modules, "filelock", SimpleNamespace(FileLock=None))
    monkeypatch.setattr("kailash_mcp.platform_server.FRAMEWORK_CONTRIBUTORS", [])
    if kind == "platform":
        fast = importlib.import_module("kailash_mcp.platform_server").create_platform_server(tmp_path)
    elif kind == "trust plane":
        fast = importlib.import_module("kailash.trust.plane.mcp_server").mcp
    else:
        fast = only(kind)
    with capture() as captured:
        in_memory(lambda session: session.list_tools(), SimpleNamespace(_mcp=fast))
        assert [span.name for span in captured.spans] == ["initialize", "tools/list"]


def test_a_server_of_the_applications_own_that_was_made_before_is_left_alone() -> None:
    from mcp.server.fastmcp import FastMCP

    fast = FastMCP("mine")
    fast.tool()(call)
    app = mounted(fast)
    with capture() as captured:
        with over_http(app) as url:
            assert call({"transport": "http", "url": url.replace("/mcp", "/tools/mcp")}) is not None
        assert {span.kind for span in captured.spans} <= {"CLIENT", "INTERNAL"}


# -- Kailash's own WebSockets, and Kaizen's catalog ---------------------------------------------------------------


def asked(server: Any, method: str, number: Any = 1, **params: Any) -> Any:
    message = {"jsonrpc": "2.0", "method": method, "id": number, "params": {**params, "_meta": {"traceparent": CALLER}}}
    return asyncio.run(server._handle_websocket_message(message, "client-1"))


def parent(span: CapturedSpan) -> str:
    return f"00-{span.trace_id}-{span.parent_id}-01"


@pytest.mark.kaizen_otel(content="span")
def test_a_request_over_a_websocket_goes_on_with_the_clients_trace(kaizen_telemetry: Captured) -> None:
    server = kailash_server.orders()
    version = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
    asked(server, "initialize", 1, **version)
    answer = asked(server, "tools/call", 2, name="lookup", arguments={"order": "A-17"})
    failed = asked(server, "tools/call", 3, name="lookup", arguments={"order": "gone"})
    unknown = asked(server, "tools/forget", 4)
    asked(server, "resources/read", 5, uri="notes://today")
    assert asked(server, "notifications/initialized", None) is None

    assert "A-17 is on its way" in str(answer)
    first, good, bad, refused, read = kaizen_telemetry.spans
    assert [span.name for span in (first, good, refused)] == ["initialize", "tools/call lookup", "tools/forget"]
    assert {parent(span) for span in kaizen_telemetry.spans} == {CALLER}
    assert {span.kind for span in kaizen_telemetry.spans} == {"SERVER"}
    assert first["mcp.protocol.version"]
    assert (good["network.transport"], good["network.protocol.name"]) == ("tcp", "websocket")
    assert (good.status, bad.status, refused.status) == ("UNSET", "ERROR", "ERROR")
    assert bad["error.type"] in {"tool_error", str(failed.get("error", {}).get("code"))}
    assert (refused["error.type"], unknown["error"]["code"]) == ("-32601", -32601)
    assert read["mcp.resource.uri"] == "notes://today"


def test_what_received_the_message_is_linked_to_and_is_the_parent_where_the_client_sent_no_context(
    kaizen_telemetry: Captured,
) -> None:
    server, tracer = kailash_server.orders(), kaizen_telemetry.tracer_provider.get_tracer("app")
    with tracer.start_as_current_span("POST /mcp"):
        asked(server, "tools/list", 1)
        bare = {"jsonrpc": "2.0", "method": "tools/list", "id": 2, "params": {}}
        asyncio.run(server._handle_websocket_message(bare, "client-1"))

    sent, unsent, received = kaizen_telemetry.spans
    (link,) = sent.raw.links
    assert (parent(sent), f"{link.context.span_id:016x}") == (CALLER, received.span_id)
    assert (unsent.parent_id, unsent.raw.links) == (received.span_id, ())


@pytest.mark.covers("kaizen.mcp.catalog_server.server:CatalogMCPServer.handle_request", "traced", "error")
def test_kaizens_catalog_answers_in_the_clients_trace(kaizen_telemetry: Captured) -> None:
    from kaizen.mcp.catalog_server.server import CatalogMCPServer

    server = CatalogMCPServer()
    meta = {"_meta": {"traceparent": CALLER}}
    for number, method, params in (
        (1, "initialize", {}),
        (2, "tools/list", {}),
        (3, "tools/call", {"name": "catalog_search", "arguments": {"query": "x"}}),
        (None, "notifications/initialized", {}),
        (4, "tools/call", {"name": "nothing", "arguments": {}}),
    ):
        server.handle_request({"method": method, "id": number, "params": {**params, **meta}})

    assert [span.name for span in kaizen_telemetry.spans] == [
        "initialize",
        "tools/list",
        "tools/call catalog_search",
        "tools/call nothing",
    ]
    assert {parent(span) for span in kaizen_telemetry.spans} == {CALLER}
    assert kaizen_telemetry.span("tools/call nothing")["error.type"] == "-32602"


def test_names_that_clients_make_up_are_told_up_to_a_bound(
    monkeypatch: pytest.MonkeyPatch, kaizen_telemetry: Captured
) -> None:
    monkeypatch.setattr(mcp_servers, "_names", {"tools/call": None, "a": None})
    monkeypatch.setattr(mcp_servers, "MAX_NAMES", 3)
    server = kailash_server.orders()
    for number, name in enumerate(("a", "b", "c")):
        asked(server, "tools/call", number, name=name, arguments={})
    assert [span.name for span in kaizen_telemetry.spans] == ["tools/call a", "tools/call b", "tools/call other"]


@pytest.mark.kaizen_otel(monitoring_level="basic")
def test_without_spans_of_tools_the_trace_goes_on_all_the_same(kaizen_offline: Any, kaizen_telemetry: Captured) -> None:
    from tests.kaizen_otel.surfaces import scenes

    del kaizen_offline
    server = kailash_server.orders()

    @server.tool()
    def ask(question: str) -> str:
        """Ask an agent."""
        return str(scenes.base_agent(agent_id="desk").run(question=question))

    asked(server, "tools/call", 1, name="ask", arguments={"question": "x"})
    agent = kaizen_telemetry.span("invoke_agent desk")
    assert parent(agent) == CALLER
