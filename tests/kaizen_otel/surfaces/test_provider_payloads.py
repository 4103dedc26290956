"""What providers say of a call, as they say it: tokens and their details, ids, models, finish reasons."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from kaizen_otel.demo.model_server import Reply, ReplyUsage, Rule
from kaizen_processors.usage import Usage
from tests.versions.capabilities import needs

if TYPE_CHECKING:
    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured, CapturedSpan


OPENAI = {
    "id": "chatcmpl-abc",
    "model": "gpt-4o-2024-08-06",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {
        "prompt_tokens": 1000,
        "completion_tokens": 300,
        "total_tokens": 1300,
        "prompt_tokens_details": {"cached_tokens": 400, "audio_tokens": 10},
        "completion_tokens_details": {"reasoning_tokens": 200, "audio_tokens": 5},
    },
}
ANTHROPIC = {
    "id": "msg_abc",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5-20250929",
    "content": [{"type": "text", "text": "hi"}],
    "stop_reason": "max_tokens",
    "usage": {
        "input_tokens": 50,
        "cache_read_input_tokens": 30,
        "cache_creation_input_tokens": 20,
        "output_tokens": 7,
    },
}
GOOGLE = {
    "responseId": "resp-abc",
    "modelVersion": "gemini-2.5-flash-001",
    "candidates": [{"content": {"parts": [{"text": "hi"}], "role": "model"}, "finishReason": "MAX_TOKENS"}],
    "usageMetadata": {
        "promptTokenCount": 100,
        "candidatesTokenCount": 40,
        "thoughtsTokenCount": 10,
        "cachedContentTokenCount": 30,
        "totalTokenCount": 150,
    },
}
OLLAMA = {
    "model": "llama3.2",
    "message": {"role": "assistant", "content": "hi"},
    "done": True,
    "done_reason": "length",
    "prompt_eval_count": 26,
    "eval_count": 11,
}


def complete(server: ModelServer, captured: Captured, provider: str, payload: Any, **given: Any) -> CapturedSpan:
    """One chat that is answered with exactly this payload."""
    from tests.kaizen_otel.surfaces import scenes

    server.script([Rule(replies=Reply(body=json.dumps(payload).encode()))])
    asyncio.run(scenes.llm_client(provider).complete(scenes.MESSAGES, **given))
    return captured.span("chat")


def stream(server: ModelServer, captured: Captured, provider: str, events: list[Any]) -> CapturedSpan:
    """One stream of exactly these server-sent events."""
    from tests.kaizen_otel.surfaces import scenes

    body = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
    server.script([Rule(replies=Reply(body=body.encode()))])
    asyncio.run(scenes.read_stream(provider))
    return captured.span("chat")


def response_of(span: CapturedSpan) -> tuple[Any, ...]:
    """Id, model and finish reasons of the answer."""
    keys = ("gen_ai.response.id", "gen_ai.response.model", "gen_ai.response.finish_reasons")
    return tuple(span.attributes.get(key) for key in keys)


@pytest.mark.parametrize(
    ("provider", "payload", "response", "usage"),
    [
        (
            "openai",
            OPENAI,
            ("chatcmpl-abc", "gpt-4o-2024-08-06", ("stop",)),
            Usage(
                1000,
                300,
                cache_read_tokens=400,
                reasoning_tokens=200,
                input_audio_tokens=10,
                output_audio_tokens=5,
            ),
        ),
        (
            "anthropic",
            ANTHROPIC,
            ("msg_abc", "claude-sonnet-4-5-20250929", ("max_tokens",)),
            Usage(100, 7, cache_read_tokens=30, cache_write_tokens=20),
        ),
        (
            "google",
            GOOGLE,
            ("resp-abc", "gemini-2.5-flash-001", ("max_tokens",)),
            Usage(100, 50, cache_read_tokens=30, reasoning_tokens=10),
        ),
        ("ollama", OLLAMA, (None, "llama3.2", ("length",)), Usage(26, 11)),
    ],
    ids=["openai", "anthropic", "google", "ollama"],
)
def test_what_a_provider_says_is_on_the_span(
    provider: str,
    payload: Any,
    response: tuple[Any, ...],
    usage: Usage,
    kaizen_offline: ModelServer,
    kaizen_telemetry: Captured,
) -> None:
    chat = complete(kaizen_offline, kaizen_telemetry, provider, payload)

    assert response_of(chat) == response
    (call,) = kaizen_telemetry.calls
    assert call.usage == usage
    counts = {
        "gen_ai.usage.input_tokens": usage.input_tokens,
        "gen_ai.usage.output_tokens": usage.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": usage.cache_read_tokens,
        "gen_ai.usage.cache_creation.input_tokens": usage.cache_write_tokens,
        "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens,
    }
    for key, count in counts.items():
        assert chat.attributes.get(key) == count, key
        assert type(chat.attributes.get(key)) is type(count), key


def test_each_of_several_choices_has_its_reason(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    choices = [{"index": i, "message": {"content": "hi"}, "finish_reason": r} for i, r in enumerate(["stop", "length"])]
    chat = complete(kaizen_offline, kaizen_telemetry, "openai", {**OPENAI, "choices": choices}, n=2)

    assert chat["gen_ai.response.finish_reasons"] == ("stop", "length")
    assert chat["gen_ai.request.choice.count"] == 2


@pytest.mark.parametrize(
    ("usage", "output"),
    [
        ({"promptTokenCount": 9, "thoughtsTokenCount": 30, "totalTokenCount": 39}, 30),
        ({"promptTokenCount": 9, "totalTokenCount": 9}, 0),
        ({"promptTokenCount": 9, "totalTokenCount": 20}, None),
        ({"promptTokenCount": 5, "toolUsePromptTokenCount": 4, "candidatesTokenCount": 2}, 2),
    ],
    ids=["all thoughts", "blocked", "unexplained", "tool use"],
)
def test_googles_counts_that_are_left_out(
    usage: Any, output: int | None, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    chat = complete(kaizen_offline, kaizen_telemetry, "google", {**GOOGLE, "usageMetadata": usage})

    assert chat["gen_ai.usage.input_tokens"] == 9
    assert chat.attributes.get("gen_ai.usage.output_tokens") == output
    assert chat.attributes.get("kaizen.usage.missing.reason") == (None if output is not None else "usage")


def test_a_google_stream_counts_the_output_of_its_last_chunk(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    def chunk(candidates: int, reason: str | None) -> Any:
        candidate = {"content": {"parts": [{"text": "x"}]}, **({"finishReason": reason} if reason else {})}
        usage = {"promptTokenCount": 100, "candidatesTokenCount": candidates, "thoughtsTokenCount": 5}
        return {**GOOGLE, "candidates": [candidate], "usageMetadata": usage}

    whole = stream(kaizen_offline, kaizen_telemetry, "google", [chunk(3, None), chunk(7, "STOP")])
    kaizen_telemetry.clear()
    broken_off = stream(kaizen_offline, kaizen_telemetry, "google", [chunk(3, None), chunk(7, None)])

    assert (whole["gen_ai.usage.output_tokens"], whole["gen_ai.usage.reasoning.output_tokens"]) == (12, 5)
    assert whole["gen_ai.response.finish_reasons"] == ("stop",)
    assert "gen_ai.response.finish_reasons" not in broken_off.attributes
    assert "gen_ai.usage.output_tokens" not in broken_off.attributes
    assert broken_off["kaizen.usage.missing.reason"] == "usage"


def test_an_anthropic_stream_without_its_end_has_no_output_count(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    started = {"type": "message_start", "message": {**ANTHROPIC, "content": [], "stop_reason": None}}
    delta = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 70}}
    whole = stream(kaizen_offline, kaizen_telemetry, "anthropic", [started, delta])
    kaizen_telemetry.clear()
    broken_off = stream(kaizen_offline, kaizen_telemetry, "anthropic", [started])

    assert (whole["gen_ai.usage.input_tokens"], whole["gen_ai.usage.output_tokens"]) == (100, 70)
    assert whole["gen_ai.response.finish_reasons"] == ("end_turn",)
    assert broken_off["gen_ai.usage.input_tokens"] == 100
    assert "gen_ai.usage.output_tokens" not in broken_off.attributes
    assert broken_off["kaizen.usage.missing.reason"] == "usage"


@pytest.mark.parametrize("provider", ["openai", "anthropic", "google", "ollama"])
def test_an_answer_without_usage_is_marked(
    provider: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import scenes

    kaizen_offline.script([Rule(replies=Reply(text="hi", usage=None))])
    asyncio.run(scenes.llm_client(provider).complete(scenes.MESSAGES))

    chat = kaizen_telemetry.span("chat")
    assert not [key for key in chat.attributes if key.startswith("gen_ai.usage.")]
    assert chat["kaizen.usage.missing.reason"] == "usage"


@pytest.mark.parametrize(
    ("provider", "model", "usage"),
    [
        ("openai", "text-embedding-3-small", {"input_tokens": 100}),
        ("ollama", "nomic-embed-text", {"input_tokens": 100}),
        pytest.param("google", "gemini-embedding-001", {}, marks=needs("embeddings_google")),
    ],
)
def test_embeddings_have_a_span_with_the_tokens_that_their_caller_never_sees(
    provider: str, model: str, usage: dict[str, int], kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import scenes

    kaizen_offline.script([Rule(replies=Reply(usage=ReplyUsage(input_tokens=100)))])
    vectors = asyncio.run(scenes.llm_client(provider).embed(["one", "two"], model=model))

    assert vectors == [[0.1, 0.2, 0.3]] * 2
    span = kaizen_telemetry.span(f"embeddings {model}")
    assert span["gen_ai.operation.name"] == "embeddings"
    assert {key: value for key, value in span.attributes.items() if key.startswith("gen_ai.usage.")} == {
        f"gen_ai.usage.{name}": count for name, count in usage.items()
    }
    assert span.attributes.get("kaizen.usage.missing.reason") == {"openai": None, "ollama": "price"}.get(
        provider, "usage"
    )


@pytest.mark.kaizen_otel(conventions=42)
def test_the_later_conventions_have_a_name_of_their_own_for_cache_writes(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    chat = complete(kaizen_offline, kaizen_telemetry, "anthropic", ANTHROPIC)

    assert chat["gen_ai.usage.cache_write.input_tokens"] == 20
    assert "gen_ai.usage.cache_creation.input_tokens" not in chat.attributes
    (point,) = kaizen_telemetry.metrics()["gen_ai.client.inference.usage.cache_write.input_tokens"]
    assert point.value == 20
    assert point.attributes["gen_ai.token.modality"] == "unknown"


def test_a_failed_embedding_is_an_error(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    from kaizen.llm.errors import ProviderError

    from tests.kaizen_otel.surfaces import scenes

    kaizen_offline.script([Rule(replies=Reply.server_error())])
    with pytest.raises(ProviderError):
        asyncio.run(scenes.llm_client().embed(["one"], model="text-embedding-3-small"))

    span = kaizen_telemetry.span("embeddings")
    assert (span.status, span["http.response.status_code"]) == ("ERROR", 500)


@pytest.mark.kaizen_otel(stream_usage=True)
def test_mistral_is_not_asked_for_usage_that_it_reports_anyway(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from kaizen.llm.client import LlmClient
    from kaizen.llm.presets import mistral_preset

    from tests.kaizen_otel.surfaces import scenes

    deployment = mistral_preset("k", "mistral-small-latest", base_url=kaizen_offline.url)
    last = {**OPENAI, "model": "mistral-small-latest", "choices": [{"delta": {}, "finish_reason": "stop"}]}
    body = f"data: {json.dumps(last)}\n\ndata: [DONE]\n\n"
    kaizen_offline.script([Rule(replies=Reply(body=body.encode()))])

    async def read() -> None:
        async for _ in scenes.stream_of(LlmClient.from_deployment_sync(deployment)):
            pass

    asyncio.run(read())

    assert "stream_options" not in kaizen_offline.requests[0].body
    chat = kaizen_telemetry.span("chat")
    assert chat["gen_ai.provider.name"] == "mistral_ai"
    assert (chat["gen_ai.usage.input_tokens"], chat["gen_ai.usage.output_tokens"]) == (1000, 300)
