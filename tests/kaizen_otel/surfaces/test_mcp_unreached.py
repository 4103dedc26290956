"""Servers that a client does not reach: the first request tells why, though most clients go on as if they had none."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from tests.versions.capabilities import needs

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from kaizen_otel.testing import Captured

# As in test_mcp_clients.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The WebSocket client transport is deprecated"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]

SERVERS: dict[str, dict[str, Any]] = {
    "sse": {"transport": "sse", "url": "http://127.0.0.1:9/sse"},
    "http": {"transport": "http", "url": "http://127.0.0.1:9/mcp"},
    "websocket": {"transport": "websocket", "url": "ws://127.0.0.1:9/ws"},
    "stdio": {"transport": "stdio", "command": "/nowhere/python", "args": [], "allow_arbitrary_commands": True},
}
ERRORS = {
    "sse": "httpx.ConnectError",
    "http": "httpx.ConnectError",
    "websocket": "ConnectionRefusedError",
    "stdio": "FileNotFoundError",
}


async def discovery(server: dict[str, Any]) -> None:
    from kailash_mcp.client import MCPClient

    assert await MCPClient().discover_tools(server) == []


async def agents_discovery(server: dict[str, Any]) -> None:
    from tests.kaizen_otel.surfaces import scenes

    clerk = scenes.base_agent(agent_id="clerk", mcp_servers=({"name": "gone", **server},))
    with suppress(Exception):
        await clerk.discover_mcp_resources("gone")


async def connection(server: dict[str, Any]) -> None:
    from kailash.middleware.mcp.client_integration import MCPServerConnection, MiddlewareMCPClient

    assert await MCPServerConnection("gone", server, MiddlewareMCPClient()).connect() is False


@pytest.mark.parametrize(
    ("reach", "transport"),
    [
        *((discovery, transport) for transport in SERVERS),
        *((agents_discovery, transport) for transport in ("sse", "stdio")),
        *((connection, transport) for transport in ("sse", "stdio")),
    ],
)
def test_a_server_that_is_not_reached_is_told_by_the_request_that_never_was(
    reach: Callable[[dict[str, Any]], Coroutine[Any, Any, None]], transport: str, kaizen_telemetry: Captured
) -> None:
    asyncio.run(reach(SERVERS[transport]))

    (first,) = kaizen_telemetry.spans
    assert (first.name, first.kind, first.status, first["error.type"]) == (
        "initialize",
        "CLIENT",
        "ERROR",
        ERRORS[transport],
    )
    if transport != "stdio":
        assert (first["server.address"], first["server.port"]) == ("127.0.0.1", 9)
    (point,) = kaizen_telemetry.metrics()["mcp.client.operation.duration"]
    assert point.attributes["error.type"] == ERRORS[transport]


@needs("delegate")
def test_a_delegates_server_that_is_not_there(kaizen_telemetry: Captured) -> None:
    from kaizen_agents.delegate.mcp import McpClient, McpServerConfig

    with pytest.raises(RuntimeError, match="command not found"):
        asyncio.run(McpClient(McpServerConfig(name="gone", command="/nowhere/python", args=[])).start())

    first = kaizen_telemetry.span("")
    assert (first.name, first["error.type"], first["network.transport"]) == ("initialize", "FileNotFoundError", "pipe")


def test_what_the_application_gives_up_is_no_error(kaizen_telemetry: Captured) -> None:
    async def give_up() -> None:
        asked = asyncio.Event()

        async def never_answer(reader: Any, writer: Any) -> None:
            await reader.read(1)
            asked.set()
            await reader.read()
            writer.close()

        silent = await asyncio.start_server(never_answer, "127.0.0.1", 0)
        port = silent.sockets[0].getsockname()[1]
        waiting = asyncio.create_task(discovery({"transport": "http", "url": f"http://127.0.0.1:{port}/mcp"}))
        await asked.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        silent.close()

    asyncio.run(give_up())

    first = kaizen_telemetry.span("")
    assert (first.name, first.status) == ("initialize", "UNSET")
