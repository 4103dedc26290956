"""An exporter that does as a test says, and providers with it."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SimpleSpanProcessor,
    SpanExporter,
    SpanExportResult,
)

from kaizen_processors.export.settings import DeliverySettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


SOON = DeliverySettings(interval_s=30.0, retry_base_s=0.01, retry_cap_s=0.02, shutdown_s=1.0)
PROCESSORS: list[Callable[[SpanExporter], Any]] = [BatchSpanProcessor, SimpleSpanProcessor]


class Scripted(SpanExporter):
    """Does one thing of its script for each batch, then takes the rest."""

    def __init__(self, *script: Any) -> None:
        self.script = list(script)
        self.taken: list[str] = []
        self.batches = 0
        self.entered = threading.Semaphore(0)
        self.let_go = threading.Event()
        self.ended = 0

    def export(self, spans: Sequence[ReadableSpan]) -> Any:
        self.batches += 1
        self.entered.release()
        step = self.script.pop(0) if self.script else SpanExportResult.SUCCESS
        if step == "hang":
            self.let_go.wait()
        elif isinstance(step, BaseException):
            raise step
        if step is not SpanExportResult.FAILURE:
            self.taken += [span.name for span in spans]
        return step

    def shutdown(self) -> None:
        self.ended += 1


@contextmanager
def provider_with(
    exporter: SpanExporter, processor: Callable[[SpanExporter], Any] = SimpleSpanProcessor
) -> Iterator[TracerProvider]:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor(exporter))
    try:
        yield provider
    finally:
        if isinstance(exporter, Scripted):
            exporter.let_go.set()
        provider.shutdown()


def make(provider: TracerProvider, end: int, first: int = 0) -> None:
    for number in range(first, end):
        provider.get_tracer("test").start_span(f"s{number}").end()
