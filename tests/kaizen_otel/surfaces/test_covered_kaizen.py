"""What `docs/coverage.md` says of Kaizen's model calls, agents and strategies: each goes well, and is refused."""

from __future__ import annotations

import importlib
import itertools
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from tests.kaizen_otel.surfaces.covered import JUDGED, goes_well, well_and_refused
from tests.versions.capabilities import needs

if TYPE_CHECKING:
    from collections.abc import Callable

    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured


pytestmark = [
    pytest.mark.usefixtures("no_own_mcp_servers"),
    pytest.mark.filterwarnings("ignore:kaizen.agent.Agent is deprecated:DeprecationWarning"),
]

ASKED = itertools.count()
QUIET: dict[str, Any] = {"enable_tracing": False, "enable_audit": False, "enable_checkpointing": False}
"""Of the deprecated agent: else it waits for a collector, and writes where it runs."""


async def complete() -> None:
    from tests.kaizen_otel.surfaces import scenes

    await scenes.llm_client().complete(scenes.MESSAGES)


async def embed() -> None:
    from tests.kaizen_otel.surfaces import scenes

    await scenes.llm_client().embed(["one"], model="text-embedding-3-small")


async def stream() -> None:
    from tests.kaizen_otel.surfaces import scenes

    await scenes.read_stream("anthropic")  # OpenAI's tells its usage where `stream_usage` asks for it


def execute() -> None:
    from tests.kaizen_otel.surfaces import scenes

    scenes.kaizen_agent().execute(question="x")


def execute_workflow() -> None:
    from tests.kaizen_otel.surfaces import scenes

    scenes.kaizen_agent().execute_workflow({"messages": scenes.MESSAGES})


def execute_multi_round() -> None:
    from tests.kaizen_otel.surfaces import scenes

    scenes.kaizen_agent(signature="question -> answer").execute_multi_round([{"question": "x"}], rounds=1)


def execute_cot() -> None:
    from tests.kaizen_otel.surfaces import scenes

    scenes.kaizen_agent(signature="question -> answer").execute_cot(question="x")


def execute_react() -> None:
    from tests.kaizen_otel.surfaces import scenes

    scenes.kaizen_agent(signature="question -> answer").execute_react(question="x")


def communicate_with() -> None:
    from tests.kaizen_otel.surfaces import scenes

    scenes.kaizen_agent("sender").communicate_with(scenes.kaizen_agent("receiver"), "hello")


def run() -> None:
    from tests.kaizen_otel.surfaces import scenes

    scenes.base_agent().run(question="x")


async def run_async() -> None:
    from tests.kaizen_otel.surfaces import scenes

    await scenes.base_agent(use_async_llm=True).run_async(question="x")


def deprecated() -> None:
    from kaizen.agent import Agent

    Agent(model="gpt-4o", llm_provider="openai", **QUIET).ask("x")


def deprecated_vision() -> None:
    from kaizen.agent import Agent

    Agent(model="gpt-4o", llm_provider="openai", agent_type="vision", **QUIET).analyze("photo.jpg", "what?")


def by(module: str, name: str, *args: Any) -> Callable[[], Any]:
    """An agent that runs by this strategy."""

    def scene() -> None:
        from tests.kaizen_otel.surfaces import scenes

        strategy = getattr(importlib.import_module(f"kaizen.strategies.{module}"), name)(*args)
        scenes.base_agent(strategy=strategy).run(question="x")

    return scene


def fallback() -> None:
    from kaizen.strategies.async_single_shot import AsyncSingleShotStrategy
    from kaizen.strategies.fallback import FallbackStrategy

    from tests.kaizen_otel.surfaces import scenes

    scenes.base_agent(strategy=FallbackStrategy([AsyncSingleShotStrategy()])).run(question="x")


