"""One probe for each capability: it does the thing with the real library, and asserts what is seen of it.

Each must hold where the table gives the capability, and must fail where the table denies it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from decimal import Decimal
from importlib import import_module
from typing import TYPE_CHECKING, Any

from kaizen_otel.demo.model_server import Reply, ReplyUsage, Rule

if TYPE_CHECKING:
    from collections.abc import Callable

    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured

Probe = "Callable[[ModelServer, Captured], None]"

USAGE = ReplyUsage(input_tokens=1_000, output_tokens=100)
COST_USD = Decimal("0.0035")
"""Of gpt-4o: $2.50 a million tokens in, $10 out."""

ORDERS = {
    "name": "orders",
    "transport": "stdio",
    "command": sys.executable,
    "args": ["-m", "kaizen_otel.demo.mcp_tool"],
}
TOOL = {"type": "function", "function": {"name": "get_weather", "description": "x", "parameters": {"type": "object"}}}


def scenes() -> Any:
    """The objects that the tests of the surfaces run, too; they import Kaizen."""
    return import_module("tests.kaizen_otel.surfaces.scenes")


def run_workflow(workflow: Any) -> Any:
    """Run it in a `LocalRuntime`."""
    from kailash.runtime.local import LocalRuntime

    with LocalRuntime() as runtime:
        return runtime.execute(workflow)


async def in_loop(run: Callable[[], Any]) -> Any:
    """Call a blocking function where an event loop is running."""
    return run()


def provider(name: str) -> Any:
    """One of Kaizen's provider classes."""
    try:
        registry = import_module("kaizen.providers.registry")
    except ModuleNotFoundError:
        registry = import_module("kaizen.nodes.ai.ai_providers")
    return registry.get_provider(name)


def llm_node(**config: Any) -> Any:
    """The outcome of an LLM node in a workflow."""
    builder = import_module("kailash.workflow.builder").WorkflowBuilder()
    builder.add_node("LLMAgentNode", "desk", {**scenes().LLM_CONFIG, **config})
    return run_workflow(builder.build())[0]["desk"]


def workflow(_server: ModelServer, seen: Captured) -> None:
    run_workflow(scenes().workflow("SyncProbe", "AsyncProbe", name="morning"))
    assert seen.tree() == "invoke_workflow morning\n  node SyncProbe\n  node AsyncProbe"


def workflow_awaited(_server: ModelServer, seen: Captured) -> None:
    from kailash.runtime.async_local import AsyncLocalRuntime

    async def run() -> None:
        runtime = AsyncLocalRuntime()
        await runtime.execute_workflow_async(scenes().workflow("SyncProbe", "AsyncProbe"), {})
        if hasattr(runtime, "close"):  # older ones have none
            runtime.close()

    asyncio.run(run())
    assert seen.tree() == "invoke_workflow\n  node SyncProbe\n  node AsyncProbe"


def workflow_in_loop(_server: ModelServer, seen: Captured) -> None:
    asyncio.run(in_loop(lambda: run_workflow(scenes().workflow("llm"))))
    assert seen.tree() == "invoke_workflow\n  invoke_agent n0\n    chat gpt-4o"


