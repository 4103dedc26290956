"""The queue on OpenTelemetry's own providers."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from kaizen_processors.export.endpoint import OtlpEndpoint
from kaizen_processors.export.queue_processors import (
    QueueLogRecordProcessor,
    QueueSpanProcessor,
    otlp_log_queue,
    otlp_span_queue,
)
from tests.processors.delivery.backend import Backend, Reply

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def backend() -> Iterator[Backend]:
    with Backend() as running:
        yield running


def test_spans_of_a_provider_are_delivered(backend: Backend) -> None:
    processor = QueueSpanProcessor(otlp_span_queue(OtlpEndpoint(f"{backend.url}/v1/traces")))
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    with provider.get_tracer("test").start_as_current_span("outer"), provider.get_tracer("test").start_span("inner"):
        pass
    assert provider.force_flush()
    assert backend.taken == ["inner", "outer"]
    provider.shutdown()
    assert processor.queue.counts().exported == 2


def test_spans_of_our_own_requests_are_not_delivered(backend: Backend) -> None:
    queue = otlp_span_queue(OtlpEndpoint(f"{backend.url}/v1/traces"))
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(QueueSpanProcessor(queue))
    send = queue._sender.send

    def traced(*arguments: Any) -> Any:  # by an instrumentation that heeds no suppression
        with provider.get_tracer("http").start_as_current_span("POST"):
            return send(*arguments)

    queue._sender.send = traced  # type: ignore[assignment, method-assign]
    provider.get_tracer("test").start_span("s").end()
    assert provider.force_flush()
    provider.shutdown()
    assert backend.taken == ["s"]
    assert queue.counts().put == 1


def test_spans_that_were_not_sampled_are_not_delivered(backend: Backend) -> None:
    processor = QueueSpanProcessor(otlp_span_queue(OtlpEndpoint(f"{backend.url}/v1/traces")))
    provider = TracerProvider(ALWAYS_OFF, shutdown_on_exit=False)
    provider.add_span_processor(processor)
    with provider.get_tracer("test").start_as_current_span("unseen"):
        pass
    provider.shutdown()
    assert processor.queue.counts().put == 0


def test_log_records_of_a_provider_are_delivered(backend: Backend) -> None:
    processor = QueueLogRecordProcessor(otlp_log_queue(OtlpEndpoint(f"{backend.url}/v1/logs")))
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(processor)
    logger = provider.get_logger("test")
    for number in range(10):
        logger.emit(body=f"line {number}")
    assert provider.force_flush()
    assert backend.taken == [f"line {number}" for number in range(10)]
    assert {request[""] for request in backend.requests} == {"/v1/logs"}
    provider.shutdown()
    assert processor.queue.counts().exported == 10


def test_a_flush_of_the_provider_tells_the_truth() -> None:
    with Backend(default=Reply(400)) as backend:
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(QueueSpanProcessor(otlp_span_queue(OtlpEndpoint(f"{backend.url}/v1/traces"))))
        with provider.get_tracer("test").start_as_current_span("refused"):
            pass
        assert not provider.force_flush()
        provider.shutdown()


def test_what_the_delivery_itself_logs_does_not_become_telemetry(backend: Backend) -> None:
    processor = QueueLogRecordProcessor(otlp_log_queue(OtlpEndpoint(f"{backend.url}/v1/logs")))
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(processor)
    logger = provider.get_logger("test")

    class Bridge(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logger.emit(body=record.getMessage())

    bridge, library = Bridge(), logging.getLogger("urllib3")
    library.addHandler(bridge)
    before = library.level
    library.setLevel(logging.DEBUG)
    try:
        logger.emit(body="mine")
        assert provider.force_flush()
        assert provider.force_flush()
    finally:
        library.removeHandler(bridge)
        library.setLevel(before)
        provider.shutdown()
    assert backend.taken == ["mine"]


def test_the_environment_says_where_to(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", backend.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(QueueSpanProcessor())
    with provider.get_tracer("test").start_as_current_span("found"):
        pass
    assert provider.force_flush()
    provider.shutdown()
    assert backend.taken == ["found"]
    assert "content-encoding" not in backend.requests[0]
