"""What `docs/coverage.md` says of MCP servers that refuse, or are gone: what each client's listing tells of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.kaizen_otel.surfaces.test_covered_mcp import each, in_caller
from tests.versions.capabilities import needs

if TYPE_CHECKING:
    from kaizen_otel.testing import Captured

# As in test_mcp_clients.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]

BARE: dict[str, Any] = {
    "name": "bare",
    "transport": "stdio",
    "command": sys.executable,
    "args": [str(Path(__file__).with_name("mcp_bare_server.py"))],
}
UNKNOWN_METHOD = "-32601"


def refused(captured: Captured) -> dict[str, str]:
    """The names of the requests that failed, and with which code of the server's."""
    return {span.name: str(span["rpc.response.status_code"]) for span in captured.spans if span.status == "ERROR"}


@pytest.mark.covers("kailash_mcp.client:MCPClient.list_resources", "error", "context")
@pytest.mark.covers("kailash_mcp.client:MCPClient.list_prompts", "error", "context")
def test_a_server_that_lists_nothing_for_an_agent(kaizen_telemetry: Captured) -> None:
    from tests.kaizen_otel.surfaces import scenes

    clerk = scenes.base_agent(agent_id="clerk", mcp_servers=(BARE,))
    in_caller(
        kaizen_telemetry,
        lambda: each(lambda: clerk.discover_mcp_resources("bare"), lambda: clerk.discover_mcp_prompts("bare")),
    )

    assert refused(kaizen_telemetry) == dict.fromkeys(("resources/list", "prompts/list"), UNKNOWN_METHOD)


@needs("delegate")
@pytest.mark.covers("kaizen_agents.delegate.mcp:McpClient.start", "error", "context")
@pytest.mark.covers("kaizen_agents.delegate.mcp:McpClient.discover_tools", "error", "context")
@pytest.mark.covers("kaizen_agents.delegate.mcp:register_mcp_tools", "error", "context")
def test_a_server_that_has_no_tools_for_a_delegate(kaizen_telemetry: Captured) -> None:
    from kaizen_agents.delegate.loop import ToolRegistry
    from kaizen_agents.delegate.mcp import McpClient, McpServerConfig, register_mcp_tools

    def client(*arguments: str) -> Any:
        return McpClient(McpServerConfig(name="bare", command=BARE["command"], args=list(arguments)))

    async def calls() -> None:
        bare = client(*BARE["args"])
        await bare.start()
        await each(bare.discover_tools, lambda: register_mcp_tools(bare, ToolRegistry()), client("-c", "").start)
        await bare.stop()

    in_caller(kaizen_telemetry, calls)

    assert kaizen_telemetry.tree() == "caller\n  initialize\n  tools/list!\n  tools/list!\n  initialize!"
    assert {span["rpc.response.status_code"] for span in kaizen_telemetry.spans_named("tools")} == {UNKNOWN_METHOD}


@pytest.mark.covers("kailash.middleware.mcp.client_integration:MCPServerConnection.connect", "error", "context")
@pytest.mark.covers("kailash.middleware.mcp.client_integration:MCPServerConnection.get_resource", "error", "context")
def test_a_server_that_has_nothing_for_the_middleware(kaizen_telemetry: Captured) -> None:
    from kailash.middleware.mcp.client_integration import MiddlewareMCPClient

    async def calls() -> None:
        middleware = MiddlewareMCPClient()
        assert await middleware.add_server("bare", {**BARE, "allow_arbitrary_commands": True})
        await each(lambda: middleware.get_resource("bare", "notes://never"))
        await middleware.remove_server("bare")

    in_caller(kaizen_telemetry, calls)

    assert refused(kaizen_telemetry) == dict.fromkeys(
        ("tools/list", "resources/list", "resources/read"), UNKNOWN_METHOD
    )


@pytest.mark.covers("kaizen.mcp.catalog_server.server:CatalogMCPServer.handle_request", "traced", "error", "context")
def test_kaizens_catalog_answers_where_it_is_asked(kaizen_telemetry: Captured) -> None:
    from kaizen.mcp.catalog_server.server import CatalogMCPServer

    async def calls() -> None:
        server = CatalogMCPServer()
        for number, method in enumerate(("initialize", "tools/list", "tools/forget")):
            server.handle_request({"jsonrpc": "2.0", "method": method, "id": number, "params": {}})

    in_caller(kaizen_telemetry, calls)

    assert kaizen_telemetry.tree() == "caller\n  initialize\n  tools/list\n  tools/forget!"
