"""What `docs/coverage.md` says of Kaizen's model calls and agents: each method goes well, and is refused."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from kaizen_otel.demo.model_server import Reply, ReplyUsage
from tests.versions.capabilities import needs

if TYPE_CHECKING:
    from collections.abc import Callable

    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured

USAGE = ReplyUsage(input_tokens=100, output_tokens=20)


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
    "kaizen.core.base_agent:BaseAgent.run": run,
    "kaizen.core.base_agent:BaseAgent.run_async": run_async,
}
PARTS: dict[str, Callable[[], Any]] = {
    "kaizen.llm.client:LlmClient._build_completion_payload_and_url": complete,
    "kaizen.llm.wire_protocols.openai_chat:parse_response": complete,
}


def play(captured: Captured, scene: Callable[[], Any]) -> None:
    from tests.kaizen_otel.surfaces import scenes

    scenes.play_under_caller(captured, scene)


def goes_well(scene: Callable[[], Any], server: ModelServer, captured: Captured) -> None:
    server.script(lambda _: Reply.json({"answer": "Paris."}, usage=USAGE))
    play(captured, scene)
    assert captured.calls
    assert all(call.usage.input_tokens for call in captured.calls)


def is_refused(scene: Callable[[], Any], server: ModelServer, captured: Captured) -> None:
    server.script(lambda _: Reply.unauthorized())
    with suppress(Exception):  # some raise it, some return it: what is told of it is the same
        play(captured, scene)


@pytest.mark.covers_each("method", "traced", "tokens", "cost", "context")
@pytest.mark.parametrize("method", METHODS)
def test_a_method_that_goes_well(method: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    goes_well(METHODS[method], kaizen_offline, kaizen_telemetry)


@pytest.mark.covers_each("method", "error")
@pytest.mark.parametrize("method", METHODS)
def test_a_method_whose_provider_refuses(method: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    is_refused(METHODS[method], kaizen_offline, kaizen_telemetry)


@needs("agent_reasoning_model")
@needs("agent_message")
@pytest.mark.covers_each("method", "traced", "tokens", "cost", "context")
@pytest.mark.parametrize("method", NEWER)
def test_a_newer_method_that_goes_well(method: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    goes_well(NEWER[method], kaizen_offline, kaizen_telemetry)


@needs("agent_reasoning_model")
@needs("agent_message")
@pytest.mark.covers_each("method", "error")
@pytest.mark.parametrize("method", NEWER)
def test_a_newer_method_whose_provider_refuses(
    method: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    is_refused(NEWER[method], kaizen_offline, kaizen_telemetry)


@pytest.mark.covers_each("method", "tokens", "cost", "context")
@pytest.mark.parametrize("method", BELOW)
def test_a_method_that_hands_on_and_goes_well(
    method: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    goes_well(BELOW[method], kaizen_offline, kaizen_telemetry)


@pytest.mark.covers_each("method", "error")
@pytest.mark.parametrize("method", BELOW)
def test_a_method_that_hands_on_and_whose_provider_refuses(
    method: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    is_refused(BELOW[method], kaizen_offline, kaizen_telemetry)


@pytest.mark.covers_each("method", "tokens", "cost")
@pytest.mark.parametrize("method", PARTS)
def test_a_part_of_a_model_call(method: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    goes_well(PARTS[method], kaizen_offline, kaizen_telemetry)
