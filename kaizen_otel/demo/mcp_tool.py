"""A small MCP server on stdio with one tool, `lookup_order`: run as `python -m kaizen_otel.demo.mcp_tool`.

Written on the standard library: a client starts it anew for each call, and the SDK's server takes a second to import.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO

ORDERS: Final[Mapping[str, Mapping[str, str]]] = {
    "A-1042": {"status": "shipped", "carrier": "DHL", "expected": "Thursday"},
    "A-1077": {"status": "delivered", "carrier": "UPS", "expected": "last Monday"},
}
TOOL: Final[Mapping[str, Any]] = {
    "name": "lookup_order",
    # Kaizen 2.46 loses the input schema on the way to the model, so the description names the argument as well.
    "description": 'Find an order and say where it is. Call it with {"order_id": "A-1042"}.',
    "inputSchema": {
        "type": "object",
        "properties": {"order_id": {"type": "string", "description": "The number of the order"}},
        "required": ["order_id"],
    },
}
_PROTOCOL_VERSION: Final = "2025-06-18"
_METHOD_NOT_FOUND: Final = -32601


def serve(source: TextIO, sink: TextIO) -> None:
    """Answer JSON-RPC messages, one a line, until the client closes its end."""
    for line in source:
        message = json.loads(line)
        if "id" in message:  # a notification has none, and wants no answer
            sink.write(json.dumps({"jsonrpc": "2.0", "id": message["id"], **answer(message)}) + "\n")
            sink.flush()


def answer(message: Mapping[str, Any]) -> dict[str, Any]:
    """The `result` or the `error` for one request."""
    method, params = message.get("method"), message.get("params", {})
    if method == "initialize":
        return {
            "result": {
                "protocolVersion": params.get("protocolVersion", _PROTOCOL_VERSION),
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "orders", "version": "1"},
            }
        }
    if method == "tools/list":
        return {"result": {"tools": [TOOL]}}
    if method == "tools/call":
        return {"result": lookup(params.get("arguments", {}))}
    if method == "ping":
        return {"result": {}}
    return {"error": {"code": _METHOD_NOT_FOUND, "message": f"no method {method!r}"}}


def lookup(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The tool itself, as an MCP `CallToolResult`."""
    order_id = str(arguments.get("order_id", ""))
    order = ORDERS.get(order_id)
    if order is None:
        return {"content": [{"type": "text", "text": f"There is no order {order_id!r}."}], "isError": True}
    found = {"order_id": order_id, **order}
    return {"content": [{"type": "text", "text": json.dumps(found)}], "structuredContent": found, "isError": False}


if __name__ == "__main__":
    serve(sys.stdin, sys.stdout)
