"""Every pattern of several agents, run for real: one tree below the caller, exact sums, errors named."""

from __future__ import annotations

import asyncio
import inspect
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

import kaizen_otel
from kaizen_otel.demo.model_server import Reply, ReplyUsage, Rule
from tests.kaizen_otel.surfaces.trees import assert_one_trace
from tests.versions.capabilities import needs

if TYPE_CHECKING:
    from collections.abc import Callable

    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured, CapturedSpan

pytestmark = [
    needs("delegate"),
    pytest.mark.usefixtures("forgotten_clients", "no_own_mcp_servers"),
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:.* is deprecated since v0.9.0:DeprecationWarning"),  # their own agents, in 0.13
]

COST = Decimal("0.0035")
"""Of 1,000 tokens of gpt-4o in and 100 out."""

MODEL = {"llm_provider": "openai", "model": "gpt-4o"}

ANSWER = Reply.json(
    {
        **dict.fromkeys(("answer", "argument", "reasoning", "result", "output", "proposal", "final_decision"), "yes"),
        **dict.fromkeys(("vote", "consensus_reached", "decision", "can_handle"), "yes"),
        "tasks": '[{"description": "a"}, {"description": "b"}]',
        "key_points": "[]",
    }
)


def agents(*names: str) -> list[Any]:
    from tests.kaizen_otel.surfaces import scenes

    return [scenes.base_agent(agent_id=name) for name in names]


def ensemble() -> Any:
    from kaizen_agents.patterns.pipeline import Pipeline

    *members, last = agents("a", "b", "last")
    return Pipeline.ensemble(members, last, discovery_mode="all").run(question="x")


def blackboard() -> Any:
    from kaizen_agents.patterns.pipeline import Pipeline

    *members, last = agents("a", "b", "last")
    return Pipeline.blackboard(members, last, selection_mode="sequential", max_iterations=2).run(question="x")


def router() -> Any:
    from kaizen_agents.patterns.pipeline import Pipeline

    return Pipeline.router(agents("a", "b"), routing_strategy="round-robin").run(question="x")


def parallel() -> Any:
    from kaizen_agents.patterns.pipeline import Pipeline

    return Pipeline.parallel(agents("a", "b")).run(question="x")


def pipeline() -> Any:
    from kaizen_agents.patterns.pipeline import SequentialPipeline

    return SequentialPipeline(agents("a", "b")).run(question="x")


def sequential() -> Any:
    from kaizen.core.config import BaseAgentConfig
    from kaizen.memory.shared_memory import SharedMemoryPool
    from kaizen_agents.patterns.patterns.sequential import PipelineStageAgent, create_sequential_pipeline

    pool = SharedMemoryPool()
    stages = [PipelineStageAgent(BaseAgentConfig(**MODEL), pool, name, name) for name in ("a", "b")]
    return create_sequential_pipeline(stages=stages, shared_memory=pool).execute_pipeline("x")


def handoff() -> Any:
    from kaizen_agents.patterns.patterns.handoff import create_handoff_pattern

    return create_handoff_pattern(**MODEL).execute_with_handoff("x")


def debate() -> Any:
    from kaizen_agents.patterns.patterns.debate import create_debate_pattern

    return create_debate_pattern(**MODEL).debate("x")


async def consensus() -> Any:
    from kaizen_agents.patterns.patterns.consensus import create_consensus_pattern

    return await create_consensus_pattern(num_voters=2, **MODEL).execute_async("x")


async def supervisor_worker() -> Any:
    from kaizen_agents.patterns.patterns.supervisor_worker import create_supervisor_worker_pattern

    return await create_supervisor_worker_pattern(num_workers=2, **MODEL).execute_async("x", num_tasks=2)


async def orchestration() -> Any:
    from kaizen.orchestration.runtime import OrchestrationRuntime, OrchestrationStrategy

    from tests.kaizen_otel.surfaces import scenes

    runtime = OrchestrationRuntime(OrchestrationStrategy.hierarchical("a"))
    for name in ("a", "b"):
        runtime.add_agent(name, scenes.base_agent(agent_id=name, use_async_llm=True))
    return await runtime.run("x")


