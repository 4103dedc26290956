"""Tools, those of MCP servers among them."""

from __future__ import annotations

import asyncio
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from kaizen_otel.demo.model_server import Reply
from tests.versions.probes.probing import probe, run_llm_node

if TYPE_CHECKING:
    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured

ORDERS = {
    "name": "orders",
    "transport": "stdio",
    "command": sys.executable,
    "args": ["-m", "kaizen_otel.demo.mcp_tool"],
}
TOOL = {"type": "function", "function": {"name": "get_weather", "description": "x", "parameters": {"type": "object"}}}


@probe
def tool_mcp(_server: ModelServer, seen: Captured) -> None:
    try:
        client = import_module("kailash_mcp.client").MCPClient()
    except ModuleNotFoundError:
        client = import_module("kailash.mcp_server.client").MCPClient()
    answer = asyncio.run(client.call_tool(ORDERS, "lookup_order", {"order_id": "A-1042"}))
    assert answer["success"] is True
    tool = seen.span("execute_tool lookup_order")
    assert (tool.status, tool["gen_ai.tool.type"]) == ("UNSET", "extension")


@probe
def tool_mcp_context(server: ModelServer, seen: Captured) -> None:
    tool_mcp(server, seen)
    tool = seen.span("execute_tool lookup_order")
    assert tool["mcp.method.name"] == "tools/call"
    assert seen.span("initialize").parent_id == tool.span_id


@probe
def tool_mcp_served(_server: ModelServer, seen: Captured) -> None:
    served = import_module("kailash_mcp.server").MCPServer("orders")

    @served.tool()  # type: ignore[untyped-decorator,unused-ignore]
    def lookup(order: str) -> str:
        return f"{order} is on its way"

    async def ask() -> None:
        connected = import_module("mcp.shared.memory").create_connected_server_and_client_session
        async with connected(served._mcp._mcp_server) as session:
            await session.call_tool("lookup", {"order": "A-17"})

    asyncio.run(ask())
    assert {seen.span(name).kind for name in ("initialize", "tools/call lookup")} == {"SERVER"}


@probe
def tool_regular(server: ModelServer, seen: Captured) -> None:
    server.script([Reply.call("get_weather", {"city": "Oslo"}), Reply(text="It rains.")])
    run_llm_node(tools=[TOOL])
    assert seen.tree() == (
        "invoke_workflow\n  invoke_agent desk\n    chat gpt-4o\n    execute_tool get_weather\n    chat gpt-4o"
    )
    assert seen.span("execute_tool")["kaizen.tool.simulated"] is True
