"""What `docs/coverage.md` says of groups of agents and of their members: each method goes well, and is refused."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

from tests.kaizen_otel.surfaces import test_patterns as patterns
from tests.kaizen_otel.surfaces.covered import JUDGED, well_and_refused
from tests.versions.capabilities import needs

if TYPE_CHECKING:
    from collections.abc import Callable

    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured

# As in test_patterns.
pytestmark = [
    needs("delegate"),
    pytest.mark.usefixtures("forgotten_clients", "no_own_mcp_servers"),
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:.* is deprecated since v0.9.0:DeprecationWarning"),  # their own agents, in 0.13
]

ASKED = itertools.count()
ANSWERS = {
    **JUDGED,
    **dict.fromkeys(("answer", "argument", "reasoning", "result", "output", "proposal", "final_decision"), "yes"),
    **dict.fromkeys(("vote", "consensus_reached", "decision", "can_handle"), "yes"),
    "tasks": '[{"description": "a"}, {"description": "b"}]',
    "key_points": "[]",
}
"""What every member of every pattern understands."""


def debate_of_two_rounds() -> None:
    from kaizen_agents.patterns.patterns.debate import create_debate_pattern

    create_debate_pattern(**patterns.MODEL).debate("x", rounds=2)


async def awaited_debate() -> None:
    from kaizen_agents.patterns.patterns.debate import create_debate_pattern

    await create_debate_pattern(**patterns.MODEL).execute_async("x")


async def planned() -> None:
    from kaizen_agents.supervisor import GovernedSupervisor

    from tests.kaizen_otel.surfaces import scenes

    agent = scenes.base_agent(agent_id="a", use_async_llm=True)

    async def execute(*_: Any) -> Any:
        return {"result": await agent.run_async(question="x")}

    supervisor = GovernedSupervisor("gpt-4o")
    await supervisor.run_plan(supervisor._build_trivial_plan("x", {}), execute_node=execute)


def orchestrated() -> None:
    from kaizen.orchestration.runtime import OrchestrationRuntime, OrchestrationStrategy

    from tests.kaizen_otel.surfaces import scenes

    runtime = OrchestrationRuntime(OrchestrationStrategy.sequential())
    runtime.add_agent("a", scenes.base_agent(agent_id="a", use_async_llm=True))
    runtime.run_sync("x")


def registered(use: Callable[[Any, str], Any]) -> Callable[[], Any]:
    """What is done with a runtime of kaizen_agents and the name of the one agent that it knows."""

    async def scene() -> None:
        from kaizen_agents.patterns.runtime import OrchestrationRuntime

        from tests.kaizen_otel.surfaces import scenes

        agent = scenes.base_agent(agent_id="a", use_async_llm=True)
        agent.run = agent.run_async  # it awaits what `run` returns, of every agent (0.13)
        runtime = OrchestrationRuntime()
        await runtime.start()
        try:
            await use(runtime, await runtime.register_agent(agent))
        finally:
            await runtime.shutdown()

    return scene


async def one_task(runtime: Any, name: str) -> None:
    await runtime.execute_task(name, {"question": "x"})


async def many_tasks(runtime: Any, _: str) -> None:
    await runtime.execute_multi_agent_workflow([str(next(ASKED))])  # Kaizen keeps which agent suits


async def a_workflow(runtime: Any, _: str) -> None:
    from tests.kaizen_otel.surfaces import scenes

    await runtime.execute_workflow(scenes.workflow("llm"))


def coordinated() -> None:
    kaizen, members = patterns.enterprise()
    kaizen.execute_coordination_workflow("consensus", members[0].workflow.build())


def enterprise_workflow() -> None:
    kaizen, members = patterns.enterprise()
    kaizen.execute_enterprise_workflow(members[0].workflow)


GROUPS: dict[str, Callable[[], Any]] = {
    "kaizen_agents.patterns.patterns.debate:DebatePattern.execute_async": awaited_debate,
    "kaizen_agents.supervisor:GovernedSupervisor.run_plan": planned,
    "kaizen_agents.patterns.runtime:OrchestrationRuntime.execute_task": registered(one_task),
}
BELOW: dict[str, Callable[[], Any]] = {
    "kaizen_agents.patterns.patterns.debate:ProponentAgent.construct_argument "
    "kaizen_agents.patterns.patterns.debate:ProponentAgent.rebut "
    "kaizen_agents.patterns.patterns.debate:OpponentAgent.construct_argument "
    "kaizen_agents.patterns.patterns.debate:OpponentAgent.rebut "
    "kaizen_agents.patterns.patterns.debate:JudgeAgent.judge_debate": debate_of_two_rounds,
    "kaizen_agents.patterns.patterns.consensus:ProposerAgent.create_proposal "
    "kaizen_agents.patterns.patterns.consensus:VoterAgent.vote "
    "kaizen_agents.patterns.patterns.consensus:AggregatorAgent.aggregate_votes": patterns.consensus,
    "kaizen_agents.patterns.patterns.handoff:HandoffAgent.evaluate_task "
    "kaizen_agents.patterns.patterns.handoff:HandoffAgent.execute_task": patterns.handoff,
    "kaizen_agents.patterns.patterns.sequential:PipelineStageAgent.process_stage": patterns.sequential,
    "kaizen_agents.patterns.patterns.supervisor_worker:SupervisorAgent.delegate "
    "kaizen_agents.patterns.patterns.supervisor_worker:SupervisorAgent.aggregate_results "
    "kaizen_agents.patterns.patterns.supervisor_worker:SupervisorWorkerPattern.delegate "
    "kaizen_agents.patterns.patterns.supervisor_worker:WorkerAgent.execute_task": patterns.supervisor_worker,
    "kaizen.orchestration.runtime:OrchestrationRuntime.run_sync": orchestrated,
    "kaizen_agents.patterns.runtime:OrchestrationRuntime.execute_workflow": registered(a_workflow),
    "kaizen_agents.patterns.runtime:OrchestrationRuntime.route_task "
    "kaizen_agents.patterns.runtime:OrchestrationRuntime.execute_multi_agent_workflow": registered(many_tasks),
    "kaizen.core.framework:Kaizen.execute kaizen.core.framework:EnterpriseSession.execute": patterns.session,
    "kaizen.core.framework:Kaizen.execute_enterprise_workflow": enterprise_workflow,
    "kaizen.core.framework:Kaizen.execute_coordination_workflow": coordinated,
}


@pytest.fixture(autouse=True)
def _model_of_comparisons(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Kaizen's own comparisons of agents and tasks ask."""
    monkeypatch.setenv("DEFAULT_LLM_MODEL", "gpt-4o")


@pytest.mark.covers_each("method", "traced", "tokens", "cost", "error below", "context")
@pytest.mark.parametrize("method", GROUPS)
def test_a_group(method: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    well_and_refused(GROUPS[method], kaizen_offline, kaizen_telemetry, **ANSWERS)


@pytest.mark.covers_each("methods", "tokens", "cost", "error", "context")
@pytest.mark.parametrize("methods", BELOW)
def test_members_of_a_group_and_what_hands_on(
    methods: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    well_and_refused(BELOW[methods], kaizen_offline, kaizen_telemetry, **ANSWERS)


@pytest.mark.covers("kaizen.core.framework:EnterpriseCoordinator.execute", "error", "context")
def test_a_coordinator_whose_agents_have_no_provider(kaizen_telemetry: Captured) -> None:
    # Its patterns leave the provider out, and nodes without one are refused (2.45).
    from tests.kaizen_otel.surfaces import scenes

    with pytest.raises(Exception, match="'provider' is unresolved"):
        scenes.play_under_caller(kaizen_telemetry, patterns.coordinator)
    assert kaizen_telemetry.calls == []
