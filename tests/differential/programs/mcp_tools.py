"""Clients of an MCP server that a process of its own is."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from kailash_mcp.client import MCPClient
from kaizen_agents.delegate.loop import ToolRegistry
from kaizen_agents.delegate.mcp import McpClient, McpServerConfig, register_mcp_tools

SERVER = {
    "name": "orders",
    "transport": "stdio",
    "command": sys.executable,
    "args": ["-m", "kaizen_otel.demo.mcp_tool"],
}


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