def alike() -> None:
    from kaizen.llm.reasoning import ReasoningDegradedError, llm_capability_match, llm_text_similarity

    asked = str(next(ASKED))  # Kaizen keeps what it was told
    with suppress(ReasoningDegradedError):  # what it makes of a refusal
        llm_text_similarity("a", asked)
    with suppress(ReasoningDegradedError):
        llm_capability_match("arithmetic", "adds", asked)


METHODS: dict[str, Callable[[], Any]] = {
    "kaizen.llm.client:LlmClient.complete": complete,
    "kaizen.llm.client:LlmClient.embed": embed,
    "kaizen.llm.client:LlmClient.stream": stream,
    "kaizen.core.agents:Agent.execute": execute,
    "kaizen.core.agents:Agent.execute_workflow": execute_workflow,
    "kaizen.core.agents:Agent.execute_multi_round": execute_multi_round,
    "kaizen.core.agent_loop:AgentLoop.run_sync": run,
    "kaizen.core.agent_loop:AgentLoop.run_async": run_async,
}
NEWER: dict[str, Callable[[], Any]] = {
    "kaizen.core.agents:Agent.execute_cot": execute_cot,
    "kaizen.core.agents:Agent.execute_react": execute_react,
    "kaizen.core.agents:Agent.communicate_with": communicate_with,
}
BELOW: dict[str, Callable[[], Any]] = {
    "kaizen.core.base_agent:BaseAgent.run kaizen.strategies.multi_cycle:MultiCycleStrategy.execute": by(
        "multi_cycle", "MultiCycleStrategy"
    ),
    "kaizen.core.base_agent:BaseAgent.run_async": run_async,
    "kaizen.strategies.async_single_shot:AsyncSingleShotStrategy.execute "
    "kaizen.strategies.fallback:FallbackStrategy.execute": fallback,
    "kaizen.strategies.single_shot:SingleShotStrategy.execute": by("single_shot", "SingleShotStrategy"),
}
NEWER_BELOW: dict[str, Callable[[], Any]] = {
    "kaizen.agent:Agent.run kaizen.agent:Agent.ask": deprecated,
    "kaizen.agent:Agent.analyze": deprecated_vision,
    "kaizen.llm.reasoning:llm_text_similarity kaizen.llm.reasoning:llm_capability_match": alike,
}
PARTS: dict[str, Callable[[], Any]] = {
    "kaizen.llm.client:LlmClient._build_completion_payload_and_url "
    "kaizen.llm.wire_protocols.openai_chat:parse_response "
    "kaizen.llm.http_client:LlmHttpClient.post": complete,
}


@pytest.mark.covers_each("method", "traced", "tokens", "cost", "error", "context")
@pytest.mark.parametrize("method", METHODS)
def test_a_method(method: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    well_and_refused(METHODS[method], kaizen_offline, kaizen_telemetry)


@needs("agent_reasoning_model")
@needs("agent_message")
@pytest.mark.covers_each("method", "traced", "tokens", "cost", "error", "context")
@pytest.mark.parametrize("method", NEWER)
def test_a_newer_method(method: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    well_and_refused(NEWER[method], kaizen_offline, kaizen_telemetry)


@pytest.mark.covers_each("methods", "tokens", "cost", "error", "context")
@pytest.mark.parametrize("methods", BELOW)
def test_methods_that_hand_on(methods: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    well_and_refused(BELOW[methods], kaizen_offline, kaizen_telemetry)


@needs("agent_reasoning_model")
@needs("agent_message")
@pytest.mark.covers_each("methods", "tokens", "cost", "error", "context")
@pytest.mark.parametrize("methods", NEWER_BELOW)
def test_newer_methods_that_hand_on(
    methods: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEFAULT_LLM_MODEL", "gpt-4o")  # what Kaizen's own comparisons ask
    well_and_refused(NEWER_BELOW[methods], kaizen_offline, kaizen_telemetry, **JUDGED)


@pytest.mark.covers_each("methods", "tokens", "cost", "context")
@pytest.mark.parametrize("methods", PARTS)
def test_parts_of_a_model_call(methods: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    goes_well(PARTS[methods], kaizen_offline, kaizen_telemetry)
