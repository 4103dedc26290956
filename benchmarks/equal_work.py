"""The work that every library is measured on, ours and others: one answer, one stream of it, one bare span.

Knows nothing of kaizen-otel: it also runs in the environments of other libraries.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from benchmarks.harness import Case, Line, measure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from opentelemetry.trace import Tracer

    Work = Callable[[int], None]

ATTRIBUTES = {f"benchmark.attribute.{i}": "a text of some length" if i % 2 else i for i in range(20)}
MESSAGES: Any = [{"role": "user", "content": "Where is my order?"}]
MODEL = "gpt-4o"
PARAMETERS: Any = {"temperature": 0.2, "max_tokens": 500}
CHUNKS = 52

_HEAD = {"id": "chatcmpl-9dVqGhx3", "created": 1_764_000_000, "model": "gpt-4o-2024-08-06"}
ANSWER = {
    **_HEAD,
    "object": "chat.completion",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "On its way."}, "finish_reason": "stop"}],
    "usage": {
        "prompt_tokens": 1200,
        "completion_tokens": 300,
        "total_tokens": 1500,
        "prompt_tokens_details": {"cached_tokens": 200, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    },
}


def stream_lines(chunks: int = CHUNKS) -> list[str]:
    """The answer as lines of server-sent events, in so many chunks; the last one carries the usage."""
    text = [_line({"content": " on"}) for _ in range(chunks - 1)]
    return [*text, _line({}, "stop", usage=ANSWER["usage"]), "data: [DONE]"]


def _line(delta: dict[str, Any], finish_reason: str | None = None, **extra: Any) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return "data: " + json.dumps({**_HEAD, "object": "chat.completion.chunk", "choices": [choice], **extra})


class NullExporter(SpanExporter):
    """Takes spans and drops them, but remembers the last."""

    last: ReadableSpan | None = None

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Keep the last, drop the others."""
        self.last = spans[-1]
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Nothing to end."""


def bare_spans(tracer: Tracer) -> Work:
    """The yardstick: spans with 20 attributes, made by the SDK alone."""

    def run(count: int) -> None:
        for _ in range(count):
            with tracer.start_as_current_span("chat gpt-4o", attributes=ATTRIBUTES):
                pass

    return run


class Library(NamedTuple):
    """One library as it is measured.

    Attributes:
        chats: does so many chats, one after the other.
        streams: does so many streamed chats of `CHUNKS` chunks each.
        watching: lets the library watch them for the length of a `with` block.
        watched_provider: the provider that the library makes its spans with.
        exporter: where those spans end.
    """

    chats: Work
    streams: Work
    watching: Callable[[], AbstractContextManager[object]]
    watched_provider: TracerProvider
    exporter: NullExporter


def figures(library: Library, rounds: int) -> dict[str, Any]:
    """What the library adds to a chat, and to each chunk of a streamed one, beside a bare span in the same process.

    Raises:
        RuntimeError: the library made no span.
    """
    with library.watching():
        library.chats(1)
        library.watched_provider.force_flush()
        last = library.exporter.last
    if last is None:
        raise RuntimeError("the library made no span")
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(NullExporter()))
    bare, chat = Line("a bare span", "bare span"), Line("a chat", "watched chat", "chat")
    chunk = Line("a chunk", "watched stream", "stream", per=CHUNKS)
    timings = measure(
        [
            Case(bare.case, bare_spans(provider.get_tracer("benchmark"))),
            Case("chat", library.chats),
            Case("watched chat", library.chats, library.watching),
            Case("stream", library.streams),
            Case("watched stream", library.streams, library.watching),
        ],
        rounds,
    )
    return {
        "chat_us": timings.best(chat),
        "ratio": timings.ratio(chat, bare),
        "chunk_us": timings.best(chunk),
        "attributes": len(last.attributes or ()),
    }
