"""When a group of agents is an error itself: it says so, and somebody in it was seen to fail."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, repeat
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from kaizen_otel.demo.model_server import Reply, Rule
from kaizen_otel.patches import group_answers
from tests.hostile.values import ODD_VALUES
from tests.kaizen_otel.surfaces import test_patterns as patterns
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
]

REPORT = {"success": False, "error": "3 lines rejected", "type": "Rejected"}
"""An application's own report, in the form of Kaizen's errors."""


class Clerk:
    """An agent of the application's own, which asks no model; it says its last answer over and over."""

    agent_id = "clerk"

    def __init__(self, *answers: dict[str, Any]) -> None:
        self.answers = chain(answers, repeat(answers[-1]))

    def run(self, **_: Any) -> dict[str, Any]:
        return next(self.answers)

    async def run_async(self, **_: Any) -> dict[str, Any]:
        return next(self.answers)


def pipelines(*members: Any) -> dict[str, Any]:
    from kaizen_agents.patterns.pipeline import Pipeline

    *_, last = members
    return {
        "SequentialPipeline": Pipeline.sequential(list(members)),
        "ParallelPipeline": Pipeline.parallel(list(members)),
        "EnsemblePipeline": Pipeline.ensemble(list(members), last, discovery_mode="all"),
        "MetaControllerPipeline": Pipeline.router([last], routing_strategy="round-robin"),
    }


READERS = (
    group_answers.itself_failed,
    group_answers.last_failed,
    group_answers.all_failed,
    group_answers.nothing_on_blackboard,
    group_answers.all_orchestrated_failed,
)
PIPELINES = ("SequentialPipeline", "ParallelPipeline", "EnsemblePipeline", "MetaControllerPipeline")


@pytest.mark.parametrize("kind", PIPELINES)
def test_an_applications_own_report_is_no_error(kind: str, kaizen_telemetry: Captured) -> None:
    pipelines(Clerk(dict(REPORT)), Clerk(dict(REPORT)))[kind].run(question="x")

    assert kaizen_telemetry.span(f"invoke_workflow {kind}").status == "UNSET"


