"""Runs inside a peer's own environment (see `peers.py`): what the library adds to a chat of the openai client.

Prints one line of JSON. Knows nothing of kaizen-otel.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

# Content off, wherever a library has a switch for it.
os.environ |= {
    "OPENINFERENCE_HIDE_INPUTS": "true",
    "OPENINFERENCE_HIDE_OUTPUTS": "true",
    "TRACELOOP_TRACE_CONTENT": "false",
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "false",
}

import httpx
import openai
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from benchmarks.harness import Case, Line, measure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

CHUNKS = 52
MESSAGES: Any = [{"role": "user", "content": "Where is my order?"}]
ATTRIBUTES = {f"benchmark.attribute.{i}": "a text of some length" if i % 2 else i for i in range(20)}
HEAD = {"id": "chatcmpl-9dVqGhx3", "created": 1_764_000_000, "model": "gpt-4o-2024-08-06"}
USAGE = {"prompt_tokens": 1200, "completion_tokens": 300, "total_tokens": 1500}
ANSWER = {
    **HEAD,
    "object": "chat.completion",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "On its way."}, "finish_reason": "stop"}],
    "usage": USAGE,
}


class NullExporter(SpanExporter):
    """Takes spans and drops them, but remembers the last."""

    last: ReadableSpan | None = None

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Keep the last, drop the others."""
        self.last = spans[-1]
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Nothing to end."""


EXPORTER = NullExporter()
PROCESSOR = BatchSpanProcessor(EXPORTER)
TRACER_PROVIDER = TracerProvider()
TRACER_PROVIDER.add_span_processor(PROCESSOR)
METER_PROVIDER = MeterProvider([InMemoryMetricReader()])


def _chunk(delta: dict[str, Any], finish_reason: str | None = None, **extra: Any) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return "data: " + json.dumps({**HEAD, "object": "chat.completion.chunk", "choices": [choice], **extra}) + "\n\n"


BODY = json.dumps(ANSWER).encode()
STREAM = "".join(
    [*(_chunk({"content": " on"}) for _ in range(CHUNKS - 1)), _chunk({}, "stop", usage=USAGE), "data: [DONE]\n\n"]
).encode()


def answer(request: httpx.Request) -> httpx.Response:
    if b'"stream":true' in request.content.replace(b" ", b""):
        return httpx.Response(200, content=STREAM, headers={"content-type": "text/event-stream"})
    return httpx.Response(200, content=BODY, headers={"content-type": "application/json"})


def make_client() -> openai.OpenAI:
    return openai.OpenAI(api_key="sk-benchmark", http_client=httpx.Client(transport=httpx.MockTransport(answer)))


# -- the libraries ------------------------------------------------------------------------------------------------


@contextmanager
def instrumented(instrumentor: Any) -> Iterator[None]:
    instrumentor.instrument(tracer_provider=TRACER_PROVIDER, meter_provider=METER_PROVIDER, skip_dep_check=True)
    try:
        yield
    finally:
        instrumentor.uninstrument()


def openai_v2(_client: Any) -> Any:
    from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor

    return instrumented(OpenAIInstrumentor())


def genai_openai(_client: Any) -> Any:
    from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor

    return instrumented(OpenAIInstrumentor())


def openinference(_client: Any) -> Any:
    from openinference.instrumentation.openai import OpenAIInstrumentor

    return instrumented(OpenAIInstrumentor())


def traceloop(_client: Any) -> Any:
    from opentelemetry.instrumentation.openai import OpenAIInstrumentor

    return instrumented(OpenAIInstrumentor())


def logfire(client: Any) -> Any:
    import logfire as library

    if not library.DEFAULT_LOGFIRE_INSTANCE.config._initialized:  # noqa: SLF001 - configure once
        library.configure(
            send_to_logfire=False,
            console=False,
            additional_span_processors=[PROCESSOR],
            metrics=library.MetricsOptions(additional_readers=[InMemoryMetricReader()]),
        )
    return library.instrument_openai(client)


LIBRARIES: dict[str, Callable[[Any], Any]] = {
    "openai-v2": openai_v2,
    "genai-openai": genai_openai,
    "openinference": openinference,
    "traceloop": traceloop,
    "logfire": logfire,
}


# -- the work -----------------------------------------------------------------------------------------------------


def chats(client: openai.OpenAI) -> Callable[[int], None]:
    def run(count: int) -> None:
        for _ in range(count):
            client.chat.completions.create(model="gpt-4o", messages=MESSAGES, temperature=0.2, max_tokens=500)

    return run


def chats_in_bare_spans(client: openai.OpenAI) -> Callable[[int], None]:
    tracer = TRACER_PROVIDER.get_tracer("benchmark")
    chat = chats(client)

    def run(count: int) -> None:
        for _ in range(count):
            with tracer.start_as_current_span("chat gpt-4o", attributes=ATTRIBUTES):
                chat(1)

    return run


def streams(client: openai.OpenAI) -> Callable[[int], None]:
    def run(count: int) -> None:
        for _ in range(count):
            for _chunk in client.chat.completions.create(
                model="gpt-4o", messages=MESSAGES, temperature=0.2, max_tokens=500, stream=True
            ):
                pass

    return run


def main() -> None:
    name, rounds = sys.argv[1], int(sys.argv[2])
    logging.disable(logging.ERROR)
    client = make_client()

    def watching() -> Any:
        return LIBRARIES[name](client)

    chat, bare = Line("a chat", "watched chat", "chat"), Line("a bare span", "chat in a bare span", "chat")
    chunk = Line("a chunk", "watched stream", "stream", per=CHUNKS)
    with watching():
        chats(client)(1)
    PROCESSOR.force_flush()
    if EXPORTER.last is None:
        raise RuntimeError(f"{name} made no span")
    attributes = len(EXPORTER.last.attributes or ())
    timings = measure(
        [
            Case("chat", chats(client)),
            Case("chat in a bare span", chats_in_bare_spans(client)),
            Case("watched chat", chats(client), watching),
            Case("stream", streams(client)),
            Case("watched stream", streams(client), watching),
        ],
        rounds,
    )
    figures = {"chat_us": timings.best(chat), "ratio": timings.ratio(chat, bare), "chunk_us": timings.best(chunk)}
    print(json.dumps({**figures, "attributes": attributes}))


if __name__ == "__main__":
    main()
