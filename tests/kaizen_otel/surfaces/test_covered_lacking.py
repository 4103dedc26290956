"""What `docs/coverage.md` says of methods that lack something as installed: they run with what an application adds.

What is added is the application's (a store's own vectors, a runtime, a display, a memory); what runs is Kaizen's.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import nullcontext
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from kaizen_otel.demo.model_server import Reply
from kaizen_otel.testing import capture
from tests.kaizen_otel.surfaces import test_covered_planning as planning
from tests.kaizen_otel.surfaces import test_own_runs as own
from tests.kaizen_otel.surfaces import test_stores as stores
from tests.kaizen_otel.surfaces.covered import goes_well, well_and_refused
from tests.kaizen_otel.surfaces.test_own_runs import image, ollama
from tests.versions.capabilities import needs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured

__all__ = ["image", "ollama"]

# As in test_covered_agents.
pytestmark = [
    needs("delegate"),
    pytest.mark.usefixtures("forgotten_clients", "no_own_mcp_servers"),
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:Agent is deprecated since kaizen-agents 0.5.0:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.* is deprecated since v0.9.0:DeprecationWarning"),  # their own agents, in 0.13
]


# -- an agent that looks documents up -----------------------------------------------------------------------------


def looked_up() -> None:
    from kaizen_agents.agents.specialized.rag_research import research

    # Its own store would download a model that makes the vectors.
    research("x", vector_store=stores.vector_store(), llm_provider="openai", model="gpt-4o", mcp_servers=[])


@pytest.mark.covers(
    "kaizen_agents.agents.specialized.rag_research:RAGResearchAgent.run", "tokens", "cost", "error", "context"
)
@pytest.mark.covers("kaizen_agents.agents.specialized.rag_research:research", "tokens", "cost", "error", "context")
def test_an_agent_that_looks_documents_up(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    well_and_refused(looked_up, kaizen_offline, kaizen_telemetry)
    assert len(kaizen_telemetry.spans_named("retrieval")) == 2


# -- the loop that talks to a person ------------------------------------------------------------------------------

DISPLAY = "kaizen_agents.delegate.display"


class Display:
    """Kaizen's `display` is missing; this one has a person who asks once and goes."""

    def __init__(self) -> None:
        self.said = iter(("hello", None))

    def get_user_input(self) -> str | None:
        return next(self.said)

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_args, **_given: None


async def interactive() -> None:
    from tests.kaizen_otel.surfaces import delegates

    await delegates.delegate().loop.run_interactive()


@pytest.mark.kaizen_otel(stream_usage=True)
@pytest.mark.covers("kaizen_agents.delegate.loop:AgentLoop.run_interactive", "tokens", "cost", "error", "context")
def test_turns_with_a_person(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType(DISPLAY)
    module.Display = Display  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, DISPLAY, module)
    well_and_refused(interactive, kaizen_offline, kaizen_telemetry)


def test_without_a_display_it_is_missing_with_us_as_without(kaizen_offline: ModelServer) -> None:
    del kaizen_offline
    for watching in (nullcontext, capture):
        with watching(), pytest.raises(ModuleNotFoundError, match=f"No module named '{DISPLAY}'"):
            asyncio.run(interactive())


# -- the deprecated agent of kaizen_agents.api --------------------------------------------------------------------


class Asking:
    """An application's own runtime, and its own memory: each asks a model."""

    async def execute(self, context: Any) -> str:
        raise AssertionError(context)  # nobody comes so far

    async def stream(self, _context: Any) -> AsyncIterator[str]:
        from tests.kaizen_otel.surfaces import scenes

        yield (await scenes.llm_client().complete(scenes.MESSAGES))["text"]

    async def load_context(self, _session: str) -> list[Any]:
        from tests.kaizen_otel.surfaces import scenes

        await scenes.llm_client().complete(scenes.MESSAGES)
        return []


def api_agent(**given: Any) -> Any:
    from kaizen_agents.api.agent import Agent

    return Agent(model="gpt-4o", runtime=Asking(), memory=Asking(), execution_mode="multi", **given)


