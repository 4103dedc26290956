"""What `docs/coverage.md` says of planning, plans and journeys: no span of their own, what they ask is seen."""

from __future__ import annotations

import contextlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from tests.kaizen_otel.surfaces import test_patterns as patterns
from tests.kaizen_otel.surfaces.covered import goes_well, is_refused, well_and_refused
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


def client() -> Any:
    from kaizen_agents.llm import LLMClient

    return LLMClient(model="gpt-4o")


def decomposed() -> None:
    from kaizen_agents.orchestration.planner.decomposer import TaskDecomposer

    with suppress(ValueError):  # the answer has no subtasks in it
        TaskDecomposer(client()).decompose("x")


def summarized() -> None:
    from kaizen_agents.orchestration.context.summarizer import ContextSummarizer

    ContextSummarizer(client()).summarize("word " * 3_000, max_tokens=50)


def clarified() -> None:
    from kaizen_agents.orchestration.protocols.clarification import ClarificationProtocol

    with suppress(Exception):
        ClarificationProtocol(client()).compose_question("x", {})
    with suppress(Exception):
        ClarificationProtocol(client()).interpret_response("yes", "x?")


def escalated() -> None:
    from kaizen_agents.orchestration.protocols.escalation import EscalationProtocol

    EscalationProtocol(client()).compose_escalation("x", [], "high")


def diagnosed() -> None:
    from kaizen_agents.orchestration.recovery.diagnoser import FailureDiagnoser
    from kaizen_agents.supervisor import GovernedSupervisor

    plan = GovernedSupervisor("gpt-4o")._build_trivial_plan("x", {})
    with suppress(ValueError):  # the answer has no diagnosis in it
        FailureDiagnoser(client()).diagnose("task-0", "x", plan)


def matched() -> None:
    from kaizen_agents.orchestration.planner.designer import CapabilityMatcher
    from kaizen_agents.types import AgentSpec

    spec = AgentSpec("s", "reviewer", "reviews code", capabilities=["code review"])
    CapabilityMatcher([spec], client()).find_semantic_matches(["reading code"])


def delegated() -> None:
    from kaizen_agents.orchestration.protocols.delegation import DelegationProtocol
    from kaizen_agents.types import make_envelope

    DelegationProtocol(client()).compose_delegation("x", {}, make_envelope())


def completed() -> None:
    from kaizen_agents.orchestration.protocols.delegation import DelegationProtocol
    from kaizen_agents.types import CompletionPayload

    DelegationProtocol(client()).handle_completion(CompletionPayload(result="done"), {})


def decided() -> None:
    from kaizen_agents.orchestration.protocols.escalation import EscalationProtocol
    from kaizen_agents.types import EscalationPayload, EscalationSeverity

    EscalationProtocol(client()).decide_action(EscalationPayload(EscalationSeverity.WARNING, "x"), {})


def recomposed() -> None:
    from kaizen_agents.orchestration.recovery.diagnoser import FailureCategory, FailureDiagnosis
    from kaizen_agents.orchestration.recovery.recomposer import Recomposer
    from kaizen_agents.supervisor import GovernedSupervisor

    plan = GovernedSupervisor("gpt-4o")._build_trivial_plan("x", {})
    diagnosis = FailureDiagnosis("task-0", "x", FailureCategory.TRANSIENT, recoverable=True)
    with suppress(ValueError):  # the answer has no strategy in it
        Recomposer(client()).recompose(plan, "task-0", diagnosis)


async def intended() -> None:
    from kaizen_agents.journey.intent import IntentDetector
    from kaizen_agents.journey.transitions import IntentTrigger

    await IntentDetector(model="gpt-4o").detect_intent("I want to pay", [IntentTrigger(patterns=["help"])], {})


async def streamed() -> None:
    from kaizen.execution.streaming_executor import StreamingExecutor

    from tests.kaizen_otel.surfaces import delegates, scenes

    agent = scenes.base_agent(agent_id="a", use_async_llm=True)
    await delegates.read(StreamingExecutor().execute_with_events(agent, "x"))


