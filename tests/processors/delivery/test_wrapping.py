"""What an application gets that wraps the exporter of its own provider."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import (
    InMemoryLogRecordExporter,
    SimpleLogRecordProcessor,
)
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    ConsoleSpanExporter,
    SimpleSpanProcessor,
    SpanExporter,
    SpanExportResult,
)
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from kaizen_processors.export import wrap_exporter
from kaizen_processors.export.passing import MAX_TRIES
from kaizen_processors.export.queue_processors import QueueSpanProcessor
from kaizen_processors.export.settings import DeliverySettings
from kaizen_processors.export.spool import Spool
from tests.processors.delivery.backend import unused_url
from tests.processors.delivery.scripted import PROCESSORS, SOON, Scripted, make, provider_with
from tests.processors.delivery.support import balanced, names

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from kaizen_processors.export.wrapping import WrappedSpanExporter


@pytest.mark.parametrize("processor", PROCESSORS)
def test_any_other_exporter_gets_the_very_spans_in_batches(processor: Callable[[SpanExporter], Any]) -> None:
    theirs = InMemorySpanExporter()
    exporter = wrap_exporter(theirs, SOON)
    with provider_with(exporter, processor) as provider:
        made = [provider.get_tracer("test").start_span(f"s{number}") for number in range(1_000)]
        for span in made:
            span.end()
        assert exporter.force_flush()
        assert [span.name for span in theirs.get_finished_spans()] == names(0, 1_000)
        assert (exporter.sends, exporter.queue.counts().exported) == ("exporter", 1_000)
        assert balanced(exporter.queue)


def test_any_other_exporter_of_log_records_gets_the_very_records() -> None:
    theirs: Any = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]  # untyped in SDK 1.45
    exporter = wrap_exporter(theirs, SOON)
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    provider.get_logger("test").emit(body={"kept": ["as", "it", "is"]})
    assert exporter.force_flush()
    (record,) = theirs.get_finished_logs()
    assert record.log_record.body == {"kept": ["as", "it", "is"]}
    provider.shutdown()


def test_what_a_batch_processor_holds_back_is_part_of_a_flush() -> None:
    theirs = Scripted()
    exporter = wrap_exporter(theirs, SOON)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=3_600_000))
    make(provider, 10)
    assert exporter.force_flush()
    assert theirs.taken == names(0, 10)
    provider.shutdown()


def test_a_processor_of_ours_on_the_same_queue_makes_the_providers_flush_tell_the_truth() -> None:
    exporter = wrap_exporter(Scripted(*[SpanExportResult.FAILURE] * MAX_TRIES), SOON)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(QueueSpanProcessor(exporter.queue))
    make(provider, 10)
    assert not provider.force_flush()
    make(provider, 20, first=10)
    assert provider.force_flush()
    provider.shutdown()


@pytest.mark.parametrize("processor", PROCESSORS)
def test_an_exporter_that_hangs_holds_nobody_up(processor: Callable[[SpanExporter], Any]) -> None:
    theirs = Scripted("hang")
    exporter = wrap_exporter(theirs, SOON)
    with provider_with(exporter, processor) as provider:
        make(provider, 10)
        assert not exporter.force_flush(200)
        assert theirs.entered.acquire(timeout=10)
        make(provider, 3_000, first=10)  # would stand still here
        began_s = time.monotonic()
        provider.shutdown()
        assert time.monotonic() - began_s < 20  # not the exporter's eternity
        counts = exporter.queue.counts()
        assert (counts.put, counts.exported, counts.dropped) == (3_000, 0, {"shutdown": 3_000})
        theirs.let_go.set()


def test_an_exporter_that_hangs_for_a_while_loses_nothing() -> None:
    theirs = Scripted("hang")
    exporter = wrap_exporter(theirs, SOON)
    with provider_with(exporter) as provider:
        make(provider, 10)
        assert not exporter.force_flush(50)
        make(provider, 20, first=10)
        theirs.let_go.set()
        assert exporter.force_flush()
        assert theirs.taken == names(0, 20)


def test_what_waits_for_a_hanging_exporter_is_bounded_in_bytes() -> None:
    theirs = Scripted("hang")
    settings = DeliverySettings(queue_bytes=1_000_000, handover_bytes=1_000_000, batch_bytes=100_000, shutdown_s=0.1)
    exporter = wrap_exporter(theirs, settings)
    with provider_with(exporter) as provider:
        for number in range(200):
            provider.get_tracer("test").start_span(f"s{number}", attributes={"text": f"{number:04}" * 10_000}).end()
        exporter.force_flush(200)
        counts = exporter.queue.counts()
        waiting = counts.pending_bytes + exporter.queue._backlog.waiting_bytes
        assert counts.dropped["queue_full"] > 100
        assert 500_000 < waiting <= 2_000_000
        assert balanced(exporter.queue)


@pytest.mark.parametrize("error", [RuntimeError("theirs"), SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_an_exporter_that_raises_is_tried_again(error: BaseException) -> None:
    theirs = Scripted(error, error)
    exporter = wrap_exporter(theirs, SOON)
    with provider_with(exporter) as provider:
        make(provider, 10)
        assert exporter.force_flush()
        assert theirs.taken == names(0, 10)
        ((cause, count),) = exporter.queue.fence.counts().items()
        assert (cause.partition(":")[0], count) == ("delivery.send", 2)  # not `delivery.thread`: that one lives


def test_a_batch_at_which_an_exporter_always_raises_costs_only_itself() -> None:
    theirs = Scripted(*[SystemExit(3)] * 5)
    exporter = wrap_exporter(theirs, SOON)
    with provider_with(exporter) as provider:
        make(provider, 10)
        assert not exporter.force_flush()
        assert exporter.queue.counts().dropped == {"failed": 10}
        make(provider, 20, first=10)
        assert exporter.force_flush()
        assert theirs.taken == names(10, 20)


def test_a_batch_that_failed_is_tried_again_and_given_up_at_last() -> None:
    theirs = Scripted(*[SpanExportResult.FAILURE] * (2 + MAX_TRIES))
    exporter = wrap_exporter(theirs, SOON)
    with provider_with(exporter) as provider:
        theirs.script[2:2] = [SpanExportResult.SUCCESS]
        make(provider, 10)
        assert exporter.force_flush()
        assert theirs.taken == names(0, 10)
        make(provider, 20, first=10)
        assert not exporter.force_flush()
        assert exporter.queue.counts().dropped == {"refused": 10}
        make(provider, 30, first=20)
        assert exporter.force_flush()
        assert theirs.taken == [*names(0, 10), *names(20, 30)]


def test_an_exporter_that_says_nothing_has_succeeded() -> None:
    theirs = Scripted(None)
    exporter = wrap_exporter(theirs, SOON)
    with provider_with(exporter) as provider:
        make(provider, 10)
        assert exporter.force_flush()
        assert theirs.batches == 1


def test_a_flush_is_no_truer_than_the_exporters_own(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = Scripted()
    monkeypatch.setattr(theirs, "force_flush", lambda _: False)
    exporter = wrap_exporter(theirs, SOON)
    with provider_with(exporter) as provider:
        make(provider, 1)
        assert not exporter.force_flush()


@pytest.mark.parametrize("processor", PROCESSORS)
def test_the_exporter_is_shut_down_once_with_the_provider(processor: Callable[[SpanExporter], Any]) -> None:
    theirs = Scripted()
    exporter = wrap_exporter(theirs, SOON)
    with provider_with(exporter, processor) as provider:
        make(provider, 10)
    assert theirs.taken == names(0, 10)
    assert theirs.ended == 1
    exporter.shutdown()
    assert theirs.ended == 1
    assert exporter.export([]) is SpanExportResult.SUCCESS


def test_an_exporter_that_cannot_be_shut_down_holds_nobody_up() -> None:
    theirs = Scripted()
    theirs.shutdown = theirs.let_go.wait  # type: ignore[method-assign, assignment]
    began_s = time.monotonic()
    exporter = wrap_exporter(theirs, SOON)
    exporter.shutdown()
    assert time.monotonic() - began_s < 20
    theirs.let_go.set()


def test_what_the_exporter_itself_makes_is_not_delivered() -> None:
    class Chatty(Scripted):
        def export(self, spans: Sequence[ReadableSpan]) -> Any:
            make(provider, 100, first=99)
            return super().export(spans)

    theirs = Chatty()
    exporter = wrap_exporter(theirs, SOON)
    with provider_with(exporter) as provider:
        make(provider, 2)
        assert exporter.force_flush()
        assert theirs.taken == names(0, 2)


def test_a_span_that_comes_after_the_end_is_counted_and_said_to_have_failed() -> None:
    exporter: WrappedSpanExporter = wrap_exporter(Scripted(), SOON)
    exporter.shutdown()
    provider = TracerProvider(shutdown_on_exit=False)
    span: Any = provider.get_tracer("test").start_span("late")
    assert exporter.export([span, span]) is SpanExportResult.FAILURE
    assert exporter.queue.counts().dropped == {"shutdown": 2}


def test_a_spool_is_for_otlp(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "traces")
    exporter = wrap_exporter(OTLPSpanExporter(f"{unused_url()}/v1/traces"), SOON, spool)
    with provider_with(exporter) as provider:
        make(provider, 10)
        assert exporter.force_flush()
        assert exporter.queue.counts().spooled == 10
    with pytest.raises(ValueError, match="a spool holds OTLP, and ConsoleSpanExporter is not"):
        wrap_exporter(ConsoleSpanExporter(), spool=spool)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (None, "NoneType"),
        ("http://collector", "str"),
        (ConsoleSpanExporter, "the class ConsoleSpanExporter"),
        (ConsoleMetricExporter(), "ConsoleMetricExporter"),
        (SimpleSpanProcessor(ConsoleSpanExporter()), "SimpleSpanProcessor"),
    ],
)
def test_what_is_no_exporter_is_named(given: Any, named: str) -> None:
    with pytest.raises(TypeError, match=f"must be a SpanExporter or a LogRecordExporter, made; got {named}$"):
        wrap_exporter(given)


def test_wrapping_twice_is_wrapping_once() -> None:
    exporter = wrap_exporter(Scripted())
    assert wrap_exporter(exporter) is exporter
    exporter.shutdown()