async def read_api_agent() -> None:
    from tests.kaizen_otel.surfaces import delegates

    await delegates.read(api_agent().stream("hello"))


@pytest.mark.covers("kaizen_agents.api.agent:Agent.stream", "tokens", "cost", "error", "context")
def test_a_stream_of_an_agents_own_runtime(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    well_and_refused(read_api_agent, kaizen_offline, kaizen_telemetry)


@pytest.mark.covers("kaizen_agents.api.agent:Agent.run", "traced", "tokens", "cost", "error", "context")
@pytest.mark.covers("kaizen_agents.api.agent:Agent.run_sync", "tokens", "cost", "error", "context")
@pytest.mark.covers("kaizen_agents.api.agent:Agent.chat", "tokens", "cost", "error", "context")
def test_an_agent_that_refuses_whatever_its_runtime_is(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    # It makes Kaizen's `ExecutionContext` with an argument that this does not take (0.13 with 2.46).
    results = []

    async def scene() -> None:
        agent = api_agent()
        results.extend([await agent.run("hello"), agent.run_sync("hello"), await agent.chat("hello")])

    goes_well(scene, kaizen_offline, kaizen_telemetry)
    assert [result.error.partition(" got")[0] for result in results] == ["ExecutionContext.__init__()"] * 3
    assert [(one.status, one.error_type) for one in kaizen_telemetry.executions] == [("error", "TypeError")] * 3


# -- what Ollama is shown -------------------------------------------------------------------------------------------


@pytest.mark.covers(
    "kaizen.providers.multi_modal_adapter:OllamaMultiModalAdapter.process_multi_modal", "error", "context"
)
def test_what_ollama_is_shown(ollama: ModelServer, image: str, kaizen_telemetry: Captured) -> None:
    from kaizen.providers.multi_modal_adapter import OllamaMultiModalAdapter

    def show() -> Any:
        return OllamaMultiModalAdapter().process_multi_modal(image=image, prompt="what?")

    assert own.in_caller(kaizen_telemetry, show)["response"]
    ollama.script(lambda _: Reply(status=500))
    with pytest.raises(Exception, match="500"):
        own.in_caller(kaizen_telemetry, show)
    # What it is told, it would ask by a method that its provider does not have (2.46).
    with pytest.raises(AttributeError, match="_call_ollama_text"):
        own.in_caller(kaizen_telemetry, lambda: OllamaMultiModalAdapter().process_multi_modal(text="hello"))
    assert [span.status for span in kaizen_telemetry.spans_named("chat")] == ["UNSET", "ERROR"]


# -- a plan that goes on ------------------------------------------------------------------------------------------


async def resumed() -> None:
    from kaizen.l3.plan.executor import AsyncPlanExecutor
    from kaizen.l3.plan.types import PlanState

    from tests.kaizen_otel.surfaces import scenes

    async def told(_event: Any) -> None:
        await scenes.llm_client().complete(scenes.MESSAGES)

    plan = planning.plan_of_one()
    plan.state = PlanState.SUSPENDED
    await AsyncPlanExecutor(told, event_callback=told).resume(plan)


@pytest.mark.covers("kaizen.l3.plan.executor:AsyncPlanExecutor.resume", "tokens", "cost", "error", "context")
def test_what_is_told_that_a_plan_goes_on(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    well_and_refused(resumed, kaizen_offline, kaizen_telemetry)


def test_a_plan_goes_on_by_its_state_alone(kaizen_telemetry: Captured) -> None:
    from kaizen.l3.plan.executor import PlanExecutor
    from kaizen.l3.plan.types import PlanState

    def nobody(*_: Any) -> Any:
        raise AssertionError

    plan = planning.plan_of_one()
    plan.state = PlanState.SUSPENDED
    PlanExecutor(nobody).resume(plan)

    assert (plan.state, kaizen_telemetry.spans) == (PlanState.EXECUTING, [])
