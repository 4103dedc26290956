"""Methods that somebody kept while we watched work as Kaizen's own afterwards, on every surface."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import kaizen_otel
from kaizen_otel.demo.model_server import Reply, Rule

if TYPE_CHECKING:
    from collections.abc import Callable

    from kaizen_otel.demo.model_server import ModelServer

    Kept = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]


def complete() -> Kept:
    from tests.kaizen_otel.surfaces import scenes

    return scenes.llm_client().complete, (scenes.MESSAGES,), {}


def stream() -> Kept:
    from tests.kaizen_otel.surfaces import scenes

    return scenes.llm_client().stream, (scenes.MESSAGES,), {}


def embed() -> Kept:
    from tests.kaizen_otel.surfaces import scenes

    return scenes.llm_client().embed, (["one"],), {"model": "text-embedding-3-small"}


def agent_execute() -> Kept:
    from tests.kaizen_otel.surfaces import scenes

    return scenes.kaizen_agent().execute, (), {"question": "x"}


def agent_loop_sync() -> Kept:
    from kaizen.core.agent_loop import AgentLoop

    from tests.kaizen_otel.surfaces import scenes

    return AgentLoop.run_sync, (scenes.base_agent(),), {"question": "x"}


def agent_loop_async() -> Kept:
    from kaizen.core.agent_loop import AgentLoop

    from tests.kaizen_otel.surfaces import scenes

    return AgentLoop.run_async, (scenes.base_agent(use_async_llm=True),), {"question": "x"}


def create_agent() -> Kept:
    from kaizen.core.framework import Kaizen

    create = Kaizen.create_agent
    return lambda: create(Kaizen(), "qa", {"model": "gpt-4o"}), (), {}


def runtime() -> Kept:
    from kailash.runtime.local import LocalRuntime

    from tests.kaizen_otel.surfaces import scenes

    def run(workflow: Any) -> Any:
        with LocalRuntime() as local:
            return execute(local, workflow)

    execute = LocalRuntime.execute
    return run, (scenes.workflow("SyncProbe", "AsyncProbe"),), {}


def async_runtime() -> Kept:
    from kailash.runtime.async_local import AsyncLocalRuntime

    from tests.kaizen_otel.surfaces import scenes

    async def run(workflow: Any) -> Any:
        async with AsyncLocalRuntime() as local:
            return await execute(local, workflow, {})

    execute = AsyncLocalRuntime.execute_workflow_async
    return run, (scenes.workflow("AsyncProbe"),), {}


def node() -> Kept:
    from tests.kaizen_otel.surfaces import scenes

    return scenes.SyncProbe().execute, (), {}


def async_node() -> Kept:
    from tests.kaizen_otel.surfaces import scenes

    return scenes.AsyncProbe().execute_async, (), {}


def mock_answer() -> Kept:
    from kaizen.nodes.ai.llm_agent import LLMAgentNode

    from tests.kaizen_otel.surfaces import scenes

    return LLMAgentNode()._mock_llm_response, (scenes.MESSAGES, [], {}), {}


def regular_tool() -> Kept:
    from kaizen.nodes.ai.llm_agent import LLMAgentNode

    call = {"id": "call_1", "function": {"name": "get_weather", "arguments": "{}"}}
    return LLMAgentNode()._execute_regular_tool, (call, []), {}


def mcp_tool() -> Kept:
    from kailash_mcp.client import MCPClient

    from tests.kaizen_otel.surfaces.test_tools import ORDERS_SERVER

    return MCPClient().call_tool, (ORDERS_SERVER, "lookup_order", {"order_id": "A-1042"}), {}


async def _finish(made: Any) -> Any:
    if inspect.isasyncgen(made):
        return [chunk async for chunk in made]
    return await made


def _called(kept: Kept) -> Any:
    method, args, kwargs = kept
    made = method(*args, **kwargs)
    return asyncio.run(_finish(made)) if inspect.isawaitable(made) or inspect.isasyncgen(made) else made


@pytest.mark.parametrize(
    "keep",
    [
        complete,
        stream,
        embed,
        agent_execute,
        agent_loop_sync,
        agent_loop_async,
        create_agent,
        runtime,
        async_runtime,
        node,
        async_node,
        mock_answer,
        regular_tool,
        mcp_tool,
    ],
    ids=lambda keep: keep.__name__,
)
def test_a_kept_method_is_kaizens_own_when_nobody_watches(
    keep: Callable[[], Kept], kaizen_offline: ModelServer
) -> None:
    kaizen_offline.script([Rule(replies=Reply(text='{"answer": "hi"}'))])
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    kaizen_otel.instrument(tracer_provider=provider, metrics=False)
    try:
        kept = keep()
        assert _called(kept) is not None
        watched = exporter.get_finished_spans()
        exporter.clear()
    finally:
        kaizen_otel.uninstrument()

    assert watched
    assert _called(kept) is not None
    assert exporter.get_finished_spans() == ()