def plan_of_one() -> Any:
    from kaizen.l3.plan.types import Plan, PlanNode, PlanNodeState, PlanState

    unset: dict[str, Any] = dict.fromkeys(("instance_id", "output", "error"))
    node = PlanNode("n", "a", {}, PlanNodeState.PENDING, optional=False, retry_count=0, **unset)
    return Plan("p", "plan", {}, {}, {"n": node}, [], PlanState.VALIDATED)


async def planned() -> None:
    from kaizen.l3.plan.executor import AsyncPlanExecutor

    from tests.kaizen_otel.surfaces import scenes

    agent = scenes.base_agent(agent_id="a", use_async_llm=True)

    async def run(*_: Any) -> dict[str, Any]:
        return {"result": await agent.run_async(question="x")}

    await AsyncPlanExecutor(run).execute(plan_of_one())


def planned_blocking() -> None:
    from kaizen.l3.plan.executor import PlanExecutor

    from tests.kaizen_otel.surfaces import scenes

    agent = scenes.base_agent(agent_id="a")
    PlanExecutor(lambda *_: {"result": agent.run(question="x")}).execute(plan_of_one())


SUBTASK = {
    "description": "x",
    "estimated_complexity": 1,
    **dict.fromkeys(("required_capabilities", "suggested_tools", "depends_on", "output_keys"), ()),
}
PLAN = {
    "subtasks": [SUBTASK],
    "name": "clerk",
    "description": "x",
    "financial_ratio": 0.1,
    **dict.fromkeys(("needs_shared_memory", "needs_persistent_memory"), False),
    **dict.fromkeys(("capabilities", "selected_tools", "produced_context_keys", "edges", "node_mappings"), ()),
}
"""What decomposing, designing and composing understand."""


def monitor() -> Any:
    from kaizen_agents.orchestration.monitor import PlanMonitor
    from kaizen_agents.types import GradientZone, PlanGradient, make_envelope

    return PlanMonitor(client(), make_envelope(), PlanGradient(0, GradientZone.BLOCKED))


async def node_of_a_plan(*_: Any) -> dict[str, Any]:
    """Ask a model, as a callback of the application's; what it raises, the monitor notes."""
    answer = client().complete([{"role": "user", "content": "x"}])
    return {"result": answer.content}


async def monitored() -> None:
    await monitor().run("x", {}, node_of_a_plan)


async def monitored_plan() -> None:
    from kaizen_agents.supervisor import GovernedSupervisor

    plan = GovernedSupervisor("gpt-4o")._build_trivial_plan("x", {})
    await monitor().run_plan(plan, node_of_a_plan)


MONITORED: dict[str, Callable[[], Any]] = {
    "kaizen_agents.orchestration.monitor:PlanMonitor.run": monitored,
    "kaizen_agents.orchestration.monitor:PlanMonitor.run_plan": monitored_plan,
}
BELOW: dict[str, Callable[[], Any]] = {
    "kaizen_agents.orchestration.planner.decomposer:TaskDecomposer.decompose": decomposed,
    "kaizen_agents.orchestration.context.summarizer:ContextSummarizer.summarize": summarized,
    "kaizen_agents.orchestration.protocols.clarification:ClarificationProtocol.compose_question "
    "kaizen_agents.orchestration.protocols.clarification:ClarificationProtocol.interpret_response": clarified,
    "kaizen_agents.orchestration.protocols.escalation:EscalationProtocol.compose_escalation": escalated,
    "kaizen_agents.orchestration.recovery.diagnoser:FailureDiagnoser.diagnose": diagnosed,
    "kaizen_agents.orchestration.planner.designer:CapabilityMatcher.find_semantic_matches": matched,
    "kaizen_agents.orchestration.protocols.delegation:DelegationProtocol.compose_delegation": delegated,
    "kaizen_agents.orchestration.protocols.delegation:DelegationProtocol.handle_completion": completed,
    "kaizen_agents.orchestration.protocols.escalation:EscalationProtocol.decide_action": decided,
    "kaizen_agents.orchestration.recovery.recomposer:Recomposer.recompose": recomposed,
    "kaizen_agents.journey.intent:IntentDetector.detect_intent": intended,
    "kaizen.execution.streaming_executor:StreamingExecutor.execute_with_events": streamed,
    "kaizen.l3.plan.executor:AsyncPlanExecutor.execute": planned,
    "kaizen.l3.plan.executor:PlanExecutor.execute": planned_blocking,
}


