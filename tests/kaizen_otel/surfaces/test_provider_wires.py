"""What Cohere, Hugging Face, Bedrock, Azure and Vertex say of a call, in the shapes that their references print."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from kaizen_processors.usage import Usage
from tests.kaizen_otel.surfaces.test_provider_payloads import ANTHROPIC, GOOGLE, OPENAI, response_of

if TYPE_CHECKING:
    from kaizen_otel.testing import Captured, CapturedSpan


@pytest.fixture(autouse=True)
def _names_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.kaizen_otel.surfaces.deployments import resolve_every_host

    resolve_every_host(monkeypatch)


COUNTS = {
    "billed_units": {"input_tokens": 10, "output_tokens": 20},
    "tokens": {"input_tokens": 70, "output_tokens": 21},
}
"""What Cohere bills, and what it processed for that: its own words around the prompt are free."""

COHERE_V1 = {
    "response_id": "0d7f-response",
    "generation_id": "59d1-generation",
    "text": "hi",
    "chat_history": [{"role": "USER", "message": "hello"}, {"role": "CHATBOT", "message": "hi"}],
    "finish_reason": "MAX_TOKENS",
    "meta": {"api_version": {"version": "1"}, **COUNTS},
}
COHERE_V2 = {
    "id": "c14c-response",
    "finish_reason": "COMPLETE",
    "message": {"role": "assistant", "content": [{"type": "text", "text": "hi"}]},
    "usage": {**COUNTS, "cached_tokens": 64},
}
HUGGINGFACE_CHAT = {
    "object": "chat.completion",
    "id": "chatcmpl-tgi",
    "created": 1_750_000_000,
    "model": "meta-llama/Llama-3.1-8B-Instruct",
    "system_fingerprint": "3.3.4-sha",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "length"}],
    "usage": {"prompt_tokens": 36, "completion_tokens": 9, "total_tokens": 45},
}
BEDROCK_CLAUDE = {**ANTHROPIC, "id": "msg_bdrk_abc", "model": "claude-sonnet-4-6"}
LLAMA = {"generation": "hi", "prompt_token_count": 12, "generation_token_count": 4, "stop_reason": "length"}
TITAN = {
    "inputTextTokenCount": 5,
    "results": [{"tokenCount": 3, "outputText": "hi", "completionReason": "FINISH"}],
}
BEDROCK_MISTRAL = {"outputs": [{"text": "hi", "stop_reason": "stop"}]}
BEDROCK_COHERE = {
    "generations": [{"finish_reason": "COMPLETE", "id": "4f-generation", "text": "hi"}],
    "id": "e6-response",
    "prompt": "hello",
}
BEDROCK_HEADERS = {
    "x-amzn-requestid": "9d3c-request",
    "x-amzn-bedrock-invocation-latency": "421",
    "x-amzn-bedrock-input-token-count": "14",
    "x-amzn-bedrock-output-token-count": "6",
}
AZURE = {
    **OPENAI,
    "object": "chat.completion",
    "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {"hate": {"filtered": False}}}],
}
VERTEX_CLAUDE = {**ANTHROPIC, "id": "msg_vrtx_abc", "model": "claude-sonnet-4-6"}
VERTEX_GEMINI = {
    **GOOGLE,
    "createTime": "2026-01-01T00:00:00Z",
    "usageMetadata": {**GOOGLE["usageMetadata"], "trafficType": "ON_DEMAND"},  # type: ignore[dict-item]
}

CACHED = Usage(100, 7, cache_read_tokens=30, cache_write_tokens=20)
DETAILED = Usage(1000, 300, cache_read_tokens=400, reasoning_tokens=200, input_audio_tokens=10, output_audio_tokens=5)
CHATS: dict[str, tuple[Any, str, tuple[Any, ...], Usage]] = {
    "cohere v1": (COHERE_V1, "cohere", ("0d7f-response", None, ("max_tokens",)), Usage(10, 20)),
    "cohere v2": (COHERE_V2, "cohere", ("c14c-response", None, ("complete",)), Usage(10, 20)),
    "huggingface chat": (
        HUGGINGFACE_CHAT,
        "huggingface",
        ("chatcmpl-tgi", "meta-llama/Llama-3.1-8B-Instruct", ("length",)),
        Usage(36, 9),
    ),
    "bedrock claude": (
        BEDROCK_CLAUDE,
        "aws.bedrock",
        ("msg_bdrk_abc", "claude-sonnet-4-6", ("max_tokens",)),
        CACHED,
    ),
    # Bodies that count say more than the headers do: these are the body's.
    "bedrock llama": (LLAMA, "aws.bedrock", (None, None, ("length",)), Usage(12, 4)),
    "bedrock titan": (TITAN, "aws.bedrock", (None, None, ("finish",)), Usage(5, 3)),
    "bedrock mistral": (BEDROCK_MISTRAL, "aws.bedrock", (None, None, ("stop",)), Usage(14, 6)),
    "bedrock cohere": (BEDROCK_COHERE, "aws.bedrock", ("e6-response", None, ("complete",)), Usage(14, 6)),
    "azure openai": (
        AZURE,
        "azure.ai.openai",
        ("chatcmpl-abc", "gpt-4o-2024-08-06", ("stop",)),
        DETAILED,
    ),
    "vertex gemini": (
        VERTEX_GEMINI,
        "gcp.vertex_ai",
        ("resp-abc", "gemini-2.5-flash-001", ("max_tokens",)),
        Usage(100, 50, cache_read_tokens=30, reasoning_tokens=10),
    ),
    "vertex claude": (
        VERTEX_CLAUDE,
        "gcp.vertex_ai",
        ("msg_vrtx_abc", "claude-sonnet-4-6", ("max_tokens",)),
        CACHED,
    ),
}


def complete(captured: Captured, name: str, answer: Any, headers: dict[str, str] | None = None) -> CapturedSpan:
    """One chat that is answered with exactly this."""
    from tests.kaizen_otel.surfaces.deployments import Provider

    provider = Provider(name, answer, headers)
    asyncio.run(provider.complete())
    assert len(provider.requests) == 1
    return captured.span("chat")


def stream(captured: Captured, name: str, *lines: str) -> CapturedSpan:
    """One stream of exactly these lines."""
    from tests.kaizen_otel.surfaces.deployments import Provider

    asyncio.run(Provider(name, lines).stream())
    return captured.span("chat")


def usage_of(span: CapturedSpan) -> dict[str, Any]:
    """The counts on a span."""
    return {key: value for key, value in span.attributes.items() if key.startswith("gen_ai.usage.")}


@pytest.mark.parametrize("name", CHATS)
def test_what_a_provider_says_is_on_the_span(name: str, kaizen_telemetry: Captured) -> None:
    payload, provider, response, usage = CHATS[name]
    headers = BEDROCK_HEADERS if provider == "aws.bedrock" else None
    chat = complete(kaizen_telemetry, name, payload, headers)

    assert chat["gen_ai.provider.name"] == provider
    assert response_of(chat) == response
    (call,) = kaizen_telemetry.calls
    assert call.usage == usage
    assert chat["gen_ai.usage.input_tokens"] == usage.input_tokens
    assert chat["gen_ai.usage.output_tokens"] == usage.output_tokens


@pytest.mark.parametrize(("name", "payload"), [("cohere v1", COHERE_V1), ("cohere v2", COHERE_V2)])
def test_coheres_billed_tokens_are_those_of_the_span_the_metric_and_the_price(
    name: str, payload: Any, kaizen_telemetry: Captured
) -> None:
    chat = complete(kaizen_telemetry, name, payload)

    points = kaizen_telemetry.metrics()["gen_ai.client.token.usage"]
    assert {point.attributes["gen_ai.token.type"]: point.value for point in points} == {"input": 10, "output": 20}
    assert usage_of(chat) == {"gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 20}
    assert chat["kaizen.usage.cost.amount"] == pytest.approx((10 * 0.15 + 20 * 0.6) / 1e6)  # command-r


def test_cohere_without_billed_units_counts_what_it_processed(kaizen_telemetry: Captured) -> None:
    usage = {"tokens": COUNTS["tokens"], "cached_tokens": 64}
    chat = complete(kaizen_telemetry, "cohere v2", {**COHERE_V2, "usage": usage})

    assert usage_of(chat) == {
        "gen_ai.usage.input_tokens": 70,
        "gen_ai.usage.output_tokens": 21,
        "gen_ai.usage.cache_read.input_tokens": 64,
    }


def test_the_last_event_of_a_cohere_stream_has_its_usage(kaizen_telemetry: Captured) -> None:
    v1 = [
        {"is_finished": False, "event_type": "stream-start", "generation_id": "59d1-generation"},
        {"is_finished": False, "event_type": "text-generation", "text": "hi"},
        {"is_finished": True, "event_type": "stream-end", "finish_reason": "MAX_TOKENS", "response": COHERE_V1},
    ]
    v2 = [
        {"id": "c14c-response", "type": "message-start", "delta": {"message": {"role": "assistant"}}},
        {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "hi"}}}},
        {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": COHERE_V2["usage"]}},
    ]
    first = stream(kaizen_telemetry, "cohere v1", *(json.dumps(event) + "\n" for event in v1))
    kaizen_telemetry.clear()
    second = stream(kaizen_telemetry, "cohere v2", *(f"data: {json.dumps(event)}\n\n" for event in v2))

    assert response_of(first) == ("0d7f-response", None, ("max_tokens",))
    assert response_of(second) == ("c14c-response", None, ("complete",))
    assert usage_of(first) == usage_of(second) == {"gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 20}


@pytest.mark.parametrize("answer", [[{"generated_text": "hi"}], {"generated_text": "hi"}], ids=["list", "object"])
def test_hugging_faces_classic_schema_counts_nothing(answer: Any, kaizen_telemetry: Captured) -> None:
    chat = complete(kaizen_telemetry, "huggingface", answer)

    assert usage_of(chat) == {}
    assert chat["kaizen.usage.missing.reason"] == "usage"


@pytest.mark.parametrize(
    "count", ["", "-1", "1e3", "٣", "12 tokens", "9" * 18, "9" * 5000], ids=lambda count: count[:9] or "empty"
)
def test_a_bedrock_header_that_is_no_count_is_none(count: str, kaizen_telemetry: Captured) -> None:
    encoded: Any = {"x-amzn-bedrock-input-token-count": count.encode(), "x-amzn-bedrock-output-token-count": b"6"}
    chat = complete(kaizen_telemetry, "bedrock mistral", BEDROCK_MISTRAL, encoded)

    assert usage_of(chat) == {"gen_ai.usage.output_tokens": 6}
    assert chat["kaizen.usage.missing.reason"] == "usage"


def test_only_bedrocks_headers_count(kaizen_telemetry: Captured) -> None:
    chat = complete(kaizen_telemetry, "huggingface chat", {**HUGGINGFACE_CHAT, "usage": None}, BEDROCK_HEADERS)

    assert usage_of(chat) == {}


def test_a_titan_that_leaves_a_count_out_has_no_output(kaizen_telemetry: Captured) -> None:
    chat = complete(kaizen_telemetry, "bedrock titan", {**TITAN, "results": [{"outputText": "hi"}]})

    assert usage_of(chat) == {"gen_ai.usage.input_tokens": 5}


def test_azures_first_chunk_has_no_id_and_the_second_has(kaizen_telemetry: Captured) -> None:
    filtered = {**AZURE, "id": "", "model": "", "object": "", "choices": [], "usage": None}
    last = {**OPENAI, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in (filtered, last)]
    chat = stream(kaizen_telemetry, "azure openai", *lines)

    assert response_of(chat) == ("chatcmpl-abc", "gpt-4o-2024-08-06", ("stop",))


@pytest.mark.parametrize(
    ("name", "answer", "usage"),
    [
        (
            "cohere v1",
            {
                "id": "da6e-embed",
                "texts": ["one"],
                "embeddings": [[0.1, 0.2]],
                "meta": {"api_version": {"version": "1"}, "billed_units": {"input_tokens": 4}},
                "response_type": "embeddings_floats",
            },
            {"gen_ai.usage.input_tokens": 4},
        ),
        ("huggingface", [[0.1, 0.2]], {}),
    ],
    ids=["cohere", "huggingface"],
)
def test_embeddings_have_the_tokens_that_their_provider_tells(
    name: str, answer: Any, usage: dict[str, int], kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces.deployments import Provider

    vectors = asyncio.run(Provider(name, answer).embed(["one"], "embed-v4.0"))

    assert vectors == [[0.1, 0.2]]
    span = kaizen_telemetry.span("embeddings")
    assert usage_of(span) == usage
    assert span.attributes.get("kaizen.usage.missing.reason") == (None if usage else "usage")
