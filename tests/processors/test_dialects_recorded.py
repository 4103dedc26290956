from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from kaizen_processors.dialects import read_model_call
from kaizen_processors.pricing import PriceBook
from kaizen_processors.usage import Usage
from tests.foreign.replay import LIBRARIES, replay, scenarios

if TYPE_CHECKING:
    from kaizen_processors.dialects import ModelCall

_EVERY = {"chat", "chat_stream", "chat_stream_without_usage", "chat_error", "embeddings", "responses"}
_WITHOUT_RESPONSES = {"openai-v2", "openai-v2-experimental", "traceloop-0.40"}
_WITHOUT_DETAILS = {"openai-v2", "openai-v2-experimental"}


def _read(library: str, scenario: str) -> ModelCall | None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    replay(provider, library, scenario)
    (span,) = exporter.get_finished_spans()
    return read_model_call(span)


def _usage(library: str, scenario: str) -> Usage:
    """What the canned answers of `record.py` say, as far as the library passes it on."""
    if library in _WITHOUT_DETAILS:
        return Usage(1200, 300)
    read = Usage(1200, 300, cache_read_tokens=1024)
    # OpenLLMetry reports reasoning of answers, not of streams, and of neither in its older version.
    if library != "traceloop-0.40" and not (library == "traceloop" and scenario == "chat_stream"):
        read.reasoning_tokens = 128
    if library == "openinference" and scenario != "responses":
        read.input_audio_tokens = read.output_audio_tokens = 0
    return read


def test_the_recordings_are_of_every_dialect_and_scenario() -> None:
    assert LIBRARIES == [
        "genai-openai",
        "openai-v2",
        "openai-v2-experimental",
        "openinference",
        "traceloop",
        "traceloop-0.40",
    ]
    for library in LIBRARIES:
        assert set(scenarios(library)) == _EVERY - ({"responses"} if library in _WITHOUT_RESPONSES else set())


@pytest.mark.parametrize(
    ("library", "scenario"),
    [
        (library, one)
        for library in LIBRARIES
        for one in ("chat", "chat_stream", "responses")
        if one in scenarios(library)
    ],
)
def test_an_answer_is_read_with_models_and_usage(library: str, scenario: str) -> None:
    call = _read(library, scenario)

    assert call is not None
    assert (call.operation, call.provider) == ("chat", "openai")
    assert (call.request_model, call.response_model) == ("gpt-4o", "gpt-4o-2024-08-06")
    assert call.error_type is None
    if (library, scenario) == ("traceloop-0.40", "chat_stream"):
        assert call.usage == Usage()  # this version reports none of a stream
    else:
        assert call.usage == _usage(library, scenario)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_stream_without_usage_has_none(library: str) -> None:
    call = _read(library, "chat_stream_without_usage")

    assert call is not None
    assert call.usage == Usage()
    assert PriceBook().price(call.provider, call.response_model, call.usage).missing == "usage"


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_failed_call_has_its_error_type(library: str) -> None:
    call = _read(library, "chat_error")

    assert call is not None
    assert call.request_model == "gpt-4o-limited"
    assert call.response_model is None
    expected = {
        "genai-openai": "openai.RateLimitError",
        "openinference": "openai.RateLimitError",
        "traceloop-0.40": "_OTHER",  # it says that the call failed, and no more
    }
    assert call.error_type == expected.get(library, "RateLimitError")


@pytest.mark.parametrize("library", LIBRARIES)
def test_embeddings_are_read_and_priced_without_output(library: str) -> None:
    call = _read(library, "embeddings")

    assert call is not None
    assert (call.operation, call.request_model) == ("embeddings", "text-embedding-3-small")
    assert (call.usage.input_tokens, call.usage.output_tokens) == (8, None)
    assert PriceBook().price(call.provider, call.request_model, call.usage).missing is None
