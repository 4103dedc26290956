"""The libraries that run beside ours, and the environments that they run in (`tests/beside/*.txt`)."""

from __future__ import annotations

import importlib
import os
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import kaizen_otel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import ReadableSpan


class Library(NamedTuple):
    """One instrumentation of another, and what it watches."""

    module: str
    instrumentor: str
    vendor: str
    lets_go: bool = True
    """Whether its `uninstrument()` takes its wrappers off."""

    def make(self) -> Any:
        """Its instrumentor: one for the life of the process, as all of them are."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a library warns of when it is imported is not ours
            return getattr(importlib.import_module(self.module), self.instrumentor)()


_LIBRARIES = {
    "openai-v2": Library("opentelemetry.instrumentation.openai_v2", "OpenAIInstrumentor", "openai"),
    "genai-openai": Library("opentelemetry.instrumentation.genai.openai", "OpenAIInstrumentor", "openai"),
    "openinference": Library("openinference.instrumentation.openai", "OpenAIInstrumentor", "openai"),
    "openinference-anthropic": Library("openinference.instrumentation.anthropic", "AnthropicInstrumentor", "anthropic"),
    # It takes its wrappers off a name that they are not under (0.62).
    "traceloop": Library("opentelemetry.instrumentation.openai", "OpenAIInstrumentor", "openai", lets_go=False),
    "traceloop-anthropic": Library("opentelemetry.instrumentation.anthropic", "AnthropicInstrumentor", "anthropic"),
}


def under_test() -> Library:
    """Which library this process is about: `make test-foreign` says so. Some never let go of what they watch."""
    return _LIBRARIES[os.environ["BESIDE"]]


HTTPX = (
    Library("opentelemetry.instrumentation.httpx", "HTTPXClientInstrumentor", "http"),
    Library("opentelemetry.instrumentation.httpx", "HTTPX2ClientInstrumentor", "http"),
)
"""Kaizen and Anthropic's SDK send by httpx, OpenAI's by httpx2."""

THREADING = Library("opentelemetry.instrumentation.threading", "ThreadingInstrumentor", "threads")
ASYNCIO = Library("opentelemetry.instrumentation.asyncio", "AsyncioInstrumentor", "tasks")


class Application:
    """An application with a provider of its own, which ours joins and theirs are given."""

    def __init__(self) -> None:
        """Make the provider; nothing is instrumented."""
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    @contextmanager
    def watched_by(self, *libraries: Library, ours_first: bool = True, ours: bool = True) -> Iterator[None]:
        """Instrument in one order, and undo it in the same: whoever was first lets go first."""
        mine = [(self._ours, kaizen_otel.uninstrument)] if ours else []
        theirs = [self._theirs(library) for library in libraries]
        undo = []
        try:
            for on, off in [*mine, *theirs] if ours_first else [*theirs, *mine]:
                on()
                undo.append(off)
            yield
            assert not ours or kaizen_otel.stats()["failures"] == {}
        finally:
            for off in undo:
                off()

    def _ours(self) -> None:
        kaizen_otel.instrument(tracer_provider=self.provider)

    def _theirs(self, library: Library) -> tuple[Any, Any]:
        made = library.make()
        return lambda: made.instrument(tracer_provider=self.provider), made.uninstrument

    @contextmanager
    def caller(self) -> Iterator[None]:
        """A span of the application's."""
        with self.provider.get_tracer("app").start_as_current_span("caller"):
            yield

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        """Finished spans."""
        return self._exporter.get_finished_spans()

    def by_scope(self, part: str) -> list[ReadableSpan]:
        """Finished spans of the library whose scope's name contains this."""
        return [
            span
            for span in self.spans
            if part in (span.instrumentation_scope.name if span.instrumentation_scope else "")
        ]

    @property
    def ours(self) -> list[ReadableSpan]:
        """Finished spans of ours."""
        return self.by_scope("kaizen")

    @property
    def theirs(self) -> list[ReadableSpan]:
        """Finished spans of instrumentations of others."""
        return [span for span in self.by_scope("instrumentation") if span not in self.ours]

    def roots(self) -> list[str]:
        """Names of the spans that hang below none of the finished ones."""
        known = {span.context.span_id for span in self.spans}
        return [span.name for span in self.spans if span.parent is None or span.parent.span_id not in known]

    def tree(self) -> str:
        """Span names, indented as a tree."""
        known = {span.context.span_id for span in self.spans}
        lines: list[str] = []

        def walk(parent: int | None, depth: int) -> None:
            for span in sorted(self.spans, key=lambda one: one.start_time or 0):
                above = span.parent.span_id if span.parent is not None and span.parent.span_id in known else None
                if above == parent:
                    lines.append("  " * depth + span.name)
                    walk(span.context.span_id, depth + 1)

        walk(None, 0)
        return "\n".join(lines)


def counted() -> dict[str, tuple[int, int, int]]:
    """Model calls, input and output tokens that were counted, by agent."""
    found: dict[str, tuple[int, int, int]] = {}
    for (agent, _), sums in kaizen_otel.stats()["calls"].items():
        now = sums["model_calls"], sums["input_tokens"], sums["output_tokens"]
        found[agent] = tuple(a + b for a, b in zip(found.get(agent, (0, 0, 0)), now, strict=True))
    return found
