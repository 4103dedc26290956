from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.trace import Status, StatusCode

from kaizen_processors.dialects import gen_ai, openinference, openllmetry, read_model_call
from kaizen_processors.dialects.model_call import MAX_TEXT_CHARS, UsageNames
from kaizen_processors.usage import Usage


def _span(status: Status | None = None, **attributes: Any) -> ReadableSpan:
    given = {key.replace("__", "."): value for key, value in attributes.items()}
    return ReadableSpan("a span", attributes=given, status=status or Status())


def _chat(**attributes: Any) -> ReadableSpan:
    return _span(gen_ai__operation__name="chat", **attributes)


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"http__request__method": "POST", "server__address": "api.openai.com"},
        {"gen_ai__operation__name": "invoke_agent", "gen_ai__usage__input_tokens": 5},
        {"gen_ai__operation__name": "execute_tool"},
        {"gen_ai__operation__name": "invoke_workflow"},
        {"gen_ai__operation__name": ["chat"]},
        {"gen_ai__system": "openai"},
        {"openinference__span__kind": "AGENT", "llm__token_count__prompt": 5},
        {"openinference__span__kind": "CHAIN", "gen_ai__operation__name": "chat"},
        {"openinference__span__kind": 1},
        {"llm__request__type": "rerank", "gen_ai__system": "Cohere"},
        {"traceloop__span__kind": "workflow"},
    ],
)
def test_what_is_no_model_call_is_none(attributes: dict[str, Any]) -> None:
    assert read_model_call(_span(**attributes)) is None


def test_a_span_without_attributes_is_none() -> None:
    assert read_model_call(ReadableSpan("a span")) is None


def test_the_names_of_the_later_conventions_are_read() -> None:
    call = read_model_call(
        _chat(
            gen_ai__provider__name="anthropic",
            gen_ai__usage__input_tokens=100,
            gen_ai__usage__output_tokens=20,
            gen_ai__usage__cache_read__input_tokens=40,
            gen_ai__usage__cache_write__input_tokens=30,
            gen_ai__usage__reasoning__output_tokens=7,
            gen_ai__usage__audio__input_tokens=3,
            gen_ai__usage__audio__output_tokens=2,
        )
    )

    assert call is not None
    assert call.usage == Usage(
        100,
        20,
        cache_read_tokens=40,
        cache_write_tokens=30,
        reasoning_tokens=7,
        input_audio_tokens=3,
        output_audio_tokens=2,
    )


def test_the_first_names_of_the_conventions_are_read() -> None:
    call = read_model_call(
        _span(
            gen_ai__operation__name="text_completion",
            gen_ai__system="az.ai.openai",
            gen_ai__usage__prompt_tokens=9,
            gen_ai__usage__completion_tokens=4,
        )
    )

    assert call is not None
    assert (call.operation, call.provider) == ("text_completion", "azure.ai.openai")
    assert (call.usage.input_tokens, call.usage.output_tokens) == (9, 4)


@pytest.mark.parametrize(
    ("theirs", "name"),
    [("OpenAI", "openai"), ("Google", "gcp.gemini"), ("MistralAI", "mistral_ai"), ("xai", "x_ai"), ("Groq", "groq")],
)
def test_a_provider_has_the_name_of_the_conventions(theirs: str, name: str) -> None:
    call = read_model_call(_chat(gen_ai__system=theirs))

    assert call is not None
    assert call.provider == name


@pytest.mark.parametrize("count", [True, 12.0, "12", -1, 2**63, ("12",)])
def test_what_only_resembles_a_count_is_none(count: Any) -> None:
    call = read_model_call(_chat(gen_ai__usage__input_tokens=count, gen_ai__usage__output_tokens=3))

    assert call is not None
    assert (call.usage.input_tokens, call.usage.output_tokens) == (None, 3)