async def governed() -> Any:
    from kaizen_agents.supervisor import GovernedSupervisor

    from tests.kaizen_otel.surfaces import scenes

    agent = scenes.base_agent(agent_id="a", use_async_llm=True)

    async def execute(*_: Any) -> Any:
        return {"result": await agent.run_async(question="x")}

    return await GovernedSupervisor("gpt-4o").run("x", execute_node=execute)


PATTERNS: dict[str, Callable[[], Any]] = {
    "kaizen_agents.patterns.pipeline:SequentialPipeline.run": pipeline,
    "kaizen_agents.patterns.patterns.ensemble:EnsemblePipeline.run": ensemble,
    "kaizen_agents.patterns.patterns.blackboard:BlackboardPipeline.run": blackboard,
    "kaizen_agents.patterns.patterns.meta_controller:MetaControllerPipeline.run": router,
    "kaizen_agents.patterns.patterns.parallel:ParallelPipeline.run": parallel,
    "kaizen_agents.patterns.patterns.sequential:SequentialPipelinePattern.execute_pipeline": sequential,
    "kaizen_agents.patterns.patterns.handoff:HandoffPattern.execute_with_handoff": handoff,
    "kaizen_agents.patterns.patterns.debate:DebatePattern.debate": debate,
    "kaizen_agents.patterns.patterns.consensus:ConsensusPattern.execute_async": consensus,
    "kaizen_agents.patterns.patterns.supervisor_worker:SupervisorWorkerPattern.execute_async": supervisor_worker,
    "kaizen.orchestration.runtime:OrchestrationRuntime.run": orchestration,
    "kaizen_agents.supervisor:GovernedSupervisor.run": governed,
}
TELLING: dict[str, Callable[[], Any]] = {
    "kaizen_agents.patterns.pipeline:SequentialPipeline.run": pipeline,
    "kaizen_agents.patterns.patterns.ensemble:EnsemblePipeline.run": ensemble,
    "kaizen_agents.patterns.patterns.blackboard:BlackboardPipeline.run": blackboard,
    "kaizen_agents.patterns.patterns.meta_controller:MetaControllerPipeline.run": router,
    "kaizen_agents.patterns.patterns.parallel:ParallelPipeline.run": parallel,
    "kaizen.orchestration.runtime:OrchestrationRuntime.run": orchestration,
}
"""Their answers say that all members failed."""
SILENT: dict[str, Callable[[], Any]] = {
    "kaizen_agents.patterns.patterns.sequential:SequentialPipelinePattern.execute_pipeline": sequential,
    "kaizen_agents.patterns.patterns.handoff:HandoffPattern.execute_with_handoff": handoff,
    "kaizen_agents.patterns.patterns.debate:DebatePattern.debate": debate,
    "kaizen_agents.patterns.patterns.consensus:ConsensusPattern.execute_async": consensus,
    "kaizen_agents.patterns.patterns.supervisor_worker:SupervisorWorkerPattern.execute_async": supervisor_worker,
    "kaizen_agents.supervisor:GovernedSupervisor.run": governed,
}
"""Theirs look as if nothing had happened (of `GovernedSupervisor`: where the callback returns an agent's error)."""


def play(captured: Captured, run: Callable[[], Any], *, in_loop: bool) -> kaizen_otel.Measurement:
    """Run a pattern in a span of the application's, blocking ones also where an event loop is running."""

    async def inside() -> Any:
        result = run()
        return await result if asyncio.iscoroutine(result) else result

    with (
        kaizen_otel.measure() as block,
        captured.tracer_provider.get_tracer("app").start_as_current_span("caller"),
    ):
        if in_loop or inspect.iscoroutinefunction(run):
            asyncio.run(inside())
        else:
            run()
    return block


def below(captured: Captured, top: CapturedSpan) -> list[CapturedSpan]:
    """Every span below this one."""
    found = [span for span in captured.spans if span.parent_id == top.span_id]
    return [*found, *(deeper for span in found for deeper in below(captured, span))]


