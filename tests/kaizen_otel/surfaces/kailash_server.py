"""A real MCP server of Kailash's, watched, as a process of its own that serves pipes: `kailash_server.py FILE [KIND]`.

KIND is `run` (by the SDK), `run_async` (by a loop of Kailash's) or `eatp` (its server of trust operations).
"""

from __future__ import annotations

import asyncio
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


def called(server: Any) -> Any:
    """A server, whose tools the loop over pipes finds under the name by which kailash-mcp 0.4 looks for them."""
    for tool in server._tool_registry.values():
        tool.setdefault("handler", tool["function"])
    return server


def serve(kind: str) -> None:
    """Until the input ends."""
    if kind == "run":
        orders().run()
    elif kind == "run_async":
        asyncio.run(called(orders()).run_async())
    else:
        from kailash.trust.mcp.server import EATPMCPServer

        asyncio.run(EATPMCPServer().serve_stdio())


if __name__ == "__main__":
    file, kind = (*sys.argv[1:], "run")[:2]
    kaizen_otel.instrument(file=file)
    serve(kind)
    kaizen_otel.flush()