@pytest.mark.covers_each("methods", "tokens", "cost", "error", "context")
@pytest.mark.parametrize("methods", BELOW)
def test_what_is_asked(methods: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    well_and_refused(BELOW[methods], kaizen_offline, kaizen_telemetry)


@pytest.mark.covers_each("method", "traced", "tokens", "cost", "error", "context")
@pytest.mark.parametrize("method", MONITORED)
def test_a_monitored_plan(method: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    well_and_refused(MONITORED[method], kaizen_offline, kaizen_telemetry, **PLAN)


def test_a_monitored_plan_is_one_tree_of_its_planning_and_its_nodes(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    goes_well(monitored, kaizen_offline, kaizen_telemetry, **PLAN)

    decomposed, designed, composed, node = (f"    {span.name}" for span in kaizen_telemetry.spans_named("chat"))
    assert kaizen_telemetry.tree().splitlines() == [
        "caller",
        "  invoke_workflow PlanMonitor",
        *(decomposed, designed, composed, node),
    ]


def test_a_monitored_plan_that_fails_names_what_its_node_failed_with(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    is_refused(monitored_plan, kaizen_offline, kaizen_telemetry)

    group = kaizen_telemetry.span("invoke_workflow PlanMonitor")
    assert patterns.told(group) == ("ERROR", "openai.AuthenticationError", 401)
    assert kaizen_telemetry.span("caller").status == "UNSET"  # it returns that it failed


@pytest.mark.covers("kaizen_agents.workflows.debate:DebateWorkflow.execute", "error", "context")
@pytest.mark.covers("kaizen_agents.workflows.consensus:ConsensusWorkflow.execute", "error", "context")
@pytest.mark.covers("kaizen_agents.workflows.supervisor_worker:SupervisorWorkerWorkflow.execute", "error", "context")
@pytest.mark.covers("kaizen_agents.workflows.debate:DebateWorkflow.execute_async", "error", "context")
@pytest.mark.covers("kaizen_agents.workflows.consensus:ConsensusWorkflow.execute_async", "error", "context")
@pytest.mark.covers(
    "kaizen_agents.workflows.supervisor_worker:SupervisorWorkerWorkflow.execute_async", "error", "context"
)
def test_workflows_whose_agents_have_no_provider(kaizen_telemetry: Captured) -> None:
    # They leave the provider out, and nodes without one are refused (2.45).
    from tests.kaizen_otel.surfaces import scenes

    async def scene() -> None:
        kaizen, members = patterns.enterprise()
        for made in (
            kaizen.create_debate_workflow(members, "x", 1),
            kaizen.create_consensus_workflow(members, "x"),
            kaizen.create_supervisor_worker_workflow(members[0], members[1:], "x"),
        ):
            with suppress(Exception):
                made.execute()
            with suppress(Exception):
                await made.execute_async()

    with contextlib.redirect_stdout(None):  # Kaizen prints its cycles
        scenes.play_under_caller(kaizen_telemetry, scene)
    assert kaizen_telemetry.calls == []


@pytest.mark.covers(
    "kaizen_agents.workflows.enterprise_templates:EnterpriseWorkflowTemplate.execute", "error", "context"
)
@pytest.mark.covers(
    "kaizen_agents.workflows.enterprise_templates:EnterpriseWorkflowTemplate.execute_async", "error", "context"
)
@pytest.mark.filterwarnings("ignore:Instance-based API usage detected:UserWarning")
def test_templates_whose_agents_have_no_provider(kaizen_telemetry: Captured) -> None:
    # As above; by the blocking way, the failed run is `completed` to Kaizen (0.13).
    from tests.kaizen_otel.surfaces import scenes

    async def scene() -> None:
        kaizen, _ = patterns.enterprise()
        template = kaizen.create_enterprise_workflow("approval", {"approval_levels": ["head"]})
        assert template.execute()["execution_status"] == "completed"
        assert (await template.execute_async())["execution_status"] == "failed"

    scenes.play_under_caller(kaizen_telemetry, scene)

    told = {(span.status, span["error.type"]) for span in kaizen_telemetry.spans_named("invoke_workflow")}
    assert told == {("ERROR", "kaizen.config.providers.ConfigurationError")}
    assert kaizen_telemetry.calls == []
