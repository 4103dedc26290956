"""The taps see what our instrumentation emits through any provider, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.conformance.taps import tapped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.metrics.export import MetricsData
    from opentelemetry.sdk.trace import ReadableSpan

    from tests.conformance.checker import EmittedLog

# No emitter has it: what this file emits must not count for the session that runs it.
URL = "https://kaizen-otel.example/schemas/0.0.0"


class Seen:
    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []
        self.metrics: list[MetricsData] = []
        self.logs: list[EmittedLog] = []


@pytest.fixture
def seen() -> Iterator[Seen]:
    seen = Seen()
    with tapped(seen.spans.append, seen.metrics.append, seen.logs.append, [URL]):
        yield seen


def test_spans_are_seen_whoever_exports_them(seen: Seen) -> None:
    exporter = InMemorySpanExporter()
    exported, lonely = TracerProvider(shutdown_on_exit=False), TracerProvider(shutdown_on_exit=False)
    exported.add_span_processor(SimpleSpanProcessor(exporter))
    exported.get_tracer("kaizen_otel", "1", URL).start_span("first").end()
    lonely.get_tracer("kaizen_otel", "1", URL).start_span("second").end()
    assert [span.name for span in seen.spans] == ["first", "second"]
    assert [span.name for span in exporter.get_finished_spans()] == ["first"]


def test_spans_made_by_hand_or_by_others_pass_by(seen: Seen) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.get_tracer("kaizen_otel", "1").start_span("by hand").end()
    provider.get_tracer("httpx", "1", URL).start_span("by others").end()
    assert seen.spans == []


@pytest.mark.parametrize(("name", "url", "times"), [("kaizen_otel", URL, 1), ("kaizen_otel", None, 0), ("app", URL, 0)])
def test_metrics_of_ours_are_seen_when_they_are_collected(seen: Seen, name: str, url: str | None, times: int) -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    provider.get_meter(name, "1", url).create_counter("c").add(1)
    assert reader.get_metrics_data() is not None
    assert len(seen.metrics) == times
    provider.shutdown()


@pytest.mark.parametrize(("name", "url", "times"), [("kaizen_otel", URL, 1), ("kaizen_otel", None, 0), ("app", URL, 0)])
def test_events_of_ours_are_seen_when_they_are_emitted(seen: Seen, name: str, url: str | None, times: int) -> None:
    exporter = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    provider.get_logger(name, "1", schema_url=url).emit(event_name="kaizen.test")
    assert len(seen.logs) == times
    assert len(exporter.get_finished_logs()) == 1


def test_after_the_context_nothing_is_seen() -> None:
    seen = Seen()
    with tapped(seen.spans.append, seen.metrics.append, seen.logs.append, [URL]):
        pass
    TracerProvider(shutdown_on_exit=False).get_tracer("kaizen_otel", "1", URL).start_span("late").end()
    assert seen.spans == []
