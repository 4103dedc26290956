"""Nodes run by themselves and agents: one tree under the caller's span, and the executions that contracts name."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

import pytest

from tests.kaizen_otel.surfaces.trees import assert_one_trace
from tests.versions.capabilities import needs

if TYPE_CHECKING:
    from collections.abc import Callable

    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured


def sync_node() -> None:
    from tests.kaizen_otel.surfaces import scenes

    scenes.SyncProbe().execute()


def async_node() -> None:
    from tests.kaizen_otel.surfaces import scenes

    scenes.AsyncProbe().execute()


async def async_node_in_a_loop() -> None:
    async_node()


async def async_node_awaited() -> None:
    from tests.kaizen_otel.surfaces import scenes

    await scenes.AsyncProbe().execute_async()


def llm_node() -> None:
    from kaizen.nodes.ai.llm_agent import LLMAgentNode

    from tests.kaizen_otel.surfaces import scenes

    LLMAgentNode().execute(**scenes.LLM_CONFIG)


async def llm_node_in_a_loop() -> None:
    llm_node()


def embedding_node() -> None:
    from kaizen.nodes.ai.embedding_generator import EmbeddingGeneratorNode

    EmbeddingGeneratorNode().execute(
        provider="openai", model="text-embedding-3-small", operation="embed_text", input_text="hello"
    )


async def embedding_node_in_a_loop() -> None:
    embedding_node()


def workflow_node() -> None:
    from kailash.nodes.logic.workflow import WorkflowNode

    from tests.kaizen_otel.surfaces import scenes

    WorkflowNode(workflow=scenes.workflow("llm")).execute()


def iterative_llm_node() -> None:
    from kaizen.nodes.ai.iterative_llm_agent import IterativeLLMAgentNode

    from tests.kaizen_otel.surfaces import scenes

    IterativeLLMAgentNode().execute(**scenes.LLM_CONFIG, max_iterations=1)


NODES: dict[str, tuple[Callable[[], Any], str, list[str]]] = {
    "sync_node": (sync_node, "node SyncProbe", []),
    "async_node": (async_node, "node AsyncProbe", []),
    "async_node_in_a_loop": (async_node_in_a_loop, "node AsyncProbe", []),
    "async_node_awaited": (async_node_awaited, "node AsyncProbe", []),
    "llm_node": (llm_node, "invoke_agent LLMAgentNode\n    chat gpt-4o", ["LLMAgentNode"]),
    "llm_node_in_a_loop": (llm_node_in_a_loop, "invoke_agent LLMAgentNode\n    chat gpt-4o", ["LLMAgentNode"]),
    "embedding_node": (embedding_node, "node EmbeddingGeneratorNode\n    embeddings text-embedding-3-small", []),
    "embedding_node_in_a_loop": (
        embedding_node_in_a_loop,
        "node EmbeddingGeneratorNode\n    embeddings text-embedding-3-small",
        [],
    ),
    "workflow_node": (
        workflow_node,
        "node WorkflowNode\n    invoke_workflow\n      invoke_agent n0\n        chat gpt-4o",
        ["n0"],
    ),
    "iterative_llm_node": (
        iterative_llm_node,
        "invoke_agent IterativeLLMAgentNode\n    chat gpt-4o\n    chat gpt-4o",
        ["IterativeLLMAgentNode"],
    ),
}


@pytest.mark.parametrize("scene", NODES)
def test_a_node_run_by_itself_is_one_tree_under_the_caller(
    scene: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import scenes

    run, below, executions = NODES[scene]
    scenes.play_under_caller(kaizen_telemetry, run)

    assert kaizen_telemetry.tree() == f"caller\n  {below}"
    assert [e.agent_name for e in kaizen_telemetry.executions] == executions
    assert len(kaizen_offline.requests) == len(kaizen_telemetry.calls)
    assert_one_trace(kaizen_telemetry)


def base_agent_run() -> None:
    from tests.kaizen_otel.surfaces import scenes

    scenes.base_agent().run(question="x")


async def base_agent_run_in_a_loop() -> None:
    base_agent_run()


async def base_agent_run_async() -> None:
    from tests.kaizen_otel.surfaces import scenes

    await scenes.base_agent(use_async_llm=True).run_async(question="x")


def base_agent_multi_cycle() -> None:
    from tests.kaizen_otel.surfaces import scenes

    scenes.base_agent(strategy_type="multi_cycle", max_cycles=2).run(question="x")


def agent_execute() -> None:
    from tests.kaizen_otel.surfaces import scenes

    scenes.kaizen_agent().execute(question="x")


async def agent_execute_in_a_loop() -> None:
    agent_execute()


def agent_execute_text() -> None:
    from tests.kaizen_otel.surfaces import scenes

    scenes.kaizen_agent().execute("x")


def agent_execute_signature() -> None:
    from tests.kaizen_otel.surfaces import scenes

    scenes.kaizen_agent(signature="question -> answer").execute(question="x")


def agent_execute_workflow() -> None:
    from tests.kaizen_otel.surfaces import scenes

    scenes.kaizen_agent().execute_workflow({"messages": scenes.MESSAGES})


def agent_execute_cot() -> None:
    from tests.kaizen_otel.surfaces import scenes

    scenes.kaizen_agent(signature="question -> answer").execute_cot(question="x")


def agent_execute_react() -> None:
    from tests.kaizen_otel.surfaces import scenes

    scenes.kaizen_agent(signature="question -> answer").execute_react(question="x")


OWN_LLM_NODE = "invoke_workflow\n      node LLMAgentNode\n        chat gpt-4o"

AGENTS: dict[str, tuple[Callable[[], Any], str]] = {
    "base_agent_run": (base_agent_run, "BaseAgent"),
    "base_agent_run_in_a_loop": (base_agent_run_in_a_loop, "BaseAgent"),
    "base_agent_run_async": (base_agent_run_async, "BaseAgent"),
    "base_agent_multi_cycle": (base_agent_multi_cycle, "BaseAgent"),
    "agent_execute": (agent_execute, "qa"),
    "agent_execute_in_a_loop": (agent_execute_in_a_loop, "qa"),
    "agent_execute_text": (agent_execute_text, "qa"),
    "agent_execute_signature": (agent_execute_signature, "qa"),
    "agent_execute_workflow": (agent_execute_workflow, "qa"),
    "agent_execute_cot": (agent_execute_cot, "qa"),
    "agent_execute_react": (agent_execute_react, "qa"),
}
REASONING = ("agent_execute_cot", "agent_execute_react")


@pytest.mark.parametrize(
    "scene",
    [
        *(scene for scene in AGENTS if scene not in REASONING),
        *(pytest.param(scene, marks=needs("agent_reasoning_model")) for scene in REASONING),
    ],
)
def test_an_agent_run_is_one_execution_in_one_tree_under_the_caller(
    scene: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import scenes

    run, name = AGENTS[scene]
    scenes.play_under_caller(kaizen_telemetry, run)

    made = f"create_agent {name}\n  " if name == "qa" else ""
    assert kaizen_telemetry.tree() == f"caller\n  {made}invoke_agent {name}\n    {OWN_LLM_NODE}"
    (execution,) = kaizen_telemetry.executions
    assert (execution.agent_name, execution.model, execution.status) == (name, "gpt-4o", "success")
    assert (execution.model_calls, len(kaizen_offline.requests)) == (1, 1)
    assert_one_trace(kaizen_telemetry)


def test_rounds_of_one_agent_are_one_execution(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    from tests.kaizen_otel.surfaces import scenes

    agent = scenes.kaizen_agent(signature="question -> answer")
    agent.execute_multi_round([{"question": "x"}], rounds=2)

    one_round = "  invoke_workflow\n    node LLMAgentNode\n      chat gpt-4o"
    assert kaizen_telemetry.tree() == f"create_agent qa\ninvoke_agent qa\n{one_round}\n{one_round}"
    (execution,) = kaizen_telemetry.executions
    assert (execution.model_calls, len(kaizen_offline.requests)) == (2, 2)


@needs("agent_message")
def test_a_message_to_another_agent_is_an_execution_of_that_agent(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import scenes

    sender, receiver = scenes.kaizen_agent("sender"), scenes.kaizen_agent("receiver", model="gpt-4o-mini")
    kaizen_telemetry.clear()
    sender.broadcast_message([receiver], "hello")

    assert kaizen_telemetry.tree() == (
        "invoke_agent receiver\n  invoke_workflow\n    node LLMAgentNode\n      chat gpt-4o-mini"
    )
    assert [(e.agent_name, e.model) for e in kaizen_telemetry.executions] == [("receiver", "gpt-4o-mini")]
    assert len(kaizen_offline.requests) == 1


def test_a_workflow_handed_to_an_agent_has_executions_of_its_own(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import scenes

    agent = scenes.kaizen_agent()
    kaizen_telemetry.clear()
    agent.execute(scenes.workflow("llm"))

    assert kaizen_telemetry.tree() == "invoke_agent qa\n  invoke_workflow\n    invoke_agent n0\n      chat gpt-4o"
    assert [(e.agent_name, e.model, e.model_calls) for e in kaizen_telemetry.executions] == [
        ("n0", "gpt-4o", 1),
        ("qa", "none", 0),
    ]
    assert kaizen_telemetry.span("invoke_agent qa")["kaizen.execution.total.input_tokens"] == 100
    assert len(kaizen_offline.requests) == 1


def test_the_compiled_workflow_of_an_agent_run_by_a_runtime_is_that_agents_execution(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from kailash.runtime.local import LocalRuntime

    from tests.kaizen_otel.surfaces import scenes

    agent = scenes.kaizen_agent(messages=scenes.MESSAGES)
    kaizen_telemetry.clear()
    with LocalRuntime() as runtime:
        runtime.execute(agent.workflow.build())

    assert kaizen_telemetry.tree() == "invoke_workflow\n  invoke_agent qa\n    chat gpt-4o"
    assert [e.agent_name for e in kaizen_telemetry.executions] == ["qa"]
    assert len(kaizen_offline.requests) == 1


def test_agents_called_by_an_agent_are_executions_below_it(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from kaizen.core.base_agent import BaseAgent
    from kaizen.strategies.async_single_shot import AsyncSingleShotStrategy

    from tests.kaizen_otel.surfaces import scenes

    class HandOver(AsyncSingleShotStrategy):
        async def execute(self, agent: Any, inputs: dict[str, Any]) -> Any:
            workers = [scenes.base_agent(agent_id=f"worker-{name}", use_async_llm=True) for name in "ab"]
            await asyncio.gather(*(worker.run_async(question="y") for worker in workers))
            return await super().execute(agent, inputs)

    class Boss(BaseAgent):
        pass

    scenes.base_agent(Boss, strategy=HandOver()).run(question="x")

    below = "\n    invoke_workflow\n      node LLMAgentNode\n        chat gpt-4o"
    assert kaizen_telemetry.tree() == (
        f"invoke_agent Boss\n  invoke_agent worker-a{below}\n  invoke_agent worker-b{below}"
        "\n  invoke_workflow\n    node LLMAgentNode\n      chat gpt-4o"
    )
    boss = kaizen_telemetry.span("invoke_agent Boss")
    assert (boss["kaizen.execution.own.input_tokens"], boss["kaizen.execution.total.input_tokens"]) == (100, 300)
    assert len(kaizen_offline.requests) == 3


def test_an_agent_that_calls_itself_has_an_execution_for_each_run(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from kaizen.strategies.async_single_shot import AsyncSingleShotStrategy

    from tests.kaizen_otel.surfaces import scenes

    class Doubting(AsyncSingleShotStrategy):
        async def execute(self, agent: Any, inputs: dict[str, Any]) -> Any:
            if inputs["question"] == "x":
                return await agent.run_async(question="really x?")
            await scenes.llm_client().complete(scenes.MESSAGES)
            return {"answer": "yes"}

    scenes.base_agent(strategy=Doubting(), agent_id="qa", use_async_llm=True).run(question="x")

    assert kaizen_telemetry.tree() == "invoke_agent qa\n  invoke_agent qa\n    chat gpt-4o"
    assert [e.model_calls for e in kaizen_telemetry.executions] == [1, 0]
    assert len(kaizen_offline.requests) == 1


def test_an_agent_without_a_name_is_called_by_its_class(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import scenes

    agent = scenes.base_agent()
    assert agent.agent_id.startswith("agent_")  # Kaizen's default: the object's address
    agent.run(question="x", session_id="s-1")
    scenes.base_agent(agent_id="desk").run(question="x")

    assert [(e.agent_name, e.session_id) for e in kaizen_telemetry.executions] == [("BaseAgent", "s-1"), ("desk", None)]
    assert len(kaizen_offline.requests) == 2


def test_concurrent_runs_do_not_mix_their_trees(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    from kailash.runtime.local import LocalRuntime

    from tests.kaizen_otel.surfaces import scenes

    tracer = kaizen_telemetry.tracer_provider.get_tracer("app")

    def run_one(number: int) -> None:
        with tracer.start_as_current_span(f"caller {number}"), LocalRuntime() as runtime:
            runtime.execute(scenes.workflow("llm"))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda number: copy_context().run(run_one, number), range(6)))

    expected = [f"caller {n}\n  invoke_workflow\n    invoke_agent n0\n      chat gpt-4o" for n in range(6)]
    trees = kaizen_telemetry.tree().split("\ncaller")
    assert sorted(tree if tree.startswith("caller") else f"caller{tree}" for tree in trees) == expected
    assert len({span.trace_id for span in kaizen_telemetry.spans}) == 6
    assert len(kaizen_offline.requests) == 6
