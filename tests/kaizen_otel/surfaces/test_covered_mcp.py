"""What `docs/coverage.md` says of the clients of MCP servers: each method goes well, and fails."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from tests.kaizen_otel.surfaces import mcp_servers
from tests.versions.capabilities import needs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator
    from pathlib import Path

    from kaizen_otel.testing import Captured

# As in test_mcp_clients.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]

NOWHERE = {"name": "nowhere", "transport": "stdio", "command": "python", "args": ["/nowhere.py"]}


@pytest.fixture(scope="module")
def echo() -> Iterator[dict[str, Any]]:
    with mcp_servers.listening("sse") as server:
        yield server


def in_caller(captured: Captured, calls: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with captured.tracer_provider.get_tracer("app").start_as_current_span("caller"):
        asyncio.run(calls())


async def each(*calls: Callable[[], Awaitable[Any]]) -> None:
    """Await one after the other, whatever becomes of it."""
    for call in calls:
        with suppress(Exception, BaseExceptionGroup):
            await call()


@pytest.mark.covers("kailash_mcp.client:MCPClient.call_tool", "traced", "error", "context")
@pytest.mark.covers("mcp.shared.session:BaseSession.send_request", "traced", "error", "context")
@pytest.mark.covers("kailash_mcp.client:MCPClient.discover_tools", "error", "context")
@pytest.mark.covers("kailash_mcp.client:MCPClient.read_resource_simple", "error", "context")
def test_kailashs_client(echo: dict[str, Any], tmp_path: Path, kaizen_telemetry: Captured) -> None:
    from kailash_mcp.client import MCPClient

    started = mcp_servers.stdio(tmp_path / "log")  # the one kind whose resources it reads

    async def calls() -> None:
        await each(
            lambda: MCPClient().call_tool(echo, "echo", {"text": "hi"}),
            lambda: MCPClient().call_tool(echo, "fail", {"text": "no"}),
            lambda: MCPClient().discover_tools(echo),
            lambda: MCPClient().discover_tools(NOWHERE),
            lambda: MCPClient(config=started).read_resource_simple("notes://today"),
            lambda: MCPClient(config=started).read_resource_simple("notes://never"),
        )

    in_caller(kaizen_telemetry, calls)


@pytest.mark.covers("kaizen.core.mcp_mixin:MCPMixin.discover_tools", "error", "context")
@pytest.mark.covers("kaizen.core.mcp_mixin:MCPMixin.discover_mcp_tools", "error", "context")
@pytest.mark.covers("kaizen.core.mcp_mixin:MCPMixin.discover_mcp_resources", "error", "context")
@pytest.mark.covers("kaizen.core.mcp_mixin:MCPMixin.discover_mcp_prompts", "error", "context")
@pytest.mark.covers("kaizen.core.mcp_mixin:MCPMixin.read_mcp_resource", "error", "context")
@pytest.mark.covers("kaizen.core.mcp_mixin:MCPMixin.get_mcp_prompt", "error", "context")
@pytest.mark.covers("kaizen.core.mcp_mixin:MCPMixin.execute_tool", "error", "context")
@pytest.mark.covers("kaizen.core.mcp_mixin:MCPMixin.execute_mcp_tool", "error", "context")
@pytest.mark.covers("kaizen.core.mcp_mixin:MCPMixin.setup_mcp_client", "error", "context")
@pytest.mark.covers("kaizen.core.mcp_mixin:MCPMixin.call_mcp_tool", "error", "context")
@pytest.mark.covers("kailash_mcp.client:MCPClient.list_resources", "context")
@pytest.mark.covers("kailash_mcp.client:MCPClient.read_resource", "error", "context")
@pytest.mark.covers("kailash_mcp.client:MCPClient.list_prompts", "context")
@pytest.mark.covers("kailash_mcp.client:MCPClient.get_prompt", "error", "context")
def test_an_agents_own(echo: dict[str, Any], kaizen_telemetry: Captured) -> None:
    from tests.kaizen_otel.surfaces import scenes

    clerk = scenes.base_agent(agent_id="clerk", mcp_servers=(echo,))
    lost = scenes.base_agent(agent_id="lost", mcp_servers=(NOWHERE,))

    async def calls() -> None:
        await each(
            clerk.discover_tools,
            clerk.discover_mcp_tools,
            lambda: clerk.discover_mcp_resources("echo"),
            lambda: clerk.discover_mcp_prompts("echo"),
            lambda: clerk.read_mcp_resource("echo", "notes://today"),
            lambda: clerk.read_mcp_resource("echo", "notes://never"),
            lambda: clerk.get_mcp_prompt("echo", "greet", {"name": "Ada"}),
            lambda: clerk.get_mcp_prompt("echo", "nobody", {}),
            lambda: clerk.execute_tool("mcp__echo__echo", {"text": "hi"}),
            lambda: clerk.execute_tool("mcp__echo__fail", {"text": "no"}),
            lambda: clerk.execute_mcp_tool("mcp__echo__echo", {"text": "hi"}),
            lambda: clerk.execute_mcp_tool("mcp__echo__fail", {"text": "no"}),
            lost.discover_tools,
            lambda: lost.discover_mcp_tools(force_refresh=True),
            lambda: lost.discover_mcp_resources("nowhere"),
            lambda: lost.discover_mcp_prompts("nowhere"),
            lambda: lost.setup_mcp_client([NOWHERE]),
            lambda: clerk.setup_mcp_client([echo]),
            lambda: clerk.call_mcp_tool("echo:echo", {"text": "hi"}),
            lambda: clerk.call_mcp_tool("echo:fail", {"text": "no"}),
        )

    in_caller(kaizen_telemetry, calls)


@needs("delegate")
@pytest.mark.covers("kaizen_agents.delegate.mcp:McpClient.call_tool", "traced", "error", "context")
@pytest.mark.covers("kaizen_agents.delegate.mcp:McpClient.start", "context")
@pytest.mark.covers("kaizen_agents.delegate.mcp:McpClient.discover_tools", "context")
@pytest.mark.covers("kaizen_agents.delegate.mcp:register_mcp_tools", "context")
def test_a_delegates_client(tmp_path: Path, kaizen_telemetry: Captured) -> None:
    from kaizen_agents.delegate.loop import ToolRegistry
    from kaizen_agents.delegate.mcp import McpClient, McpServerConfig, register_mcp_tools

    echo = mcp_servers.stdio(tmp_path / "log")

    async def calls() -> None:
        client = McpClient(McpServerConfig(name="echo", command=echo["command"], args=echo["args"]))
        await client.start()
        try:
            await each(
                lambda: register_mcp_tools(client, ToolRegistry()),
                client.discover_tools,
                lambda: client.call_tool("echo", {"text": "hi"}),
                lambda: client.call_tool("echo", "no object"),  # so that the server refuses it
            )
        finally:
            await client.stop()

    in_caller(kaizen_telemetry, calls)


@pytest.mark.covers(
    "kailash.middleware.mcp.client_integration:MCPServerConnection.call_tool", "traced", "error", "context"
)
@pytest.mark.covers("kailash.middleware.mcp.client_integration:MCPServerConnection.connect", "context")
@pytest.mark.covers("kailash.middleware.mcp.client_integration:MCPServerConnection.get_resource", "context")
def test_a_connection_of_the_middleware(tmp_path: Path, kaizen_telemetry: Captured) -> None:
    from kailash.middleware.mcp.client_integration import MiddlewareMCPClient

    echo = mcp_servers.stdio(tmp_path / "log")

    async def calls() -> None:
        middleware = MiddlewareMCPClient()
        assert await middleware.add_server("echo", {**echo, "allow_arbitrary_commands": True})
        try:
            await each(
                lambda: middleware.call_tool("echo", "echo", {"text": "hi"}),
                lambda: middleware.call_tool("echo", "fail", {"text": "no"}),
                lambda: middleware.get_resource("echo", "notes://today"),
            )
        finally:
            await middleware.remove_server("echo")

    in_caller(kaizen_telemetry, calls)
