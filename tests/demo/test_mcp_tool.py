"""The demo's tool over real MCP: Kaizen's own client starts it and calls it."""

from __future__ import annotations

import asyncio
import io
import json
from typing import Any

from kaizen_otel.demo.mcp_tool import ORDERS, TOOL, answer, lookup, serve


def test_kaizens_client_finds_and_calls_the_tool() -> None:
    from kailash_mcp.client import MCPClient

    from kaizen_otel.demo.support_desk import ORDERS_SERVER

    async def use() -> tuple[Any, Any]:
        client = MCPClient()
        tools = await client.discover_tools(ORDERS_SERVER)
        return tools, await client.call_tool(ORDERS_SERVER, "lookup_order", {"order_id": "A-1042"})

    tools, called = asyncio.run(use())
    assert [tool["name"] for tool in tools] == ["lookup_order"]
    assert called["result"].structuredContent == {"order_id": "A-1042", **ORDERS["A-1042"]}


def test_unknown_order_is_a_tools_error() -> None:
    assert lookup({"order_id": "B-1"}) == {
        "content": [{"type": "text", "text": "There is no order 'B-1'."}],
        "isError": True,
    }


def test_requests_are_answered_by_id_and_notifications_are_not() -> None:
    messages = [
        {"jsonrpc": "2.0", "id": 1, "method": "tools/list"},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": "two", "method": "ping"},
        {"jsonrpc": "2.0", "id": 3, "method": "unheard/of"},
    ]
    sink = io.StringIO()
    serve(io.StringIO("".join(json.dumps(message) + "\n" for message in messages)), sink)
    answers = [json.loads(line) for line in sink.getvalue().splitlines()]
    assert answers[0] == {"jsonrpc": "2.0", "id": 1, "result": {"tools": [TOOL]}}
    assert answers[1] == {"jsonrpc": "2.0", "id": "two", "result": {}}
    assert (answers[2]["id"], answers[2]["error"]["code"]) == (3, -32601)


def test_server_speaks_the_clients_protocol_version() -> None:
    result = answer({"method": "initialize", "params": {"protocolVersion": "2025-03-26"}})["result"]
    assert result["protocolVersion"] == "2025-03-26"
