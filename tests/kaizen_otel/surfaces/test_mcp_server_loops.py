"""MCP servers of Kailash's that read and answer messages by themselves: `run_async()` over pipes, and EATP's."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import subprocess
import sys
import types
import weakref
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from opentelemetry import propagate

from kaizen_otel.patches.mcp_stdio import Requests, ServerInLoop
from kaizen_otel.testing import capture
from kaizen_processors.export.otlp_file import read_otlp_json
from tests.kaizen_otel.surfaces import kailash_server
from tests.kaizen_otel.surfaces.test_mcp_servers import CALLER, DEADLINE_S, SCRIPT, parent

if TYPE_CHECKING:
    from pathlib import Path

    from kaizen_otel.testing import Captured

pytestmark = [
    # As in test_mcp_clients.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]

Request: TypeAlias = tuple[str, dict[str, Any]]
"""Its method and parameters."""

PIPES = {"PYTHONPATH": str(SCRIPT.parents[3])}


def lines(*requests: Request, sent: dict[str, str] | None = None) -> str:
    """Requests of a client's, as it writes them, with its trace."""
    meta = {"_meta": sent or {"traceparent": CALLER}}
    messages = (
        {"jsonrpc": "2.0", "id": number, "method": method, "params": {**params, **meta}}
        for number, (method, params) in enumerate(requests, 1)
    )
    return "".join(f"{json.dumps(message)}\n" for message in messages)


LOOKUP: Request = ("tools/call", {"name": "lookup", "arguments": {"order": "A-17"}})
GONE = ("tools/call", {"name": "lookup", "arguments": {"order": "gone"}})
UNKNOWN = ("tools/call", {"name": "forget", "arguments": {}})
LIST: Request = ("tools/list", {})
INITIALIZE = (
    "initialize",
    {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}},
)


def by_loop(asked: str, monkeypatch: pytest.MonkeyPatch, server: Any = None) -> list[Any]:
    """Have `run_async()` read these lines; what it writes."""
    written = io.StringIO()
    monkeypatch.setattr(sys, "stdin", io.StringIO(asked))
    monkeypatch.setattr(sys, "stdout", written)
    asyncio.run(kailash_server.called(server or kailash_server.orders()).run_async())
    return [json.loads(line) for line in written.getvalue().splitlines() if line.startswith("{")]


