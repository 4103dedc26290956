"""A real MCP server, made with the official SDK, as a process of its own: `python mcp_server.py TRANSPORT [LOG]`.

`stdio` writes each line that it is sent to LOG. `http`, `sse` and `websocket` print the port that they listen on.
"""

from __future__ import annotations

import asyncio
import io
import json
import socket
import sys
from types import SimpleNamespace
from typing import Any

import uvicorn
from mcp.server.fastmcp import Context, FastMCP
from mcp.server.websocket import websocket_server
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute

server = FastMCP("echo", log_level="CRITICAL")


@server.tool()
def echo(text: str, ctx: Context[Any, Any, Any]) -> str:
    """Say what was said, and with which `_meta`."""
    meta = ctx.request_context.meta
    return json.dumps({"text": text, "meta": None if meta is None else meta.model_dump(exclude_none=True)})


@server.tool()
def fail(text: str) -> str:
    """Fail: the answer is a result with `isError`."""
    raise ValueError(text)


@server.tool()
async def hang() -> str:
    """Never answer."""
    await asyncio.Event().wait()
    return ""


@server.resource("notes://today")
def today() -> str:
    """One resource."""
    return "buy milk"


@server.prompt()
def greet(name: str) -> str:
    """One prompt."""
    return f"Greet {name}."


class Tee(io.BufferedIOBase):
    """Standard input, written down as it is read."""

    def __init__(self, source: Any, log: Any) -> None:
        self._source = source
        self._log = log

    def readable(self) -> bool:
        return True

    def read1(self, size: int = -1) -> bytes:
        data: bytes = self._source.read1(size)
        self._log.write(data)
        self._log.flush()
        return data


async def serve_websocket(websocket: Any) -> None:
    """One session of the protocol over one connection."""
    low = server._mcp_server  # FastMCP has no app for WebSockets
    async with websocket_server(websocket.scope, websocket.receive, websocket.send) as (read, write):
        await low.run(read, write, low.create_initialization_options())


def main(transport: str, *log: str) -> None:
    """Serve until the client goes, or somebody ends the process."""
    if transport == "stdio":
        with open(log[0], "ab") as file:  # noqa: PTH123 - a script that begins fast
            sys.stdin = SimpleNamespace(buffer=Tee(sys.stdin.buffer, file))
            server.run("stdio")
        return
    apps = {
        "http": server.streamable_http_app,
        "sse": server.sse_app,
        "websocket": lambda: Starlette(routes=[WebSocketRoute("/ws", serve_websocket)]),
    }
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)  # noqa: T201 - how the parent learns the port
    app: Any = apps[transport]
    uvicorn.Server(uvicorn.Config(app(), log_level="critical", ws="websockets-sansio")).run(sockets=[listener])


if __name__ == "__main__":
    main(*sys.argv[1:])
