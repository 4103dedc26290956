"""Spans that leave by the application's own processor and exporter: what fails there is not made worse by us."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import context as otel_context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

import kaizen_otel
from kaizen_processors.export.endpoint import OtlpEndpoint
from kaizen_processors.export.queue_processors import QueueSpanProcessor, otlp_span_queue
from tests.hostile.test_raising_parts import agent, offline
from tests.processors.delivery.backend import HANG, RESET, Backend, Reply, unused_url

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["offline"]

RUNS = 20


class Raising(SpanExporter):
    """An exporter that raises, also what ends a thread."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def export(self, spans: Any) -> Any:
        del spans
        raise self.error

    def shutdown(self) -> None:
        """Nothing is open."""


def to(url: str) -> SpanExporter:
    return OTLPSpanExporter(f"{url}/v1/traces", timeout=1)


@contextmanager
def exporter_with(fault: str) -> Iterator[SpanExporter]:
    replies = {"reset": Reply(RESET), "503": Reply(503), "hang": Reply(HANG), "400": Reply(400), "healthy": Reply()}
    errors = {"SystemExit": SystemExit(1), "MemoryError": MemoryError(), "RuntimeError": RuntimeError("mine")}
    if fault in replies:
        with Backend(default=replies[fault]) as backend:
            yield to(backend.url)
    else:
        yield Raising(errors[fault]) if fault in errors else to(unused_url())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize(
    "fault", ["healthy", "down", "reset", "503", "400", "hang", "RuntimeError", "MemoryError", "SystemExit"]
)
def test_an_exporter_of_the_applications_that_fails_is_not_made_worse(fault: str) -> None:
    alone, around, threads = agent(), otel_context.get_current(), {thread.name for thread in threading.enumerate()}
    with exporter_with(fault) as exporter:
        provider = TracerProvider(shutdown_on_exit=False)
        processor = BatchSpanProcessor(exporter, schedule_delay_millis=10)
        provider.add_span_processor(processor)
        kaizen_otel.instrument(tracer_provider=provider)
        try:
            for _ in range(RUNS):
                assert agent() == alone
            assert otel_context.get_current() is around
            stats = kaizen_otel.stats()
            started = {thread.name for thread in threading.enumerate()} - threads
            assert kaizen_otel.flush(0.5)
        finally:
            kaizen_otel.uninstrument()
        exporter.shutdown()
        provider.shutdown()
    assert stats["export"] == "app-owned"
    assert stats["failures"] == {}
    assert stats["calls"]["asker", "gpt-4o"]["model_calls"] == RUNS
    assert started.isdisjoint({"kaizen-otel-pack", "kaizen-otel-send"})


def test_a_queue_that_fails_raises_nothing_where_a_span_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    processor = QueueSpanProcessor(otlp_span_queue(OtlpEndpoint(f"{unused_url()}/v1/traces")))

    def broken(_: object) -> bool:
        raise RuntimeError("ours")

    monkeypatch.setattr(processor.queue, "put", broken)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    with provider.get_tracer("test").start_as_current_span("ends"):
        pass
    assert processor.queue.fence.counts() == {"delivery.put:RuntimeError": 1}
    provider.shutdown()