def test_a_real_zero_is_a_count() -> None:
    call = read_model_call(_chat(gen_ai__usage__input_tokens=7, gen_ai__usage__cache_read__input_tokens=0))

    assert call is not None
    assert call.usage.cache_read_tokens == 0


def test_a_long_name_is_cut() -> None:
    call = read_model_call(_chat(gen_ai__request__model="m" * 5_000))

    assert call is not None
    assert call.request_model == "m" * MAX_TEXT_CHARS


@pytest.mark.parametrize(
    "parameters",
    ["", "{", "[" * 4_000, '["gpt-4o"]', '{"model": 4}', '{"model": "' + "m" * 5_000 + '"}', 17],
)
def test_request_parameters_that_name_no_model_are_passed_over(parameters: Any) -> None:
    call = read_model_call(
        _span(openinference__span__kind="LLM", llm__model_name="gpt-4o", llm__invocation_parameters=parameters)
    )

    assert call is not None
    assert (call.request_model, call.response_model) == (None, "gpt-4o")


def test_a_failed_span_that_names_no_error_has_the_rest_value() -> None:
    call = read_model_call(
        _span(Status(StatusCode.ERROR, "secret"), openinference__span__kind="LLM", llm__model_name="gpt-4o")
    )

    assert call is not None
    assert call.error_type == "_OTHER"


_NAMES = (
    "error.type",
    "gen_ai.operation.name",
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "gen_ai.response.model",
    "gen_ai.system",
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens",
    "llm.invocation_parameters",
    "llm.model_name",
    "llm.request.type",
    "llm.token_count.prompt",
    "openinference.span.kind",
)
_WORDS = st.sampled_from(["chat", "embeddings", "LLM", "EMBEDDING", "completion", "gpt-4o", "{}", '{"model": {}}', ""])
_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary() | _WORDS
_VALUES = _SCALARS | st.lists(_SCALARS, max_size=3) | st.dictionaries(st.text(max_size=5), _SCALARS, max_size=3)


@given(st.dictionaries(st.sampled_from(_NAMES), _VALUES))
def test_reading_never_raises_and_gives_exact_types(attributes: dict[str, Any]) -> None:
    call = read_model_call(ReadableSpan("a span", attributes=attributes))

    if call is not None:
        for name in Usage.__slots__:
            value = getattr(call.usage, name)
            assert value is None or (type(value) is int and value >= 0)
        for value in (call.provider, call.request_model, call.response_model, call.error_type):
            assert value is None or (type(value) is str and 0 < len(value) <= MAX_TEXT_CHARS)


def test_the_sdk_copies_attributes_in_one_call() -> None:
    # The reader stands on it: value by value costs twice the time (seen in opentelemetry-sdk 1.43 to 1.45).
    span = TracerProvider(shutdown_on_exit=False).get_tracer("t").start_span("s", attributes={"a": 1})
    assert isinstance(span, ReadableSpan)

    assert type(span.attributes.copy()) is dict  # type: ignore[union-attr]
    assert type(BoundedAttributes(attributes={"a": 1}).copy()) is dict


def test_of_two_names_for_one_count_the_conventions_is_taken() -> None:
    call = read_model_call(_chat(gen_ai__usage__prompt_tokens=1, gen_ai__usage__input_tokens=2))
    other_way = read_model_call(_chat(gen_ai__usage__input_tokens=2, gen_ai__usage__prompt_tokens=1))
    broken = read_model_call(_chat(gen_ai__usage__input_tokens="2", gen_ai__usage__prompt_tokens=1))

    assert call is not None
    assert other_way is not None
    assert broken is not None
    assert (call.usage, other_way.usage, broken.usage) == (Usage(2), Usage(2), Usage(1))


@pytest.mark.parametrize("dialect", [gen_ai.USAGE, openllmetry._USAGE, openinference._USAGE])
def test_every_count_of_a_dialect_is_a_field(dialect: UsageNames) -> None:
    assert set(dialect.names) <= set(Usage.__slots__)
