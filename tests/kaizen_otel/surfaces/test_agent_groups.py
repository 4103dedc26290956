"""Several agents of kaizen_agents and of Kaizen's orchestration: a group, its agents' executions, one tree."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from kaizen_otel.demo.model_server import Reply, ReplyUsage, Rule
from tests.kaizen_otel.surfaces.trees import assert_one_trace
from tests.versions.capabilities import needs

if TYPE_CHECKING:
    from pathlib import Path

    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured

pytestmark = [
    needs("delegate"),
    pytest.mark.usefixtures("forgotten_clients", "no_own_mcp_servers"),
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:.* is deprecated since v0.9.0:DeprecationWarning"),  # their own agents, in 0.13
]

ANSWER = Reply.json({"answer": "Paris."})


def agents(*names: str) -> list[Any]:
    from tests.kaizen_otel.surfaces import scenes

    return [scenes.base_agent(agent_id=name) for name in names]


def inside(captured: Captured, action: Any) -> Any:
    with captured.tracer_provider.get_tracer("app").start_as_current_span("caller"):
        return action()


def executions_of(captured: Captured) -> list[tuple[str, str]]:
    """Each execution's agent and the name of the span right above it."""
    names = {span.span_id: span.name for span in captured.spans}
    return sorted(
        (span["gen_ai.agent.name"], names.get(span.parent_id or "", ""))
        for span in captured.spans_named("invoke_agent")
    )


