"""What the spans of workflows, nodes and agents say of them, and what the monitoring level leaves out."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from kaizen_otel.demo.model_server import Reply, Rule

if TYPE_CHECKING:
    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured


def test_a_workflow_is_called_what_a_person_called_it(kaizen_telemetry: Captured) -> None:
    from kailash.runtime.local import LocalRuntime

    from tests.kaizen_otel.surfaces import scenes

    with LocalRuntime() as runtime:
        _, run_id = runtime.execute(scenes.workflow("SyncProbe", name="refunds"))
        unnamed = scenes.workflow("SyncProbe")
        assert unnamed.name.startswith("Workflow-")  # Kailash's own name for it, new for each build
        runtime.execute(unnamed)

    named = kaizen_telemetry.span("invoke_workflow refunds")
    assert named["gen_ai.operation.name"] == "invoke_workflow"
    assert named["gen_ai.workflow.name"] == "refunds"
    assert named["kaizen.workflow.run_id"] == run_id
    other = next(span for span in kaizen_telemetry.spans if span.name == "invoke_workflow")
    assert "gen_ai.workflow.name" not in other.attributes
    points = kaizen_telemetry.metrics()["gen_ai.invoke_workflow.duration"]
    assert sorted(point.attributes.get("gen_ai.workflow.name", "") for point in points) == ["", "refunds"]


def test_a_run_without_an_id_says_none(kaizen_telemetry: Captured) -> None:
    from kailash.runtime.local import LocalRuntime

    from tests.kaizen_otel.surfaces import scenes

    with LocalRuntime(enable_monitoring=False) as runtime:
        _, run_id = runtime.execute(scenes.workflow("SyncProbe"))

    assert run_id is None
    assert "kaizen.workflow.run_id" not in kaizen_telemetry.span("invoke_workflow").attributes


@pytest.mark.parametrize("kind", ["SyncProbe", "AsyncProbe", "PythonCodeNode", "A2AAgentNode"])
def test_a_node_has_its_class_and_its_key_in_the_workflow(
    kind: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from kailash.runtime.local import LocalRuntime
    from kailash.workflow.builder import WorkflowBuilder

    from tests.kaizen_otel.surfaces import scenes

    configs: dict[str, dict[str, Any]] = {
        "PythonCodeNode": {"code": "result = {'n': 1}"},
        "A2AAgentNode": {**scenes.LLM_CONFIG, "agent_id": "someone"},
    }
    builder = WorkflowBuilder()
    builder.add_node(kind, "my_key", configs.get(kind, {}))
    with LocalRuntime() as runtime:
        runtime.execute(builder.build())

    is_llm = kind == "A2AAgentNode"
    span = kaizen_telemetry.span("invoke_agent my_key" if is_llm else f"node {kind}")
    assert (span["kaizen.node.type"], span["kaizen.node.id"]) == (kind, "my_key")
    assert span.attributes.get("gen_ai.agent.name") == ("my_key" if is_llm else None)
    assert len(kaizen_offline.requests) == len(kaizen_telemetry.executions) == int(is_llm)


def test_an_execution_in_a_workflow_has_its_conversation(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from kaizen.nodes.ai.llm_agent import LLMAgentNode

    from tests.kaizen_otel.surfaces import scenes

    LLMAgentNode(conversation_id="c-1").execute(**scenes.LLM_CONFIG)
    LLMAgentNode().execute(**scenes.LLM_CONFIG, conversation_id="c-2")

    spans = kaizen_telemetry.spans_named("invoke_agent")
    assert [span["gen_ai.conversation.id"] for span in spans] == ["c-1", "c-2"]
    assert len(kaizen_offline.requests) == 2


@pytest.mark.parametrize("runtime", ["local", "parallel_cyclic"])
def test_each_turn_of_a_cycle_is_a_node_span_in_one_workflow(runtime: str, kaizen_telemetry: Captured) -> None:
    from kailash.runtime import ParallelCyclicRuntime
    from kailash.runtime.local import LocalRuntime
    from kailash.workflow.builder import WorkflowBuilder

    builder = WorkflowBuilder()
    code = "try:\n    seen = n\nexcept NameError:\n    seen = 0\nresult = {'n': seen + 1, 'done': seen + 1 >= 3}"
    builder.add_node("PythonCodeNode", "count", {"code": code})
    built = builder.build()
    cycle = built.create_cycle("again").connect("count", "count", {"result.n": "n"})
    cycle.max_iterations(5).converge_when("done == True").build()
    if runtime == "local":
        with LocalRuntime() as local:
            results, _ = local.execute(built)
    else:
        with closing(ParallelCyclicRuntime()) as parallel_cyclic:
            results, _ = parallel_cyclic.execute(built)

    assert results["count"]["result"]["n"] == 3
    assert kaizen_telemetry.tree() == "invoke_workflow" + "\n  node PythonCodeNode" * 3
    assert {span.status for span in kaizen_telemetry.spans} == {"UNSET"}


def test_the_making_of_an_agent_has_a_span_and_is_no_execution(kaizen_telemetry: Captured) -> None:
    from kaizen.core.framework import Kaizen

    Kaizen().create_agent("qa", {"model": "gemini-2.5-flash", "provider": "google"})
    with pytest.raises(TypeError):
        Kaizen().create_agent("broken", 17)

    made, broken = kaizen_telemetry.spans
    assert (made.name, made["gen_ai.agent.name"]) == ("create_agent qa", "qa")
    assert (made["gen_ai.provider.name"], made["gen_ai.request.model"]) == ("gcp.gemini", "gemini-2.5-flash")
    assert made["gen_ai.operation.name"] == "create_agent"
    assert (broken.name, broken.status, broken["error.type"]) == ("create_agent broken", "ERROR", "TypeError")
    assert "gen_ai.provider.name" not in broken.attributes
    assert kaizen_telemetry.executions == []


@pytest.mark.kaizen_otel(monitoring_level="basic")
def test_level_basic_has_no_nodes_or_tools_and_still_sees_failures(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from kailash.runtime.local import LocalRuntime

    from tests.kaizen_otel.surfaces import scenes

    agent = scenes.kaizen_agent()
    kaizen_telemetry.clear()
    agent.execute(question="x")
    assert kaizen_telemetry.tree() == "invoke_agent qa\n  invoke_workflow\n    chat gpt-4o"

    kaizen_telemetry.clear()
    kaizen_offline.script([Rule(replies=Reply.server_error())])
    agent.execute(question="x")
    assert kaizen_telemetry.tree() == "invoke_agent qa!\n  invoke_workflow!\n    chat gpt-4o!"

    kaizen_telemetry.clear()
    with LocalRuntime() as runtime:
        runtime.execute(scenes.workflow("FailingNode"))
        runtime.execute(scenes.workflow("ErrorReportNode"))
    assert kaizen_telemetry.tree() == "invoke_workflow!\ninvoke_workflow"


def test_a_call_that_ends_after_its_agent_is_late_and_still_counted(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from kaizen.strategies.async_single_shot import AsyncSingleShotStrategy

    from tests.kaizen_otel.surfaces import scenes

    started: list[asyncio.Task[Any]] = []

    class Hasty(AsyncSingleShotStrategy):
        async def execute(self, agent: Any, inputs: dict[str, Any]) -> Any:
            del agent, inputs
            started.append(asyncio.create_task(scenes.llm_client().complete(scenes.MESSAGES)))
            while not kaizen_offline.requests:  # noqa: ASYNC110 - the model server is another thread
                await asyncio.sleep(0.001)
            return {"answer": "soon"}

    async def scene() -> None:
        await scenes.base_agent(strategy=Hasty(), agent_id="hasty", use_async_llm=True).run_async(question="x")
        assert [span.name for span in kaizen_telemetry.spans] == ["invoke_agent hasty"]
        await started[0]

    kaizen_offline.script([Reply(delay_s=0.2)])
    asyncio.run(scene())

    assert kaizen_telemetry.tree() == "invoke_agent hasty\n  chat gpt-4o"
    agent = kaizen_telemetry.span("invoke_agent")
    assert agent["kaizen.execution.late_calls"] == 1
    assert agent["kaizen.execution.model_calls"] == 0
    assert agent["kaizen.execution.cost.complete"] is False
    consumed = kaizen_telemetry.metrics()["kaizen.tokens.consumed"]
    assert {(p.attributes["agent_name"], p.attributes["token_type"]): p.value for p in consumed} == {
        ("hasty", "input"): 100,
        ("hasty", "output"): 20,
    }
