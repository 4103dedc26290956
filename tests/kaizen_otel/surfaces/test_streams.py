"""Streams that are read to their end: the same chunks, when the first one came, and what the provider said of usage."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

import pytest

from kaizen_otel.demo.model_server import Reply, ReplyUsage, Rule
from kaizen_otel.testing import capture

if TYPE_CHECKING:
    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured

USAGE = ReplyUsage(input_tokens=100, output_tokens=50, cache_read_tokens=30, reasoning_tokens=7)
THREE_WORDS = Rule(replies=Reply(text="one two three", usage=USAGE))
PROVIDERS = ("openai", "anthropic", "ollama", "google")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_chunks_are_those_of_an_unwatched_stream(provider: str, kaizen_offline: ModelServer) -> None:
    from tests.kaizen_otel.surfaces import scenes

    kaizen_offline.script([THREE_WORDS])
    unwatched = asyncio.run(scenes.read_stream(provider))
    kaizen_offline.reset()
    kaizen_offline.script([THREE_WORDS])
    with capture() as captured:
        watched = asyncio.run(scenes.read_stream(provider))

    assert watched == unwatched
    assert (len(watched) > 0) == (provider != "google")  # Kaizen 2.46 loses every chunk of Google's stream
    assert len(captured.spans_named("chat")) == 1


def test_a_stream_looks_like_kaizens_own(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    from kaizen.llm.client import LlmClient

    from tests.kaizen_otel.surfaces import scenes

    stream = scenes.stream_of(scenes.llm_client())

    assert inspect.isasyncgen(stream)
    assert inspect.isasyncgenfunction(LlmClient.stream)
    assert list(inspect.signature(LlmClient.stream).parameters)[:3] == ["self", "messages", "model"]
    assert LlmClient.stream.__qualname__ == "LlmClient.stream"
    # Nothing was asked of it: no request, no span.
    asyncio.run(stream.aclose())
    assert kaizen_offline.requests == []
    assert kaizen_telemetry.spans == []


@pytest.mark.parametrize("provider", ["openai", "anthropic", "ollama"])
def test_the_time_of_the_first_chunk_is_told(
    provider: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import scenes

    kaizen_offline.script([THREE_WORDS])

    async def read() -> None:
        async for _ in scenes.stream_of(scenes.llm_client(provider)):
            kaizen_telemetry.clock.advance(10)

    asyncio.run(read())

    chat = kaizen_telemetry.span("chat")
    # One reading of the stepping clock (1 ms) after the start: later chunks and the reader's own time are not in it.
    assert chat["gen_ai.response.time_to_first_chunk"] == pytest.approx(0.001)
    assert chat.duration_ms > 10_000
    assert chat["gen_ai.request.stream"] is True


def test_anthropics_usage_comes_from_the_raw_events_that_kaizen_drops(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import scenes

    usage = ReplyUsage(input_tokens=100, output_tokens=50, cache_read_tokens=30, cache_write_tokens=20)
    kaizen_offline.script([Rule(replies=Reply(text="one two", usage=usage))])
    asyncio.run(scenes.read_stream("anthropic"))

    chat = kaizen_telemetry.span("chat")
    assert chat["gen_ai.usage.input_tokens"] == 100  # 50 fresh + 30 read + 20 written
    assert chat["gen_ai.usage.cache_read.input_tokens"] == 30
    assert chat["gen_ai.usage.cache_creation.input_tokens"] == 20
    assert chat["gen_ai.usage.output_tokens"] == 50
    assert chat["gen_ai.response.finish_reasons"] == ("end_turn",)
    assert chat["gen_ai.response.id"] == "msg_1"
    assert "kaizen.usage.missing.reason" not in chat.attributes


def test_ollamas_usage_comes_with_the_last_line(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    from tests.kaizen_otel.surfaces import scenes

    kaizen_offline.script([THREE_WORDS])
    asyncio.run(scenes.read_stream("ollama"))

    chat = kaizen_telemetry.span("chat")
    assert (chat["gen_ai.usage.input_tokens"], chat["gen_ai.usage.output_tokens"]) == (100, 50)
    assert chat["gen_ai.response.finish_reasons"] == ("stop",)


def test_usage_that_was_not_sent_is_missing_and_never_guessed(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from kaizen.strategies.async_single_shot import AsyncSingleShotStrategy

    from tests.kaizen_otel.surfaces import scenes

    class Streaming(AsyncSingleShotStrategy):
        async def execute(self, agent: Any, inputs: dict[str, Any]) -> Any:
            del agent, inputs
            chunks = await scenes.read_stream("openai")
            return {"answer": "".join(chunk["text"] for chunk in chunks)}

    kaizen_offline.script([THREE_WORDS])
    result = scenes.base_agent(strategy=Streaming()).run(question="x")

    assert result["answer"] == "one two three"
    chat = kaizen_telemetry.span("chat")
    assert "gen_ai.usage.input_tokens" not in chat.attributes
    assert "gen_ai.usage.output_tokens" not in chat.attributes
    assert "kaizen.usage.cost.amount" not in chat.attributes
    assert chat["kaizen.usage.missing.reason"] == "usage"
    agent = kaizen_telemetry.span("invoke_agent")
    assert agent["kaizen.execution.cost.complete"] is False
    assert agent["kaizen.execution.own.input_tokens"] == 0
    (execution,) = kaizen_telemetry.executions
    assert (execution.success, execution.cost_complete) == (True, False)
    (missing,) = kaizen_telemetry.metrics()["kaizen.usage.missing"]
    assert (missing.value, dict(missing.attributes)) == (1, {"model": "gpt-4o", "reason": "usage"})
    assert "stream_options" not in kaizen_offline.requests[0].body


@pytest.mark.kaizen_otel(stream_usage=True)
def test_an_openai_stream_is_asked_for_its_usage_when_settings_say_so(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import scenes

    kaizen_offline.script([THREE_WORDS])
    chunks = asyncio.run(scenes.read_stream("openai"))

    assert kaizen_offline.requests[0].body["stream_options"] == {"include_usage": True}
    assert "".join(chunk["text"] for chunk in chunks) == "one two three"
    chat = kaizen_telemetry.span("chat")
    assert chat["gen_ai.usage.input_tokens"] == 100
    assert chat["gen_ai.usage.output_tokens"] == 50
    assert chat["gen_ai.usage.cache_read.input_tokens"] == 30
    assert chat["gen_ai.usage.reasoning.output_tokens"] == 7
    assert "kaizen.usage.missing.reason" not in chat.attributes


@pytest.mark.kaizen_otel(stream_usage=True)
@pytest.mark.parametrize("provider", ["anthropic", "ollama", "google"])
def test_other_providers_get_the_request_that_kaizen_makes(
    provider: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import scenes

    asyncio.run(scenes.read_stream(provider))
    asyncio.run(scenes.llm_client("openai").complete(scenes.MESSAGES))

    assert [request.provider for request in kaizen_offline.requests] == [provider, "openai"]
    assert all("stream_options" not in request.body for request in kaizen_offline.requests)
    assert len(kaizen_telemetry.spans) == 2


def test_a_deployment_that_does_not_stream_is_one_call(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    from kaizen.llm.client import LlmClient
    from kaizen.llm.deployment import StreamingConfig
    from kaizen.llm.deployment_resolver import resolve_deployment_for

    from tests.kaizen_otel.surfaces import scenes

    deployment = resolve_deployment_for("openai", scenes.MODEL)
    buffered = deployment.model_copy(update={"streaming": StreamingConfig(enabled=False)})

    async def read() -> list[Any]:
        return [chunk async for chunk in scenes.stream_of(LlmClient.from_deployment_sync(buffered))]

    kaizen_offline.script([THREE_WORDS])
    (whole,) = asyncio.run(read())

    assert whole["text"] == "one two three"
    assert len(kaizen_offline.requests) == 1
    chat = kaizen_telemetry.span("chat")
    assert (chat["gen_ai.usage.input_tokens"], chat["gen_ai.usage.output_tokens"]) == (100, 50)
    assert len(kaizen_telemetry.calls) == 1


def test_the_readers_own_spans_are_not_below_the_stream(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import scenes

    tracer = kaizen_telemetry.tracer_provider.get_tracer("app")
    kaizen_offline.script([THREE_WORDS])

    async def read() -> None:
        with tracer.start_as_current_span("caller"):
            async for chunk in scenes.stream_of(scenes.llm_client()):
                if chunk["text"] == "two ":
                    tracer.start_span("reader's work").end()

    asyncio.run(read())

    assert kaizen_telemetry.tree() == "caller\n  chat gpt-4o\n  reader's work"


def test_two_streams_read_in_turns_keep_apart(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    from tests.kaizen_otel.surfaces import scenes

    kaizen_offline.script([Reply(text="one two", usage=USAGE), Reply(text="three four five", usage=USAGE)])

    async def read() -> list[list[str]]:
        first, second = (scenes.stream_of(scenes.llm_client(provider)) for provider in ("ollama", "openai"))
        texts: list[list[str]] = [[], []]
        for _ in range(3):
            texts[0].append((await anext(first))["text"])
            texts[1].append((await anext(second))["text"])
        await second.aclose()
        texts[0] += [chunk["text"] async for chunk in first]
        return texts

    assert asyncio.run(read()) == [["one ", "two", ""], ["", "three ", "four "]]
    assert [span.name for span in kaizen_telemetry.spans] == ["chat gpt-4o", "chat llama3.2"]
    assert kaizen_telemetry.span("chat llama3.2")["gen_ai.usage.input_tokens"] == 100


def _thrown() -> list[BaseException]:
    import httpx

    return [ValueError("the reader's"), httpx.ReadTimeout("slow"), StopAsyncIteration(), KeyboardInterrupt()]


@pytest.mark.parametrize("index", range(4))
def test_what_a_reader_throws_in_comes_out_as_without_us(index: int, kaizen_offline: ModelServer) -> None:
    from tests.kaizen_otel.surfaces import scenes

    async def throw(error: BaseException) -> BaseException:
        stream = scenes.stream_of(scenes.llm_client())
        await anext(stream)
        try:
            await stream.athrow(error)
        except BaseException as raised:  # noqa: BLE001 - whatever it is
            return raised
        raise AssertionError("swallowed")

    kaizen_offline.script([THREE_WORDS])
    given = _thrown()[index]
    unwatched = asyncio.run(throw(given))
    again = _thrown()[index]
    with capture() as captured:
        watched = asyncio.run(throw(again))

    assert type(watched) is type(unwatched)
    assert (watched is again) == (unwatched is given)
    assert type(watched.__cause__) is type(unwatched.__cause__)
    chat = captured.span("chat")
    assert len(captured.calls) == 1
    assert chat.status == ("UNSET" if index == 3 else "ERROR")