@pytest.mark.covers_each("method", "traced", "tokens", "cost", "context")
@pytest.mark.parametrize("in_loop", [False, True], ids=["blocking", "in a loop"])
@pytest.mark.parametrize("method", PATTERNS)
def test_a_pattern_is_one_tree_with_exact_sums(
    method: str, in_loop: bool, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    usage = ReplyUsage(input_tokens=1_000, output_tokens=100)
    kaizen_offline.script([Rule(replies=Reply(text=ANSWER.text, usage=usage, model="gpt-4o"))])

    block = play(kaizen_telemetry, PATTERNS[method], in_loop=in_loop)

    assert_one_trace(kaizen_telemetry)
    asked = len(kaizen_offline.requests)
    assert asked >= 1
    assert len(kaizen_telemetry.calls) == asked
    assert (block.input_tokens, block.cost) == (1_000 * asked, COST * asked)
    class_name = method.partition(":")[2].partition(".")[0]
    group = kaizen_telemetry.span(f"invoke_workflow {class_name}")
    executions = [span for span in below(kaizen_telemetry, group) if span.name.startswith("invoke_agent")]
    assert len(executions) == len(kaizen_telemetry.executions) >= 1
    assert sum(span["kaizen.execution.own.input_tokens"] for span in executions) == 1_000 * asked
    assert {execution.status for execution in kaizen_telemetry.executions} == {"success"}


ROOT_CAUSE = ("ERROR", "kaizen.llm.errors.ProviderError", 401)


def told(span: CapturedSpan) -> tuple[Any, ...]:
    return span.status, span["error.type"], span["http.response.status_code"]


def refused(method: str, server: ModelServer, captured: Captured) -> CapturedSpan:
    """Run a pattern whose provider refuses; the group's span. Each member names the root cause."""
    server.script([Rule(replies=Reply(status=401))])

    play(captured, PATTERNS[method], in_loop=False)

    assert server.requests
    assert {told(span) for span in captured.spans_named("invoke_agent")} == {ROOT_CAUSE}
    assert {execution.status for execution in captured.executions} == {"error"}
    class_name = method.partition(":")[2].partition(".")[0]
    return captured.span(f"invoke_workflow {class_name}")


@pytest.mark.covers_each("method", "error")
@pytest.mark.parametrize("method", TELLING)
def test_a_pattern_that_says_that_all_failed_names_the_root_cause(
    method: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    assert told(refused(method, kaizen_offline, kaizen_telemetry)) == ROOT_CAUSE


@pytest.mark.covers_each("method", "error below")
@pytest.mark.parametrize("method", SILENT)
def test_a_pattern_that_answers_as_if_nothing_had_happened_leaves_the_error_to_its_members(
    method: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    assert refused(method, kaizen_offline, kaizen_telemetry).status == "UNSET"


def enterprise() -> tuple[Any, list[Any]]:
    from kaizen import Kaizen

    kaizen = Kaizen(config={"multi_agent_enabled": True})
    given = {"provider": "openai", "model": "gpt-4o"}
    return kaizen, [kaizen.create_agent(name, given) for name in ("first", "second")]


def session() -> Any:
    kaizen, members = enterprise()
    return kaizen.create_session(session_id="s1", agents=members).execute(members[0].workflow.build())


def coordinator() -> Any:
    kaizen, members = enterprise()
    return kaizen.create_coordinator("consensus", members, {"topic": "x"}).execute("x")


def test_an_enterprise_session_is_a_workflow_below_the_caller(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    usage = ReplyUsage(input_tokens=1_000, output_tokens=100)
    kaizen_offline.script([Rule(replies=Reply(text=ANSWER.text, usage=usage))])

    block = play(kaizen_telemetry, session, in_loop=False)

    assert_one_trace(kaizen_telemetry)
    assert kaizen_telemetry.tree().endswith("  invoke_workflow\n    invoke_agent first\n      chat gpt-4o")
    assert [execution.agent_name for execution in kaizen_telemetry.executions] == ["first"]
    assert block.cost == COST


def test_an_enterprise_coordinator_names_what_its_own_agents_fail_with(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    # Its patterns leave the provider out, and nodes without one are refused (2.45).
    with pytest.raises(Exception, match="'provider' is unresolved"):
        play(kaizen_telemetry, coordinator, in_loop=False)

    assert_one_trace(kaizen_telemetry)
    assert kaizen_offline.requests == []
    refused = "kaizen.config.providers.ConfigurationError"
    names = {execution.agent_name for execution in kaizen_telemetry.executions}
    assert {"first", "second"} <= names
    for span in (kaizen_telemetry.span("invoke_workflow"), *kaizen_telemetry.spans_named("invoke_agent")):
        assert (span.status, span["error.type"]) == ("ERROR", refused), span.name