@pytest.mark.parametrize("kind", ["run_async", "eatp"])
def test_a_clients_trace_goes_on_in_a_loop_of_another_process(kind: str, tmp_path: Path) -> None:
    # By hand: the loop of `run_async()` answers without `jsonrpc` and refuses `initialize`, so no client of MCP's own
    # gets on with it (kailash-mcp 0.6).
    file = tmp_path / "served.jsonl"
    asked = lines(LIST, LOOKUP if kind == "run_async" else ("ping", {}))
    done = subprocess.run(  # noqa: S603 - a script of ours
        [sys.executable, str(SCRIPT), str(file), kind],
        input=asked,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        env=PIPES,
        check=True,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [answer["id"] for answer in answers] == [1, 2]
    assert all("result" in answer for answer in answers)

    served = {span.name: span for span in read_otlp_json(file)}
    assert served.keys() == {"tools/list", "tools/call lookup" if kind == "run_async" else "ping"}
    for number, span in enumerate(served.values(), 1):
        assert f"00-{span.trace_id}-{span.parent_id}-01" == CALLER
        assert (span.attributes["network.transport"], span.attributes["jsonrpc.request.id"]) == ("pipe", str(number))


@pytest.mark.kaizen_otel(content="span")
def test_each_request_of_the_loop_is_a_span_with_what_was_answered(
    kaizen_telemetry: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    notified = json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"}) + "\n"
    answers = by_loop(lines(LIST, LOOKUP) + "{no JSON\n" + notified + lines(GONE, UNKNOWN, INITIALIZE), monkeypatch)
    assert len(answers) == 7

    listed, good, bad, unknown, refused = kaizen_telemetry.spans
    names = ["tools/list", "tools/call lookup", "tools/call lookup", "tools/call forget", "initialize"]
    assert [span.name for span in kaizen_telemetry.spans] == names
    assert {parent(span) for span in kaizen_telemetry.spans} == {CALLER}
    assert {(span.kind, span["network.transport"]) for span in kaizen_telemetry.spans} == {("SERVER", "pipe")}
    assert (listed.status, good.status) == ("UNSET", "UNSET")
    assert json.loads(good["gen_ai.tool.call.arguments"]) == {"order": "A-17"}
    assert "A-17 is on its way" in good["gen_ai.tool.call.result"]
    assert [span["error.type"] for span in (bad, unknown, refused)] == ["-32603", "-32601", "-32601"]
    assert refused["rpc.response.status_code"] == "-32601"


def test_what_a_tool_of_the_loop_runs_hangs_below_the_request(
    kaizen_offline: Any, kaizen_telemetry: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.kaizen_otel.surfaces import scenes

    server = kailash_server.orders()

    @server.tool()
    async def ask(question: str) -> str:
        """Ask an agent."""
        return str(await scenes.base_agent(agent_id="desk", use_async_llm=True).run_async(question=question))

    asked = lines(("tools/call", {"name": "ask", "arguments": {"question": "x"}}), LIST)
    by_loop(asked, monkeypatch, server)
    served, agent = kaizen_telemetry.span("tools/call ask"), kaizen_telemetry.span("invoke_agent desk")
    assert (agent.parent_id, parent(served)) == (served.span_id, CALLER)
    assert parent(kaizen_telemetry.span("tools/list")) == CALLER
    assert len(kaizen_offline.requests) == 1


def test_a_request_of_the_loop_that_is_called_off_is_no_error(
    kaizen_telemetry: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = kailash_server.orders()

    @server.tool()
    async def hang() -> str:
        """Never answer."""
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        by_loop(lines(("tools/call", {"name": "hang", "arguments": {}})), monkeypatch, server)
    served = kaizen_telemetry.span("tools/call hang")
    assert (served.status, "error.type" in served.attributes) == ("UNSET", False)


def test_the_server_is_what_it_was_while_its_loop_runs_and_after(monkeypatch: pytest.MonkeyPatch) -> None:
    server, seen = kailash_server.orders(), []

    @server.tool()
    def stop() -> str:
        """Serve no more."""
        seen.append((server._running, dict(vars(server)).keys()))
        server._running = False
        return "bye"

    asked = lines(("tools/call", {"name": "stop", "arguments": {}}), LIST)
    with capture() as captured:
        watched = by_loop(asked, monkeypatch, server)
        assert [span.name for span in captured.spans] == ["tools/call stop"]
    assert by_loop(asked, monkeypatch, server) == watched
    assert [running for running, _ in seen] == [True, True]
    assert seen[0][1] == seen[1][1]


# -- EATP's -------------------------------------------------------------------------------------------------------


def by_eatp(asked: str) -> list[Any]:
    from kailash.trust.mcp.server import EATPMCPServer

    server = EATPMCPServer()

    async def run() -> list[Any]:
        return [await server.handle_message(line) for line in asked.splitlines()]

    return [None if answer is None else json.loads(answer) for answer in asyncio.run(run())]


@pytest.mark.covers("kailash.trust.mcp.server:EATPMCPServer.handle_message", "traced", "error")
@pytest.mark.kaizen_otel(content="span")
def test_each_request_to_eatps_server_is_a_span_in_the_clients_trace(kaizen_telemetry: Captured) -> None:
    tool = {"name": "eatp_status", "arguments": {"agent_id": "desk"}}
    asked = lines(
        INITIALIZE,
        ("tools/call", tool),
        ("tools/call", {"name": "nothing"}),
        ("resources/read", {"uri": "eatp://authorities"}),
        ("tools/forget", {}),
    )
    notified = json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"})
    answers = by_eatp(f"{asked}{notified}\n{{no JSON\n[]\n")
    assert answers[5] is None
    assert [answer["error"]["code"] for answer in answers[4:] if answer] == [-32601, -32700, -32600]

    first, status, nothing, read, refused = kaizen_telemetry.spans
    assert [span.name for span in (first, status, nothing)] == [
        "initialize",
        "tools/call eatp_status",
        "tools/call nothing",
    ]
    assert {parent(span) for span in kaizen_telemetry.spans} == {CALLER}
    assert {(span.kind, span["network.transport"]) for span in kaizen_telemetry.spans} == {("SERVER", "pipe")}
    assert first["mcp.protocol.version"] == answers[0]["result"]["protocolVersion"]
    assert (status.status, json.loads(status["gen_ai.tool.call.arguments"])) == ("UNSET", {"agent_id": "desk"})
    assert "desk" in status["gen_ai.tool.call.result"]
    assert (nothing["error.type"], refused["error.type"]) == ("tool_error", "-32601")
    assert (read.name, read["mcp.resource.uri"]) == ("resources/read", "eatp://authorities")


@pytest.mark.covers("kailash.trust.mcp.server:EATPMCPServer.handle_message", "context")
def test_what_eatps_server_runs_is_in_the_clients_trace(kaizen_telemetry: Captured) -> None:
    from kailash.trust.chain_store.memory import InMemoryTrustStore
    from kailash.trust.mcp.server import EATPMCPServer

    tracer = kaizen_telemetry.tracer_provider.get_tracer("store")

    class Store(InMemoryTrustStore):
        async def list_chains(self, *args: Any, **kwargs: Any) -> Any:
            with tracer.start_as_current_span("list chains"):
                return await super().list_chains(*args, **kwargs)

    with tracer.start_as_current_span("client"):
        propagate.inject(sent := dict[str, str]())
    asyncio.run(EATPMCPServer(trust_store=Store()).handle_message(lines(("resources/list", {}), sent=sent)))
    assert kaizen_telemetry.tree() == "client\n  resources/list\n    list chains"


@pytest.mark.usefixtures("kaizen_telemetry")
def test_a_loop_leaves_nothing_for_the_garbage_collector() -> None:
    class Message:
        """Stands for what a loop has read."""

    def loop(server: Any) -> weakref.ref[Message]:
        request = Message()
        assert server._tool_registry == {}
        assert server._running is False
        return weakref.ref(request)

    server = types.SimpleNamespace(_tool_registry={}, _running=False)
    gc.collect()
    gc.disable()
    try:
        read = loop(ServerInLoop(server, Requests()))
        assert read() is None
    finally:
        gc.enable()
