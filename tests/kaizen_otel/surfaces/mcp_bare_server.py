"""A real MCP server over pipes, made with the official SDK, that has nothing: it refuses whatever is asked of it."""

from __future__ import annotations

import asyncio

from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server


async def main() -> None:
    """Greet, and refuse until the client goes."""
    server = Server[object, object]("bare")
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


if __name__ == "__main__":
    asyncio.run(main())
