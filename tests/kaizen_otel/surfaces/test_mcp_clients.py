"""`MCPClient` at real MCP servers: one span for a tool call, its context at the server, errors as they are."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import baggage
from opentelemetry import context as otel_context
from opentelemetry.trace import get_current_span

import kaizen_otel
from kaizen_otel.testing import capture
from tests.kaizen_otel.surfaces import mcp_servers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kaizen_otel.testing import Captured

pytestmark = [
    pytest.mark.filterwarnings("ignore:The WebSocket client transport is deprecated"),
    # kailash-mcp 0.6 never closes the HTTP client that it makes for each call, nor the sockets of its pool.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]

TRANSPORTS = ("stdio", "http", "sse", "websocket")


@pytest.fixture(scope="module")
def listening() -> Iterator[dict[str, dict[str, Any]]]:
    with (
        mcp_servers.listening("http") as http,
        mcp_servers.listening("sse") as sse,
        mcp_servers.listening("websocket") as websocket,
    ):
        yield {"http": http, "sse": sse, "websocket": websocket}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "requests.jsonl"


@pytest.fixture
def echo(log: Path) -> dict[str, Any]:
    return mcp_servers.stdio(log)


def client(**given: Any) -> Any:
    from kailash_mcp.client import MCPClient

    return MCPClient(**given)


def call(server: Any, tool: str = "echo", arguments: Any = None, **given: Any) -> Any:
    return asyncio.run(client().call_tool(server, tool, {"text": "hi"} if arguments is None else arguments, **given))


def meta_of(answer: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer["content"])["meta"] or {}
    return found


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_tool_call_is_one_span_and_the_server_can_go_on_from_it(
    transport: str, listening: dict[str, dict[str, Any]], echo: dict[str, Any], kaizen_telemetry: Captured
) -> None:
    server = {**listening, "stdio": echo}[transport]
    answer = call(server)

    tool = kaizen_telemetry.span("execute_tool echo")
    assert meta_of(answer) == {"traceparent": mcp_servers.traceparent(tool)}
    assert (tool.kind, tool.status, tool.parent_id) == ("INTERNAL", "UNSET", None)
    assert tool["mcp.method.name"] == "tools/call"
    assert tool["jsonrpc.request.id"] == "1"
    assert tool["mcp.protocol.version"] == "2025-11-25"
    assert tool["network.transport"] == ("pipe" if transport == "stdio" else "tcp")
    at = {name: tool.attributes.get(name) for name in ("network.protocol.name", "server.address", "server.port")}
    protocol = {"stdio": None, "websocket": "websocket"}.get(transport, "http")
    here = (None, None) if transport == "stdio" else ("127.0.0.1", server["port"])
    assert tuple(at.values()) == (protocol, *here)
    assert ("mcp.session.id" in tool.attributes) is (transport == "http")
    # The SDK asks what the tool answers with, once for each session.
    assert kaizen_telemetry.tree() == "execute_tool echo\n  initialize\n  tools/list"
    assert {span.kind for span in kaizen_telemetry.spans_named("initialize")} == {"CLIENT"}


def test_a_url_alone_says_the_transport(listening: dict[str, dict[str, Any]], kaizen_telemetry: Captured) -> None:
    assert call(listening["sse"]["url"])["success"] is True
    assert call(listening["websocket"]["url"])["success"] is True
    protocols = [span["network.protocol.name"] for span in kaizen_telemetry.spans_named("execute_tool")]
    assert protocols == ["http", "websocket"]


def without_meta(message: dict[str, Any]) -> dict[str, Any]:
    params = {key: value for key, value in message.get("params", {}).items() if key != "_meta"}
    return {key: value for key, value in message.items() if key != "params"} | ({"params": params} if params else {})


def test_requests_are_those_without_us_but_for_the_context(echo: dict[str, Any], log: Path) -> None:
    def ask() -> list[Any]:
        plain = client()
        return [
            asyncio.run(plain.discover_tools(echo)),
            asyncio.run(plain.call_tool(echo, "echo", {"text": "æ"}))["success"],
            asyncio.run(plain.call_tool(echo, "fail", {"text": "no"}))["content"],
        ]

    before = ask()
    plain = mcp_servers.requests_in(log)
    log.unlink()
    with capture():
        assert ask() == before
    watched = mcp_servers.requests_in(log)

    assert [without_meta(message) for message in watched] == plain
    assert all(set(m["params"]["_meta"]) == {"traceparent"} for m in watched if m.get("params", {}).get("_meta"))
    # The one message without: sent where no span is current.
    assert [m["method"] for m in watched if "_meta" not in m.get("params", {})] == ["notifications/initialized"]


def test_baggage_travels_as_the_propagator_says(echo: dict[str, Any], kaizen_telemetry: Captured) -> None:
    del kaizen_telemetry
    token = otel_context.attach(baggage.set_baggage("tenant", "acme"))
    try:
        assert meta_of(call(echo))["baggage"] == "tenant=acme"
    finally:
        otel_context.detach(token)


def test_the_applications_own_meta_is_kept(kaizen_telemetry: Captured) -> None:
    from mcp import types

    from kaizen_otel.patches.mcp_session import with_context
    from kaizen_otel.patches.switch import active

    del kaizen_telemetry
    telemetry = active()
    assert telemetry is not None

    def sent(**meta: Any) -> tuple[Any, Any]:
        params = types.CallToolRequestParams(name="echo", arguments={}, _meta=types.RequestParams.Meta(**meta))
        request = types.ClientRequest(types.CallToolRequest(params=params))
        carried = with_context(telemetry, request).model_dump(by_alias=True, mode="json", exclude_none=True)
        assert request.model_dump(by_alias=True, exclude_none=True)["params"]["_meta"] == meta, "ours is a copy"
        return carried["params"].pop("_meta"), carried

    with kaizen_otel.measure():
        token = otel_context.attach(baggage.set_baggage("tenant", "acme"))
        try:
            meta, rest = sent(progressToken=7, mine="yes")
            assert meta == {"progressToken": 7, "mine": "yes", "baggage": "tenant=acme"}
            assert rest == {"method": "tools/call", "params": {"name": "echo", "arguments": {}}}
            # A context that the application propagates itself is not mixed with ours.
            assert sent(baggage="tenant=other")[0] == {"baggage": "tenant=other"}
        finally:
            otel_context.detach(token)


def test_a_tools_own_error_is_one_though_the_client_says_success(
    echo: dict[str, Any], kaizen_telemetry: Captured
) -> None:
    answer = call(echo, "fail")

    assert answer["success"] is True
    tool = kaizen_telemetry.span("execute_tool fail")
    assert (tool.status, tool["error.type"]) == ("ERROR", "tool_error")
    assert "rpc.response.status_code" not in tool.attributes
    (point,) = (p for p in mcp_servers.points(kaizen_telemetry) if p.attributes["mcp.method.name"] == "tools/call")
    assert point.attributes["error.type"] == "tool_error"
    assert (point.attributes["gen_ai.operation.name"], point.attributes["gen_ai.tool.name"]) == ("execute_tool", "fail")
    assert point.count == 1


def test_a_call_that_takes_too_long_says_so(echo: dict[str, Any], kaizen_telemetry: Captured) -> None:
    answer = call(echo, "hang", {}, timeout=0.5)

    assert answer["success"] is False
    tool = kaizen_telemetry.span("execute_tool hang")
    assert (tool.status, tool["error.type"], tool["jsonrpc.request.id"]) == ("ERROR", "TimeoutError", "1")


def test_a_server_that_does_not_start_is_named_by_its_error(kaizen_telemetry: Captured) -> None:
    answer = call({"transport": "http", "url": "http://127.0.0.1:9/mcp"})

    assert answer["success"] is False
    tool = kaizen_telemetry.span("execute_tool echo")
    assert (tool.status, tool["error.type"]) == ("ERROR", "httpx.ConnectError")


def test_attempts_are_one_tool_call_and_the_last_one_counts(
    echo: dict[str, Any], kaizen_telemetry: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kailash_mcp.errors import ExponentialBackoffRetry, TransportError

    retrying = client(retry_strategy=ExponentialBackoffRetry(max_attempts=2, base_delay=0.0, max_delay=0.0))
    real, attempts = retrying._call_tool_stdio, []

    async def once_broken(*args: Any) -> Any:
        attempts.append(args)
        if len(attempts) == 1:
            raise TransportError("not yet", transport_type="stdio")
        return await real(*args)

    monkeypatch.setattr(retrying, "_call_tool_stdio", once_broken)
    answer = asyncio.run(retrying.call_tool(echo, "echo", {"text": "hi"}))

    assert (answer["success"], len(attempts)) == (True, 2)
    tool = kaizen_telemetry.span("execute_tool echo")
    assert (tool.status, tool.attributes.get("error.type")) == ("UNSET", None)
    assert meta_of(answer) == {"traceparent": mcp_servers.traceparent(tool)}


def test_discovery_is_a_client_span_for_each_request(echo: dict[str, Any], kaizen_telemetry: Captured) -> None:
    with kaizen_otel.attributes(user_id="u-1", session_id="s-1", conversation_id="c-1", tags=["mcp"]):
        tools = asyncio.run(client().discover_tools(echo))

    assert [tool["name"] for tool in tools] == ["echo", "fail", "hang"]
    listed = kaizen_telemetry.span("tools/list")
    assert (listed.kind, listed["mcp.method.name"], listed["jsonrpc.request.id"]) == ("CLIENT", "tools/list", "1")
    assert (listed["user.id"], listed["session.id"]) == ("u-1", "s-1")
    assert "gen_ai.operation.name" not in listed.attributes
    assert sorted(p.attributes["mcp.method.name"] for p in mcp_servers.points(kaizen_telemetry)) == [
        "initialize",
        "tools/list",
    ]


def test_a_resource_that_the_client_reads_by_itself(echo: dict[str, Any], kaizen_telemetry: Captured) -> None:
    found = asyncio.run(client(config=echo).read_resource_simple("notes://today"))

    assert found == [{"type": "text", "text": "buy milk"}]
    assert [span.name for span in kaizen_telemetry.spans] == ["initialize", "resources/read"]


def test_the_applications_own_session_is_left_alone_until_it_is_lent(
    echo: dict[str, Any], kaizen_telemetry: Captured
) -> None:
    from mcp import ClientSession, StdioServerParameters
    from mcp.client.stdio import stdio_client

    async def ask() -> tuple[Any, Any]:
        params = StdioServerParameters(command=echo["command"], args=echo["args"])
        async with stdio_client(params) as streams, ClientSession(*streams) as session:
            await session.initialize()
            answer = await session.call_tool("echo", {"text": "hi"})
            assert kaizen_telemetry.spans == []
            return answer, await client().list_resources(session)

    answer, resources = asyncio.run(ask())

    assert json.loads(answer.content[0].text)["meta"] is None
    assert len(resources) == 1
    listed = kaizen_telemetry.span("")
    assert (listed.name, "network.transport" in listed.attributes) == ("resources/list", False)


def test_the_executor_node_inside_the_loop_of_its_runtime(
    listening: dict[str, dict[str, Any]], kaizen_telemetry: Captured
) -> None:
    import kailash.nodes.enterprise.mcp_executor  # noqa: F401 - registers the node
    from kailash.runtime.local import LocalRuntime
    from kailash.workflow.builder import WorkflowBuilder

    builder = WorkflowBuilder()
    request = {"tool": "echo", "parameters": {"text": "hi"}, "server_id": listening["sse"]["url"]}
    builder.add_node("EnterpriseMLCPExecutorNode", "executor", {"tool_request": request})
    with LocalRuntime() as runtime:
        results, _ = runtime.execute(builder.build())

    assert results["executor"]["success"] is True, results
    assert kaizen_telemetry.tree() == (
        "invoke_workflow\n  node EnterpriseMLCPExecutorNode\n    execute_tool echo\n      initialize\n      tools/list"
    )


@pytest.mark.kaizen_otel(monitoring_level="basic")
def test_without_spans_for_tools_the_servers_parent_is_what_runs_around_them(
    echo: dict[str, Any], kaizen_telemetry: Captured
) -> None:
    async def ask() -> Any:
        span = kaizen_telemetry.tracer_provider.get_tracer("application").start_as_current_span("around")
        with span:
            return await client().call_tool(echo, "echo", {"text": "hi"}), get_current_span()

    answer, _ = asyncio.run(ask())

    around = kaizen_telemetry.span("")
    assert (around.name, meta_of(answer)) == ("around", {"traceparent": mcp_servers.traceparent(around)})
