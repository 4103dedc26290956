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
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from benchmarks.equal_work import ANSWER, MESSAGES, MODEL, PARAMETERS, Library, NullExporter, figures, stream_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EXPORTER = NullExporter()
PROCESSOR = BatchSpanProcessor(EXPORTER)
TRACER_PROVIDER = TracerProvider()
TRACER_PROVIDER.add_span_processor(PROCESSOR)
METER_PROVIDER = MeterProvider([InMemoryMetricReader()])

BODY = json.dumps(ANSWER).encode()
STREAM = "".join(f"{line}\n\n" for line in stream_lines()).encode()


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
            client.chat.completions.create(model=MODEL, messages=MESSAGES, **PARAMETERS)

    return run


def streams(client: openai.OpenAI) -> Callable[[int], None]:
    def run(count: int) -> None:
        for _ in range(count):
            for _chunk in client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True, **PARAMETERS):
                pass

    return run


def main() -> None:
    name, rounds = sys.argv[1], int(sys.argv[2])
    logging.disable(logging.ERROR)
    client = make_client()
    library = Library(chats(client), streams(client), lambda: LIBRARIES[name](client), TRACER_PROVIDER, EXPORTER)
    print(json.dumps(figures(library, rounds)))


if __name__ == "__main__":
    main()
