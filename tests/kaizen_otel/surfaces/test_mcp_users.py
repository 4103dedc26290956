"""Whoever else is a client of real MCP servers: agents, the middleware, the tools of a delegate."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.kaizen_otel.surfaces import mcp_servers
from tests.versions.capabilities import needs

if TYPE_CHECKING:
    from pathlib import Path

    from kaizen_otel.testing import Captured


@pytest.fixture
def echo(tmp_path: Path) -> dict[str, Any]:
    return mcp_servers.stdio(tmp_path / "requests.jsonl")


def agent(server: dict[str, Any]) -> Any:
    from tests.kaizen_otel.surfaces import scenes

    return scenes.base_agent(agent_id="clerk", mcp_servers=(server,))


def test_an_agents_resources_and_prompts_are_client_spans(echo: dict[str, Any], kaizen_telemetry: Captured) -> None:
    clerk = agent(echo)

    async def ask() -> list[Any]:
        return [
            await clerk.discover_mcp_resources("echo"),
            await clerk.read_mcp_resource("echo", "notes://today"),
            await clerk.discover_mcp_prompts("echo"),
            await clerk.get_mcp_prompt("echo", "greet", {"name": "Ada"}),
        ]

    resources, note, prompts, prompt = asyncio.run(ask())

    assert (str(resources[0]["uri"]), note) == ("notes://today", [{"type": "text", "text": "buy milk"}])
    assert (prompts[0]["name"], prompt["messages"][0]["content"]) == ("greet", "Greet Ada.")
    names = [span.name for span in kaizen_telemetry.spans if span.name != "initialize"]
    assert names == ["resources/list", "resources/read", "prompts/list", "prompts/get greet"]
    assert kaizen_telemetry.span("resources/read")["mcp.resource.uri"] == "notes://today"
    assert kaizen_telemetry.span("prompts/get")["gen_ai.prompt.name"] == "greet"
    assert {span["network.transport"] for span in kaizen_telemetry.spans} == {"pipe"}


def test_the_servers_error_code_names_the_error(echo: dict[str, Any], kaizen_telemetry: Captured) -> None:
    with pytest.raises(BaseException) as raised:  # noqa: PT011 - the SDK's groups: the same without us
        asyncio.run(agent(echo).get_mcp_prompt("echo", "nobody", {}))

    assert "Unknown prompt" in repr(raised.value)
    prompt = kaizen_telemetry.span("prompts/get nobody")
    assert (prompt.status, prompt.status_message) == ("ERROR", "Unknown prompt: nobody")
    assert prompt["error.type"] == prompt["rpc.response.status_code"] == "0"
    (point,) = (p for p in mcp_servers.points(kaizen_telemetry) if p.attributes["mcp.method.name"] == "prompts/get")
    assert point.attributes["rpc.response.status_code"] == "0"
    assert point.attributes["gen_ai.prompt.name"] == "nobody"


def test_a_connection_of_the_middleware(echo: dict[str, Any], kaizen_telemetry: Captured) -> None:
    from kailash.middleware.mcp.client_integration import MiddlewareMCPClient

    async def ask() -> list[Any]:
        middleware = MiddlewareMCPClient()
        assert await middleware.add_server("echo", {**echo, "allow_arbitrary_commands": True})
        try:
            return [
                await middleware.call_tool("echo", "echo", {"text": "hi"}),
                await middleware.call_tool("echo", "fail", {"text": "no"}),
                await middleware.get_resource("echo", "notes://today"),
                await middleware.check_health(),
            ]
        finally:
            await middleware.remove_server("echo")

    answer, failed, note, health = asyncio.run(ask())

    assert kaizen_telemetry.tree() == (
        "initialize\ntools/list\nresources/list\nexecute_tool echo\nexecute_tool fail!\nresources/read\nping"
    )
    tool = kaizen_telemetry.span("execute_tool echo")
    said = json.loads(answer["tool_result"]["result"])
    assert said["meta"] == {"traceparent": mcp_servers.traceparent(tool)}
    assert (tool["mcp.method.name"], tool["mcp.protocol.version"]) == ("tools/call", "2025-11-25")
    assert failed["tool_result"]["is_error"] is True
    assert (note["resource_data"]["content"], health) == ("buy milk", {"echo": True})


def delegates_client(echo: dict[str, Any]) -> Any:
    from kaizen_agents.delegate.mcp import McpClient, McpServerConfig

    return McpClient(McpServerConfig(name="echo", command=echo["command"], args=echo["args"]))


@needs("delegate")
def test_a_tool_of_the_delegates_registry_is_one_span_with_what_its_request_tells(
    echo: dict[str, Any], kaizen_telemetry: Captured
) -> None:
    from kaizen_agents.delegate.loop import ToolRegistry
    from kaizen_agents.delegate.mcp import register_mcp_tools

    async def ask() -> list[str]:
        registry, mcp = ToolRegistry(), delegates_client(echo)
        await mcp.start()
        try:
            await register_mcp_tools(mcp, registry)
            return [
                await registry.execute("mcp_echo_echo", {"text": "hi"}),
                await registry.execute("mcp_echo_fail", {"text": "no"}),
                await mcp.call_tool("echo", {"text": "hi"}),
            ]
        finally:
            await mcp.stop()

    answers = asyncio.run(ask())

    assert answers[1].startswith("MCP tool error: ")
    assert kaizen_telemetry.tree() == (
        "initialize\ntools/list\nexecute_tool mcp_echo_echo\nexecute_tool mcp_echo_fail!\nexecute_tool echo"
    )
    for name, answer in (("execute_tool mcp_echo_echo", answers[0]), ("execute_tool echo", answers[2])):
        tool = kaizen_telemetry.span(name)
        assert json.loads(answer)["meta"] == {"traceparent": mcp_servers.traceparent(tool)}
        assert (tool["mcp.method.name"], tool["network.transport"]) == ("tools/call", "pipe")
        assert (tool["mcp.protocol.version"], int(tool["jsonrpc.request.id"]) > 2) == ("2024-11-05", True)
    assert kaizen_telemetry.span("execute_tool mcp_echo_fail")["error.type"] == "tool_error"


@needs("delegate")
def test_the_code_of_the_servers_error_is_in_the_delegates_span(
    echo: dict[str, Any], kaizen_telemetry: Captured
) -> None:
    async def ask() -> None:
        mcp = delegates_client(echo)
        await mcp.start()
        try:
            await mcp.call_tool("echo", "no object")  # so that the server refuses it
        finally:
            await mcp.stop()

    with pytest.raises(RuntimeError, match=r"code=-32602"):
        asyncio.run(ask())

    tool = kaizen_telemetry.span("execute_tool echo")
    assert (tool.status, tool["error.type"], tool["rpc.response.status_code"]) == ("ERROR", "-32602", "-32602")
    assert tool.status_message is not None
    assert "code=" not in tool.status_message
