"""kaizen_agents' adapters: each `stream_chat` is one chat span, with what the provider said and the adapter dropped."""

from __future__ import annotations

import asyncio
import inspect
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest

from kaizen_otel.demo.model_server import Reply, ReplyUsage
from tests.versions.capabilities import needs

if TYPE_CHECKING:
    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured

# As in test_delegate.
pytestmark = [
    needs("delegate"),
    pytest.mark.usefixtures("forgotten_clients"),
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning"),
]

DEADLINE_S = 10
PROVIDERS = {"openai": "openai", "anthropic": "anthropic", "google": "gcp.gemini", "ollama": "ollama"}
CACHED = ReplyUsage(input_tokens=100, output_tokens=20, cache_read_tokens=30, reasoning_tokens=5)
REASONS = {"openai": "stop", "anthropic": "end_turn", "google": "stop", "ollama": "stop"}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_chat_tells_provider_model_tokens_cost_first_chunk_and_finish(
    provider: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import delegates

    kaizen_offline.script([Reply(text="one two three", usage=CACHED)])
    events = asyncio.run(delegates.read(delegates.chat_of(provider, temperature=0.2, max_tokens=64)))

    assert [event.event_type for event in events][-1] == "done"
    assert events[-1].content == "one two three"
    chat = kaizen_telemetry.span("chat")
    assert (chat.kind, chat.status, chat["gen_ai.request.stream"]) == ("CLIENT", "UNSET", True)
    assert chat["gen_ai.provider.name"] == PROVIDERS[provider]
    assert chat["gen_ai.request.model"] == chat["gen_ai.response.model"] == delegates.MODELS[provider]
    assert chat["server.address"] == "localhost"
    assert (chat["gen_ai.request.temperature"], chat["gen_ai.request.max_tokens"]) == (0.2, 64)
    # The conventions' arithmetic: input includes what was cached, output includes reasoning.
    assert (chat["gen_ai.usage.input_tokens"], chat["gen_ai.usage.output_tokens"]) == (100, 20)
    if provider != "ollama":
        assert chat["gen_ai.usage.cache_read.input_tokens"] == 30
        assert chat["gen_ai.response.id"]
        assert chat["kaizen.usage.cost.amount"] > 0
    if provider in {"openai", "google"}:
        assert chat["gen_ai.usage.reasoning.output_tokens"] == 5
    assert chat["gen_ai.response.finish_reasons"] == (REASONS[provider],)
    assert chat["gen_ai.response.time_to_first_chunk"] > 0
    assert len(kaizen_telemetry.calls) == len(kaizen_offline.requests) == 1


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_stream_that_its_reader_closes_says_closed(
    provider: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import delegates

    kaizen_offline.script([Reply(text="one two three four")])

    async def read_one() -> None:
        async with aclosing(delegates.chat_of(provider)) as stream:
            assert (await anext(stream)).event_type == "text_delta"

    asyncio.run(read_one())

    chat = kaizen_telemetry.span("chat")
    assert (chat["kaizen.call.outcome"], chat.status) == ("closed", "UNSET")
    assert "gen_ai.usage.output_tokens" not in chat.attributes
    assert len(kaizen_telemetry.calls) == 1


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_reader_cancelled_while_it_waits_cancels_the_chat(
    provider: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import delegates

    kaizen_offline.script([Reply(text="one two", delay_s=DEADLINE_S)])

    async def read() -> None:
        task = asyncio.create_task(delegates.read(delegates.chat_of(provider)))
        async with asyncio.timeout(DEADLINE_S):
            while not kaizen_offline.requests:  # noqa: ASYNC110 - the server's thread has no event of the loop's
                await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(read())

    chat = kaizen_telemetry.span("chat")
    assert (chat["kaizen.call.outcome"], chat.status) == ("cancelled", "UNSET")
    assert len(kaizen_telemetry.calls) == 1


@pytest.mark.parametrize("provider", ["openai", "anthropic", "ollama"])
def test_a_connection_that_drops_is_an_error_of_the_chat(
    provider: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import delegates

    kaizen_offline.script([Reply.dropped(after_chunks=3, text="one two three four five")])
    with pytest.raises(Exception, match=r"peer closed|[Cc]onnection"):
        asyncio.run(delegates.read(delegates.chat_of(provider)))

    chat = kaizen_telemetry.span("chat")
    assert (chat.status, kaizen_telemetry.calls[0].error_type) == ("ERROR", chat["error.type"])
    assert len(kaizen_telemetry.calls) == 1


def test_parameters_are_those_that_the_adapter_really_sends(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import delegates

    kaizen_offline.script(lambda _: Reply(text="one"))
    asyncio.run(delegates.read(delegates.chat_of("openai", model="gpt-5-mini", temperature=0.2, max_tokens=64)))

    chat = kaizen_telemetry.span("chat gpt-5-mini")
    assert chat["gen_ai.request.max_tokens"] == kaizen_offline.requests[0].body["max_completion_tokens"] == 64
    assert "gen_ai.request.temperature" not in chat.attributes


def test_a_wrong_argument_is_refused_as_without_us(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    del kaizen_offline
    from tests.kaizen_otel.surfaces import delegates

    adapter = delegates.adapter("openai")
    with pytest.raises(TypeError, match="stream_chat"):
        adapter.stream_chat()
    stream = adapter.stream_chat([], None)
    assert inspect.isasyncgen(stream)
    assert inspect.isasyncgenfunction(adapter.stream_chat)
    assert kaizen_telemetry.spans == []


@pytest.mark.kaizen_otel(content="span")
def test_content_is_recorded_where_that_is_asked_for(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    from tests.kaizen_otel.surfaces import delegates

    kaizen_offline.script([Reply(text="one two three")])
    asyncio.run(delegates.read(delegates.chat_of("anthropic")))

    chat: Any = kaizen_telemetry.span("chat")
    assert "hello" in chat["gen_ai.input.messages"]
    assert "one two three" in chat["gen_ai.output.messages"]