@pytest.mark.parametrize("kind", PIPELINES)
def test_a_group_that_goes_on_without_a_member_is_no_error(
    kind: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    kaizen_offline.script([Rule(replies=Reply(status=401))])
    (refused,) = patterns.agents("refused")

    pipelines(refused, Clerk({"answer": "fine"}))[kind].run(question="x")

    failed = [one.agent_name for one in kaizen_telemetry.executions if one.status == "error"]
    assert failed == ([] if kind == "MetaControllerPipeline" else ["refused"])
    assert kaizen_telemetry.span(f"invoke_workflow {kind}").status == "UNSET"


@pytest.mark.parametrize("kind", PIPELINES)
def test_what_a_pipeline_catches_of_all_its_members_is_its_error(kind: str, kaizen_telemetry: Captured) -> None:
    from tests.kaizen_otel.surfaces import scenes

    # A missing provider is the one error that Kaizen's agents raise.
    members = [scenes.base_agent(agent_id=name, llm_provider=None) for name in ("a", "b")]
    pipeline = pipelines(*members)[kind]
    if kind == "SequentialPipeline":  # it catches nothing
        with pytest.raises(Exception, match="'provider' is unresolved"):
            pipeline.run(question="x")
    else:
        pipeline.run(question="x")

    group = kaizen_telemetry.span(f"invoke_workflow {kind}")
    assert (group.status, group["error.type"]) == ("ERROR", "kaizen.config.providers.ConfigurationError")


@pytest.mark.parametrize("kind", PIPELINES)
def test_a_pipeline_that_hands_on_what_a_pipeline_in_it_failed_with_is_an_error(
    kind: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    kaizen_offline.script([Rule(replies=Reply(status=401))])
    inner = pipelines(*patterns.agents("a", "b"))["ParallelPipeline"]

    pipelines(inner.to_agent(name="inner"))[kind].run(question="x")

    groups = [span for span in kaizen_telemetry.spans if span.name.startswith("invoke_workflow ")]
    assert len(groups) == (3 if kind == "EnsemblePipeline" else 2)  # its one member is also the one that sums up
    assert {patterns.told(group) for group in groups} == {("ERROR", "kaizen.llm.errors.ProviderError", 401)}


def test_a_pipeline_that_goes_on_after_a_failed_one_in_it_is_no_error(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from kaizen_agents.patterns.pipeline import Pipeline

    kaizen_offline.script([Rule(replies=Reply(status=401))])
    inner = Pipeline.router(patterns.agents("a"), routing_strategy="round-robin").to_agent(name="inner")
    Pipeline.sequential([inner, Clerk({"answer": "fine"})]).run(question="x")

    assert kaizen_telemetry.span("invoke_workflow MetaControllerPipeline").status == "ERROR"
    assert kaizen_telemetry.span("invoke_workflow SequentialPipeline").status == "UNSET"


class Slow(Clerk):
    """A clerk that answers when nobody waits for it any longer."""

    def __init__(self, given_up: threading.Event) -> None:
        super().__init__({"answer": "late"})
        self.given_up = given_up

    def run(self, **_: Any) -> dict[str, Any]:
        assert self.given_up.wait(60)
        return next(self.answers)


@pytest.fixture
def given_up(kaizen_telemetry: Captured, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set when a pool is left, which then waits for its threads; an SDK that is made leaves one, too (1.43)."""
    del kaizen_telemetry
    event, leave = threading.Event(), ThreadPoolExecutor.__exit__

    def leaving(pool: ThreadPoolExecutor, *error: Any) -> bool | None:
        event.set()
        return leave(pool, *error)

    monkeypatch.setattr(ThreadPoolExecutor, "__exit__", leaving)
    return event


@pytest.mark.parametrize(("others", "told"), [([], ("ERROR", "TimeoutError")), ([Clerk({})], ("UNSET", None))])
def test_a_pipeline_all_of_whose_members_time_out_is_an_error(
    others: list[Clerk], told: tuple[str, str | None], given_up: threading.Event, kaizen_telemetry: Captured
) -> None:
    from kaizen_agents.patterns.pipeline import Pipeline

    pipeline = Pipeline.parallel([*others, Slow(given_up), Slow(given_up)], timeout=0.01)

    async def scene() -> None:
        pipeline.run(question="x")  # only where a loop runs does it heed its timeout (0.13)

    asyncio.run(scene())

    group = kaizen_telemetry.span("invoke_workflow ParallelPipeline")
    assert (group.status, group.attributes.get("error.type")) == told


def test_an_applications_own_report_of_a_timeout_is_no_error(kaizen_telemetry: Captured) -> None:
    pipelines(Clerk({"error": "Execution timeout", "status": "timeout"}))["ParallelPipeline"].run(question="x")

    assert kaizen_telemetry.span("invoke_workflow ParallelPipeline").status == "UNSET"


GO_ON = {"is_complete": False}


def blackboard(controller: Clerk | None, specialist: Clerk | None) -> Any:
    from kaizen_agents.patterns.pipeline import Pipeline

    (refused,) = patterns.agents("refused")
    pipeline = Pipeline.blackboard(
        [specialist or refused], controller or refused, selection_mode="sequential", max_iterations=2
    )
    return pipeline.run(question="x")


@pytest.mark.parametrize(
    ("run", "status"),
    [
        (lambda: blackboard(Clerk(GO_ON, GO_ON), None), "ERROR"),
        (lambda: blackboard(None, Clerk({})), "ERROR"),
        (lambda: blackboard(Clerk(GO_ON, {"is_complete": True}), None), "UNSET"),
        (lambda: blackboard(Clerk(GO_ON), Clerk({"answer": "fine"})), "UNSET"),
    ],
    ids=["no insight", "no controller", "the controller's word", "an insight, and a controller that gives up"],
)
def test_a_blackboard_is_an_error_where_nobody_has_contributed(
    run: Callable[[], Any], status: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    kaizen_offline.script([Rule(replies=Reply(status=401))])

    run()

    assert kaizen_telemetry.span("invoke_workflow BlackboardPipeline").status == status


@pytest.mark.parametrize("says_failed", READERS)
def test_no_odd_answer_keeps_a_reader_from_its_verdict(says_failed: Callable[..., bool]) -> None:
    names = ("error", "final_output", "results", "insights", "controller_error")
    for make in ODD_VALUES.values():
        odd = make()
        answers = (odd, dict.fromkeys(names, odd), {name: [odd] for name in names}, SimpleNamespace(agent_results=odd))
        assert {type(says_failed(answer, group_answers.is_failure)) for answer in answers} == {
            bool
        }  # some are in the form of Kaizen's errors


def test_an_aggregators_word_is_the_applications(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    from kaizen_agents.patterns.pipeline import Pipeline

    kaizen_offline.script([Rule(replies=Reply(status=401))])
    Pipeline.parallel(patterns.agents("a", "b"), aggregator=lambda answers: {"asked": len(answers)}).run(question="x")

    assert kaizen_telemetry.span("invoke_workflow ParallelPipeline").status == "UNSET"


def test_an_orchestration_one_of_whose_agents_answered_is_no_error(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from kaizen.orchestration.runtime import OrchestrationRuntime, OrchestrationStrategy

    from tests.kaizen_otel.surfaces import scenes

    kaizen_offline.script([Rule(replies=Reply(status=401))])
    runtime = OrchestrationRuntime(OrchestrationStrategy.sequential())
    runtime.add_agent("refused", scenes.base_agent(agent_id="refused", use_async_llm=True))
    runtime.add_agent("clerk", Clerk({"answer": "fine"}))
    asyncio.run(runtime.run("x"))

    assert kaizen_telemetry.span("invoke_workflow OrchestrationRuntime").status == "UNSET"


@pytest.mark.covers("kaizen_agents.supervisor:GovernedSupervisor.run_plan", "error")
def test_a_plan_that_fails_names_what_its_node_failed_with(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from kaizen_agents.llm import LLMClient
    from kaizen_agents.supervisor import GovernedSupervisor

    kaizen_offline.script(lambda _: Reply.unauthorized())
    supervisor = GovernedSupervisor("gpt-4o")

    async def execute(*_: Any) -> Any:
        return LLMClient(model="gpt-4o").complete([{"role": "user", "content": "x"}])

    plan = supervisor._build_trivial_plan("why?", {})
    result = asyncio.run(supervisor.run_plan(plan, execute_node=execute))

    assert not result.success
    group = kaizen_telemetry.span("invoke_workflow GovernedSupervisor")
    assert patterns.told(group) == ("ERROR", "openai.AuthenticationError", 401)