@pytest.mark.parametrize("in_loop", [False, True], ids=["blocking", "in a loop"])
def test_agents_of_a_parallel_pipeline_hang_below_it(
    in_loop: bool, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from kaizen_agents.patterns.patterns.parallel import ParallelPipeline

    kaizen_offline.script(lambda _: ANSWER)
    pipeline = ParallelPipeline(agents("a", "b", "c"))

    def run() -> Any:
        return inside(kaizen_telemetry, lambda: pipeline.run(question="x"))

    async def run_inside() -> Any:
        return run()

    asyncio.run(run_inside()) if in_loop else run()

    assert_one_trace(kaizen_telemetry)
    group = "invoke_workflow ParallelPipeline"
    assert executions_of(kaizen_telemetry) == [("a", group), ("b", group), ("c", group)]
    assert len(kaizen_telemetry.executions) == len(kaizen_offline.requests) == 3


def test_a_sequential_pipeline_is_a_group_and_no_execution(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from kaizen_agents.patterns.pipeline import SequentialPipeline

    kaizen_offline.script(lambda _: ANSWER)
    inside(kaizen_telemetry, lambda: SequentialPipeline(agents("a")).run(question="x"))

    assert kaizen_telemetry.tree() == (
        "caller\n  invoke_workflow SequentialPipeline\n    invoke_agent a\n      invoke_workflow\n"
        "        node LLMAgentNode\n          chat gpt-4o"
    )
    assert [one.agent_name for one in kaizen_telemetry.executions] == ["a"]


def test_a_pipeline_that_has_become_an_agent_is_a_group_in_a_group(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from kaizen_agents.patterns.pipeline import Pipeline

    kaizen_offline.script(lambda _: ANSWER)
    inner = Pipeline.parallel(agents("a", "b")).to_agent(name="inner")
    inside(kaizen_telemetry, lambda: Pipeline.sequential([inner, *agents("c")]).run(question="x"))

    assert_one_trace(kaizen_telemetry)
    found = executions_of(kaizen_telemetry)
    assert [agent for agent, _ in found] == ["a", "b", "c"]
    assert [above for _, above in found] == [
        *["invoke_workflow ParallelPipeline"] * 2,
        "invoke_workflow SequentialPipeline",
    ]


def test_the_agents_of_a_pipeline_class_of_the_applications_own_stand_below_its_caller(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from kaizen_agents.patterns.pipeline import Pipeline

    kaizen_offline.script(lambda _: ANSWER)
    a, b = agents("a", "b")

    class House(Pipeline):
        def run(self, **inputs: Any) -> Any:
            a.run(**inputs)
            return b.run(**inputs)

    inside(kaizen_telemetry, lambda: House().to_agent().run(question="x"))

    assert_one_trace(kaizen_telemetry)
    assert executions_of(kaizen_telemetry) == [("a", "caller"), ("b", "caller")]


@pytest.mark.parametrize("strategy", ["sequential", "parallel"])
def test_an_orchestration_is_a_group_whatever_its_strategy(
    strategy: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from kaizen.orchestration.runtime import OrchestrationRuntime, OrchestrationStrategy

    kaizen_offline.script(lambda _: ANSWER)
    runtime = OrchestrationRuntime(getattr(OrchestrationStrategy, strategy)())
    for name, agent in zip("ab", agents_for_async("a", "b"), strict=True):
        runtime.add_agent(name, agent)

    inside(kaizen_telemetry, lambda: runtime.run_sync("x"))

    assert_one_trace(kaizen_telemetry)
    group = "invoke_workflow OrchestrationRuntime"
    assert executions_of(kaizen_telemetry) == [("a", group), ("b", group)]
    assert len(kaizen_telemetry.executions) == 2


def agents_for_async(*names: str) -> list[Any]:
    from tests.kaizen_otel.surfaces import scenes

    return [scenes.base_agent(agent_id=name, use_async_llm=True) for name in names]


def test_a_debate_is_one_tree_of_its_agents(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    from kaizen_agents.patterns.patterns.debate import create_debate_pattern

    kaizen_offline.script([Rule(replies=Reply.json({"argument": "a", "key_points": "[]", "decision": "for"}))])
    pattern = create_debate_pattern(llm_provider="openai", model="gpt-4o")
    inside(kaizen_telemetry, lambda: pattern.debate("tea or coffee"))

    assert_one_trace(kaizen_telemetry)
    found = executions_of(kaizen_telemetry)
    assert {above for _, above in found} == {"invoke_workflow DebatePattern"}
    assert len(found) == len(kaizen_telemetry.executions) >= 2
    assert len(kaizen_telemetry.calls) == len(kaizen_offline.requests)


def test_an_autonomous_agent_made_before_is_one_execution_of_all_its_cycles(
    kaizen_offline: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kaizen_agents.agents.autonomous.base import AutonomousConfig, BaseAutonomousAgent

    from kaizen_otel.testing import capture
    from tests.kaizen_otel.surfaces import scenes

    monkeypatch.chdir(tmp_path)  # it leaves its checkpoints where it runs
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    kaizen_offline.script(lambda _: ANSWER)
    config = AutonomousConfig(llm_provider="openai", model="gpt-4o", max_cycles=2, planning_enabled=False)
    agent = BaseAutonomousAgent(config, scenes.Answer(), mcp_servers=[])
    with capture() as captured:
        agent.run(task="look around")

    (execution,) = captured.executions
    assert execution.agent_name == "BaseAutonomousAgent"
    assert execution.model_calls == len(captured.calls) == len(kaizen_offline.requests) >= 1
    assert [span.parent_id for span in captured.spans_named("invoke_agent")] == [None]


def test_a_supervised_plan_holds_what_its_nodes_run(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    from kaizen_agents.supervisor import GovernedSupervisor

    kaizen_offline.script(lambda _: ANSWER)
    (agent,) = agents_for_async("a")

    async def execute(spec: Any, inputs: Any) -> Any:
        del spec, inputs
        return {"result": await agent.run_async(question="x")}

    result = inside(
        kaizen_telemetry, lambda: asyncio.run(GovernedSupervisor("gpt-4o").run("why?", execute_node=execute))
    )

    assert result.success
    assert executions_of(kaizen_telemetry) == [("a", "invoke_workflow GovernedSupervisor")]


@pytest.mark.covers("kaizen_agents.supervisor:GovernedSupervisor.run", "error")
def test_a_supervised_plan_that_fails_says_so_though_it_returns(kaizen_telemetry: Captured) -> None:
    from kaizen_agents.supervisor import GovernedSupervisor

    async def execute(*_: Any) -> Any:
        raise ValueError("no")

    result = asyncio.run(GovernedSupervisor("gpt-4o").run("why?", execute_node=execute))

    assert not result.success
    group = kaizen_telemetry.span("invoke_workflow GovernedSupervisor")
    assert (group.status, group["error.type"]) == ("ERROR", "unsuccessful")


@pytest.mark.parametrize("wrapped_by", ["MonitoredAgent", "StreamingAgent"])
def test_a_wrapper_around_an_agent_runs_one_execution(
    wrapped_by: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from kaizen_agents.monitored_agent import MonitoredAgent
    from kaizen_agents.streaming_agent import StreamingAgent

    kaizen_offline.script(lambda _: ANSWER)
    (agent,) = agents("a")
    wrapper = MonitoredAgent(agent, budget_usd=5.0) if wrapped_by == "MonitoredAgent" else StreamingAgent(agent)

    async def blocking() -> Any:
        return inside(kaizen_telemetry, lambda: wrapper.run(question="x"))

    asyncio.run(blocking())

    assert_one_trace(kaizen_telemetry)
    assert executions_of(kaizen_telemetry) == [("a", "caller")]
    assert [one.agent_name for one in kaizen_telemetry.executions] == ["a"]
    assert len(kaizen_telemetry.calls) == len(kaizen_offline.requests) == 1


@pytest.mark.parametrize("client", ["LLMClient", "OpenAIStructuredAdapter", "AnthropicStructuredAdapter"])
def test_a_blocking_client_is_one_chat_with_the_sdks_own_usage(
    client: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from kaizen_agents.llm import LLMClient
    from kaizen_agents.orchestration.adapters import AnthropicStructuredAdapter, OpenAIStructuredAdapter

    usage = ReplyUsage(input_tokens=100, output_tokens=20, cache_read_tokens=30)
    kaizen_offline.script([Reply(text="fine", usage=usage)])
    made: Any
    if client == "AnthropicStructuredAdapter":
        made = AnthropicStructuredAdapter(model="claude-sonnet-4-5")
    elif client == "LLMClient":
        made = LLMClient(model="gpt-4o")
    else:
        made = OpenAIStructuredAdapter(model="gpt-4o")
    answer = made.complete([{"role": "user", "content": "hello"}], max_tokens=64)

    assert answer.content == "fine"
    chat = kaizen_telemetry.span("chat")
    assert chat["gen_ai.provider.name"] == ("anthropic" if client.startswith("Anthropic") else "openai")
    assert (chat["gen_ai.usage.input_tokens"], chat["gen_ai.usage.output_tokens"]) == (100, 20)
    assert chat["gen_ai.usage.cache_read.input_tokens"] == 30
    assert (chat["gen_ai.request.max_tokens"], chat["server.address"]) == (64, "localhost")
    assert chat["gen_ai.response.id"]
    assert len(kaizen_telemetry.calls) == 1


def test_a_blocking_client_that_is_refused_is_an_error(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    import openai
    from kaizen_agents.llm import LLMClient

    kaizen_offline.script(lambda _: Reply.unauthorized())
    with pytest.raises(openai.AuthenticationError):
        LLMClient(model="gpt-4o").complete([{"role": "user", "content": "hello"}])

    chat = kaizen_telemetry.span("chat gpt-4o")
    assert (chat["error.type"], chat["http.response.status_code"]) == ("openai.AuthenticationError", 401)