class Checkpoints:
    """A store of checkpoints: what a runtime asks of one."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}

    async def save(self, key: str, data: bytes) -> None:
        self._blobs[key] = data

    async def load(self, key: str) -> bytes | None:
        return self._blobs.get(key)


def workflow_resumed(_server: ModelServer, seen: Captured) -> None:
    from kailash.runtime.local import LocalRuntime

    store: Any = Checkpoints()
    for _ in range(2):
        with LocalRuntime(checkpoint_store=store, checkpoint_after_each_node=True) as runtime:
            runtime.execute(scenes().workflow("SyncProbe"), idempotency_key="k")
    first, second = seen.spans_named("invoke_workflow")
    assert second["kaizen.workflow.resumed"] is True
    assert [f"{link.context.span_id:016x}" for link in second.raw.links] == [first.span_id]


def task_carried(_server: ModelServer, seen: Captured) -> None:
    from kailash.runtime.distributed import TaskMessage, TaskQueue

    task = TaskMessage(task_id="t-1")
    with contextlib.suppress(Exception):  # nobody listens there, or `redis` is not installed
        TaskQueue(redis_url="redis://127.0.0.1:9/0").enqueue(task)
    sent = seen.span("send default")
    carried = json.loads(TaskMessage.from_json(task.to_json()).to_json())["otel"]["traceparent"]
    assert carried.split("-")[1:3] == [sent.trace_id, sent.span_id]


def workflow_parallel(_server: ModelServer, seen: Captured) -> None:
    from kailash.runtime.parallel import ParallelRuntime

    asyncio.run(ParallelRuntime().execute(scenes().parallel_workflow("SyncProbe", 2)))
    assert seen.tree() == "invoke_workflow\n  node SyncProbe\n  node SyncProbe"


def node_class_later(_server: ModelServer, seen: Captured) -> None:
    from tests.kaizen_otel.surfaces.scenes import SyncProbe

    class Late(SyncProbe):
        def execute(self, **_: Any) -> Any:
            return {"result": 1}

    Late().execute()
    assert seen.tree() == "node Late"


def llm_node_(server: ModelServer, seen: Captured) -> None:
    server.script([Reply(usage=USAGE)])
    run_workflow(scenes().workflow("llm"))
    assert seen.tree() == "invoke_workflow\n  invoke_agent n0\n    chat gpt-4o"
    (execution,) = seen.executions
    assert (execution.agent_name, execution.model, execution.status) == ("n0", "gpt-4o", "success")
    assert (execution.tokens_input, execution.tokens_output) == (1_000, 100)
    assert execution.cost_usd == float(COST_USD)


def agent(server: ModelServer, seen: Captured) -> None:
    server.script([Reply(usage=USAGE)])
    made = scenes().kaizen_agent()
    seen.clear()
    made.execute(question="x")
    assert seen.tree() == "invoke_agent qa\n  invoke_workflow\n    node LLMAgentNode\n      chat gpt-4o"
    assert [(e.agent_name, e.cost_usd, e.status) for e in seen.executions] == [("qa", float(COST_USD), "success")]


def agent_created(_server: ModelServer, seen: Captured) -> None:
    scenes().kaizen_agent()
    assert seen.tree() == "create_agent qa"


def agent_reasoning_model(server: ModelServer, seen: Captured) -> None:
    server.script([Rule(replies=Reply.json({"answer": "x", "reasoning": "y"}))])
    made = scenes().kaizen_agent(signature="question -> answer")
    made.execute_cot(question="x")
    assert {call.model for call in seen.calls} == {"gpt-4o"}


def agent_message(server: ModelServer, seen: Captured) -> None:
    sender, receiver = scenes().kaizen_agent("sender"), scenes().kaizen_agent("receiver")
    sender.broadcast_message([receiver], "hello")
    assert [e.agent_name for e in seen.executions] == ["receiver"]
    assert len(server.requests) == len(seen.calls) == 1


BASE_AGENT_TREE = "invoke_agent desk\n  invoke_workflow\n    node LLMAgentNode\n      chat gpt-4o"


def base_agent(server: ModelServer, seen: Captured) -> None:
    server.script([Rule(replies=Reply.json({"answer": "x"}, usage=USAGE))])
    scenes().base_agent(agent_id="desk").run(question="x")
    assert seen.tree() == BASE_AGENT_TREE
    assert [(e.agent_name, e.cost_usd, e.status) for e in seen.executions] == [("desk", float(COST_USD), "success")]


def base_agent_awaited(server: ModelServer, seen: Captured) -> None:
    server.script([Rule(replies=Reply.json({"answer": "x"}))])
    asyncio.run(scenes().base_agent(agent_id="desk", use_async_llm=True).run_async(question="x"))
    assert seen.tree() == BASE_AGENT_TREE


def base_agent_in_loop(server: ModelServer, seen: Captured) -> None:
    server.script([Rule(replies=Reply.json({"answer": "x"}))])
    asyncio.run(in_loop(lambda: scenes().base_agent(agent_id="desk").run(question="x")))
    assert seen.tree() == BASE_AGENT_TREE


def base_agent_before(server: ModelServer, seen: Captured) -> None:
    from kaizen_otel.patches.table import PATCHER

    server.script([Rule(replies=Reply.json({"answer": "x"}))])
    telemetry_fence = PATCHER._fence
    assert telemetry_fence is not None
    made = scenes()  # imported: patched
    PATCHER.turn_off()
    desk = made.base_agent(agent_id="desk")
    PATCHER.turn_on(telemetry_fence)
    desk.run(question="x")
    assert seen.tree() == BASE_AGENT_TREE


def base_agent_setup_error(_server: ModelServer, seen: Captured) -> None:
    from kaizen.config.providers import ConfigurationError
    from kaizen.strategies.async_single_shot import AsyncSingleShotStrategy

    class Unwired(AsyncSingleShotStrategy):
        async def execute(self, agent: Any, inputs: dict[str, Any]) -> Any:
            del agent, inputs
            raise ConfigurationError("no provider")

    raised = False
    try:
        scenes().base_agent(agent_id="desk", strategy=Unwired()).run(question="x")
    except ConfigurationError:
        raised = True
    assert seen.span("invoke_agent")["error.type"] == "kaizen.config.providers.ConfigurationError"
    assert raised


def transparency(server: ModelServer, _seen: Captured) -> None:
    from kaizen.core.framework import Kaizen

    server.script([Rule(replies=Reply.json({"answer": "x"}))])
    assert Kaizen().get_transparency_interface() is not None
    for made, run in (
        (scenes().kaizen_agent(), "execute"),
        (scenes().base_agent(agent_id="desk"), "run"),
    ):
        getattr(made, run)(question="x")
        (execution,) = made.get_transparency_interface().get_recent_executions()
        assert execution.status == "success"


def call_tokens(server: ModelServer, seen: Captured) -> None:
    server.script([Reply(usage=USAGE)])
    llm_node()
    chat = seen.span("chat gpt-4o")
    assert (chat["gen_ai.usage.input_tokens"], chat["gen_ai.usage.output_tokens"]) == (1_000, 100)
    assert chat["gen_ai.provider.name"] == "openai"
    assert chat["gen_ai.response.finish_reasons"] == ("stop",)
    assert seen.cost == COST_USD


def call_parameters(_server: ModelServer, seen: Captured) -> None:
    llm_node(generation_config={"temperature": 0.5, "max_completion_tokens": 64, "seed": 7})
    chat = seen.span("chat gpt-4o")
    assert chat["gen_ai.request.temperature"] == 0.5
    assert chat["gen_ai.request.seed"] == 7


def call_error(server: ModelServer, seen: Captured) -> None:
    server.script([Rule(replies=Reply.server_error(status=403))])
    llm_node()
    chat = seen.span("chat gpt-4o")
    assert (chat.status, chat["http.response.status_code"]) == ("ERROR", 403)
    assert chat["error.type"] in {"kaizen.llm.errors.ProviderError", "openai.PermissionDeniedError"}
    (execution,) = seen.executions
    assert (execution.status, execution.error_type) == ("error", chat["error.type"])


def call_cached_tokens(server: ModelServer, seen: Captured) -> None:
    server.script([Reply(usage=ReplyUsage(input_tokens=1_000, output_tokens=100, cache_read_tokens=400))])
    llm_node()
    assert seen.span("chat gpt-4o")["gen_ai.usage.cache_read.input_tokens"] == 400


def call_server(_server: ModelServer, seen: Captured) -> None:
    llm_node()
    assert seen.span("chat gpt-4o")["server.address"] == "localhost"


def call_mock(server: ModelServer, seen: Captured) -> None:
    llm_node(provider="mock")
    assert seen.span("chat gpt-4o")["gen_ai.provider.name"] == "mock"
    assert server.requests == []


def llm_client(server: ModelServer, seen: Captured) -> None:
    server.script([Reply(usage=USAGE)])
    asyncio.run(scenes().llm_client().complete(scenes().MESSAGES))
    assert seen.tree() == "chat gpt-4o"
    assert seen.cost == COST_USD


def stream(server: ModelServer, seen: Captured) -> None:
    server.script([Reply(usage=USAGE)])
    asyncio.run(scenes().read_stream())
    assert seen.cost == COST_USD
    assert seen.span("chat gpt-4o")["gen_ai.response.time_to_first_chunk"] > 0


def stream_of_provider(server: ModelServer, seen: Captured) -> None:
    server.script([Reply(usage=USAGE)])

    async def read() -> list[Any]:
        return [event async for event in provider("openai").stream_chat(scenes().MESSAGES, model="gpt-4o")]

    events = asyncio.run(read())
    assert events[-1].event_type == "done"
    assert seen.tree() == "chat gpt-4o"
    assert seen.cost == COST_USD
    assert seen.span("chat gpt-4o")["gen_ai.response.time_to_first_chunk"] > 0


def embeddings(_server: ModelServer, seen: Captured) -> None:
    from kaizen.nodes.ai.embedding_generator import EmbeddingGeneratorNode

    EmbeddingGeneratorNode().execute(
        provider="openai", model="text-embedding-3-small", operation="embed_text", input_text="hello"
    )
    assert seen.tree() == "node EmbeddingGeneratorNode\n  embeddings text-embedding-3-small"


def embeddings_tokens(server: ModelServer, seen: Captured) -> None:
    server.script([Rule(replies=Reply(usage=ReplyUsage(input_tokens=100)))])
    embeddings(server, seen)
    assert seen.span("embeddings")["gen_ai.usage.input_tokens"] == 100
    assert seen.cost > 0


def embeddings_google(_server: ModelServer, seen: Captured) -> None:
    asyncio.run(scenes().llm_client("google").embed(["one"], model="gemini-embedding-001"))
    assert seen.tree() == "embeddings gemini-embedding-001"


def delegate(server: ModelServer, seen: Captured) -> None:
    server.script([Reply(text="It rains.")])
    assert import_module("kaizen_agents").Delegate(model="gpt-4o").run_sync("hello") == "It rains."
    assert seen.tree() == "invoke_agent Delegate\n  chat gpt-4o"
    assert seen.cost > 0


def tool_mcp(_server: ModelServer, seen: Captured) -> None:
    try:
        client = import_module("kailash_mcp.client").MCPClient()
    except ModuleNotFoundError:
        client = import_module("kailash.mcp_server.client").MCPClient()
    answer = asyncio.run(client.call_tool(ORDERS, "lookup_order", {"order_id": "A-1042"}))
    assert answer["success"] is True
    tool = seen.span("execute_tool lookup_order")
    assert (tool.status, tool["gen_ai.tool.type"]) == ("UNSET", "extension")


def tool_mcp_context(server: ModelServer, seen: Captured) -> None:
    tool_mcp(server, seen)
    tool = seen.span("execute_tool lookup_order")
    assert tool["mcp.method.name"] == "tools/call"
    assert seen.span("initialize").parent_id == tool.span_id


def tool_mcp_served(_server: ModelServer, seen: Captured) -> None:
    served = import_module("kailash_mcp.server").MCPServer("orders")

    @served.tool()  # type: ignore[untyped-decorator,unused-ignore]
    def lookup(order: str) -> str:
        return f"{order} is on its way"

    async def ask() -> None:
        connected = import_module("mcp.shared.memory").create_connected_server_and_client_session
        async with connected(served._mcp._mcp_server) as session:
            await session.call_tool("lookup", {"order": "A-17"})

    asyncio.run(ask())
    assert seen.span("tools/call lookup").kind == "SERVER"


def tool_regular(server: ModelServer, seen: Captured) -> None:
    server.script([Reply.call("get_weather", {"city": "Oslo"}), Reply(text="It rains.")])
    llm_node(tools=[TOOL])
    assert seen.tree() == (
        "invoke_workflow\n  invoke_agent desk\n    chat gpt-4o\n    execute_tool get_weather\n    chat gpt-4o"
    )
    assert seen.span("execute_tool")["kaizen.tool.simulated"] is True


def judge(server: ModelServer, seen: Captured) -> None:
    from kailash.diagnostics.protocols import JudgeInput
    from kaizen.judges import LLMJudge

    server.script([Reply.json({"answer": "0.8"})])

    class Answering:
        """What a judge asks of a Delegate, answered by an agent."""

        async def run_structured(self, *, inputs: dict[str, Any], **_: Any) -> dict[str, Any]:
            answer = await asyncio.to_thread(scenes().base_agent().run, question=inputs["candidate"])
            return {"score": answer["answer"]}

    judged = LLMJudge(judge_model="gpt-4o", delegate=Answering())(JudgeInput(prompt="?", candidate_a="Paris."))
    assert asyncio.run(judged).score == 0.8
    assert [call.agent_name for call in seen.calls] == ["evaluator:LLMJudge"]
    (verdict,) = seen.events
    assert verdict.attributes["gen_ai.evaluation.score.value"] == 0.8


PROBES: dict[str, Callable[[ModelServer, Captured], None]] = {
    "workflow": workflow,
    "workflow_awaited": workflow_awaited,
    "workflow_in_loop": workflow_in_loop,
    "workflow_resumed": workflow_resumed,
    "task_carried": task_carried,
    "workflow_parallel": workflow_parallel,
    "node_class_later": node_class_later,
    "llm_node": llm_node_,
    "agent": agent,
    "agent_created": agent_created,
    "agent_reasoning_model": agent_reasoning_model,
    "agent_message": agent_message,
    "base_agent": base_agent,
    "base_agent_awaited": base_agent_awaited,
    "base_agent_in_loop": base_agent_in_loop,
    "base_agent_before": base_agent_before,
    "base_agent_setup_error": base_agent_setup_error,
    "transparency": transparency,
    "call_tokens": call_tokens,
    "call_parameters": call_parameters,
    "call_error": call_error,
    "call_cached_tokens": call_cached_tokens,
    "call_server": call_server,
    "call_mock": call_mock,
    "llm_client": llm_client,
    "stream": stream,
    "stream_of_provider": stream_of_provider,
    "embeddings": embeddings,
    "embeddings_tokens": embeddings_tokens,
    "embeddings_google": embeddings_google,
    "delegate": delegate,
    "judge": judge,
    "tool_mcp": tool_mcp,
    "tool_mcp_context": tool_mcp_context,
    "tool_mcp_served": tool_mcp_served,
    "tool_regular": tool_regular,
}
