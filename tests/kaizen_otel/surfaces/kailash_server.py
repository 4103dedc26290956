"""A real MCP server of Kailash's, watched, as a process of its own: `python kailash_server.py FILE` serves pipes."""

from __future__ import annotations

import sys
from typing import Any

import kaizen_otel


def orders() -> Any:
    """Tools, a resource and a prompt."""
    from kailash_mcp.server import MCPServer

    server = MCPServer("orders")

    @server.tool()
    def lookup(order: str) -> str:
        """Find an order."""
        if order == "gone":
            raise LookupError("no such order")
        return f"{order} is on its way"

    @server.resource("notes://today")
    def today() -> str:
        """One resource."""
        return "buy milk"

    @server.prompt("greet")
    def greet(name: str) -> str:
        """One prompt."""
        return f"Greet {name}."

    return server


if __name__ == "__main__":
    kaizen_otel.instrument(file=sys.argv[1])
    orders().run()
    kaizen_otel.flush()
