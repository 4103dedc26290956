"""Clients of an MCP server that a process of its own is, and servers in this one."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from kailash_mcp.client import MCPClient
from kailash_mcp.server import MCPServer
from kaizen.mcp.catalog_server.server import CatalogMCPServer
from kaizen_agents.delegate.loop import ToolRegistry
from kaizen_agents.delegate.mcp import McpClient, McpServerConfig, register_mcp_tools
from mcp.shared.memory import create_connected_server_and_client_session

SERVER = {
    "name": "orders",
    "transport": "stdio",
    "command": sys.executable,
    "args": ["-m", "kaizen_otel.demo.mcp_tool"],
}
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def tools_are_found_and_called() -> Any:
    client = MCPClient()
    return {
        "tools": await client.discover_tools(SERVER),
        "found": await client.call_tool(SERVER, "lookup_order", {"order_id": "A-1042"}),
        "not found": await client.call_tool(SERVER, "lookup_order", {"order_id": "?"}),
        "healthy": (await client.health_check(SERVER))["status"],
    }


async def a_server_that_is_not_there() -> Any:
    return await MCPClient().call_tool({**SERVER, "command": "/nowhere/python"}, "lookup_order", {})


async def a_command_that_is_not_allowed() -> Any:
    return await MCPClient().discover_tools({**SERVER, "command": "rm"})


async def tools_of_a_delegate() -> Any:
    client, registry = (
        McpClient(McpServerConfig("orders", sys.executable, ["-m", "kaizen_otel.demo.mcp_tool"])),
        ToolRegistry(),
    )
    await client.start()
    try:
        await register_mcp_tools(client, registry)
        return await asyncio.gather(
            registry.execute("mcp_orders_lookup_order", {"order_id": "A-1042"}),
            registry.execute("mcp_orders_lookup_order", {"order_id": "?"}),
            registry.execute("mcp_orders_lookup_order", {}),
        )
    finally:
        await client.stop()


def _orders() -> Any:
    server = MCPServer("orders", enable_metrics=False)

    @server.tool()  # type: ignore[untyped-decorator,unused-ignore]
    def lookup(order: str) -> str:
        if order == "gone":
            raise LookupError("no such order")
        return f"{order} is on its way"

    return server


async def a_server_that_the_sdk_asks() -> Any:
    async with create_connected_server_and_client_session(_orders()._mcp._mcp_server) as session:
        asked = [await session.call_tool("lookup", {"order": order}) for order in ("A-17", "gone")]
        tools = (await session.list_tools()).tools
        return [one.model_dump() for one in asked], len(tools)


async def a_server_asked_by_its_websockets() -> Any:
    server = _orders()
    tool = {"name": "lookup", "arguments": {"order": "A-17"}, "_meta": {"traceparent": TRACEPARENT}}
    messages = [("tools/list", 1, {}), ("tools/call", 2, tool), ("tools/forget", 3, {}), ("notifications/x", None, {})]
    return [
        await server._handle_websocket_message({"method": method, "id": number, "params": params}, "client")
        for method, number, params in messages
    ]


def a_catalog_of_agents() -> Any:
    server = CatalogMCPServer()
    wanted = {"name": "catalog_search", "arguments": {"query": "vision"}}
    messages = [("initialize", 1, {}), ("tools/call", 2, wanted), ("tools/call", 3, {"name": "nothing"})]
    return [server.handle_request({"method": method, "id": number, "params": p}) for method, number, p in messages]
