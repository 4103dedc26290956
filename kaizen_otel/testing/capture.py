"""Capture what agents did in a block of code."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from kaizen_otel.api import flush, instrument, uninstrument
from kaizen_otel.patches.switch import active
from kaizen_otel.testing.deterministic import SequentialIds, SteppingClock
from kaizen_processors.execution import CallRecord, ExecutionMetrics, ExecutionRecord
from kaizen_processors.money import to_decimal
from kaizen_processors.pipeline import Observer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from opentelemetry.sdk.trace import ReadableSpan


@dataclass(frozen=True, slots=True)
class CapturedSpan:
    """One finished span as a plain object. `status` is `UNSET`, `OK` or `ERROR`; durations are in milliseconds."""

    name: str
    kind: str
    status: str
    status_message: str | None
    attributes: Mapping[str, Any]
    duration_ms: float
    span_id: str
    parent_id: str | None
    trace_id: str
    raw: ReadableSpan

    def __getitem__(self, key: str) -> Any:
        return self.attributes[key]


@dataclass(frozen=True, slots=True)
class MetricPoint:
    """One data point: a number for counters and gauges, the sum (with `count`) for histograms."""

    value: float
    attributes: Mapping[str, Any]
    count: int | None = None


class _Recorder(Observer):
    def __init__(self) -> None:
        self.calls: list[CallRecord] = []
        self.executions: list[ExecutionRecord] = []

    def on_call(self, record: CallRecord) -> None:
        self.calls.append(record)

    def on_execution(self, record: ExecutionRecord) -> None:
        self.executions.append(record)


class Captured:
    """What agents did while capturing."""

    def __init__(self, clock: Any, ids: SequentialIds) -> None:
        """Build private providers that keep everything in memory."""
        self.clock = clock
        self._spans = InMemorySpanExporter()
        self._pending: list[ReadableSpan] = []
        # Detected once for the three of them: the detectors run in threads of their own.
        resource = Resource.create()
        self.tracer_provider = TracerProvider(resource=resource, id_generator=ids, shutdown_on_exit=False)
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._spans))
        self._reader = InMemoryMetricReader()
        self.meter_provider = MeterProvider([self._reader], resource, shutdown_on_exit=False)
        self._logs = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]  # untyped in SDK 1.45
        self.logger_provider = LoggerProvider(resource, shutdown_on_exit=False)
        self.logger_provider.add_log_record_processor(SimpleLogRecordProcessor(self._logs))
        self._recorder = _Recorder()

    # -- spans ----------------------------------------------------------------------------------------------------

    @property
    def spans(self) -> list[CapturedSpan]:
        """Finished spans, in the order in which they ended."""
        return [_plain(span) for span in self._spans.get_finished_spans()]

    @property
    def pending_spans(self) -> list[CapturedSpan]:
        """Placeholders for spans that had not ended (`pending_spans_s`), in the order in which `tick()` made them."""
        return [_plain(span) for span in self._pending]

    def spans_named(self, prefix: str) -> list[CapturedSpan]:
        """Finished spans whose name starts with `prefix`."""
        return [span for span in self.spans if span.name.startswith(prefix)]

    def span(self, prefix: str) -> CapturedSpan:
        """The one finished span whose name starts with `prefix`.

        Raises:
            AssertionError: there is none, or more than one.
        """
        found = self.spans_named(prefix)
        if len(found) != 1:
            raise AssertionError(f"{len(found)} spans start with {prefix!r}; all spans:\n{self.tree()}")
        return found[0]

    def tree(self) -> str:
        """The span names, indented as a tree, children in order of start; failed ones end with `!`."""
        spans = self.spans
        known = {span.span_id for span in spans}
        children: dict[str | None, list[CapturedSpan]] = {}
        for span in spans:
            children.setdefault(span.parent_id if span.parent_id in known else None, []).append(span)
        lines: list[str] = []

        def walk(parent: str | None, depth: int) -> None:
            for span in sorted(children.get(parent, []), key=lambda s: (s.raw.start_time or 0, int(s.span_id, 16))):
                lines.append("  " * depth + span.name + ("!" if span.status == "ERROR" else ""))
                walk(span.span_id, depth + 1)

        walk(None, 0)
        return "\n".join(lines)

    # -- executions and money -------------------------------------------------------------------------------------

    @property
    def executions(self) -> list[ExecutionMetrics]:
        """Finished executions, in the order in which they ended."""
        return [ExecutionMetrics.of(record) for record in self._recorder.executions]

    @property
    def calls(self) -> list[CallRecord]:
        """Finished model calls, in the order in which they ended."""
        return list(self._recorder.calls)

    @property
    def cost(self) -> Decimal:
        """US dollars of all calls whose price is known, exact."""
        return to_decimal(sum(call.price.amount or 0 for call in self._recorder.calls if call.price.missing is None))

    def assert_cost(self, *, max_usd: float | str | Decimal, complete: bool = True) -> None:
        """Fail when the calls cost more than `max_usd`, or (with `complete`) when the cost of one is not known.

        Raises:
            AssertionError: with what was spent, by agent and model.
        """
        limit = Decimal(str(max_usd))
        unknown = [call for call in self._recorder.calls if call.price.missing is not None]
        if complete and unknown:
            reasons = sorted({f"{call.model}: {call.price.missing}" for call in unknown})
            raise AssertionError(f"the cost of {len(unknown)} calls is not known ({', '.join(reasons)})")
        if self.cost > limit:
            raise AssertionError(f"calls cost ${self.cost.normalize():f}, more than ${limit:f}")

    # -- metrics and events ---------------------------------------------------------------------------------------

    def metrics(self) -> dict[str, list[MetricPoint]]:
        """Data points by metric name, as they stand now."""
        data = self._reader.get_metrics_data()
        if data is None:
            return {}
        points: dict[str, list[MetricPoint]] = {}
        for resource_metrics in data.resource_metrics:
            for scope_metrics in resource_metrics.scope_metrics:
                for metric in scope_metrics.metrics:
                    points.setdefault(metric.name, []).extend(_point(point) for point in metric.data.data_points)
        return points

    @property
    def events(self) -> list[Any]:
        """Emitted log events (`opentelemetry` log records), in order."""
        return [item.log_record for item in self._logs.get_finished_logs()]

    def tick(self) -> None:
        """Do now what else is done every ten seconds by a thread: roll windows up, keep a history."""
        telemetry = active()
        if telemetry is not None:
            telemetry.performance.tick()

    def flush(self) -> bool:
        """Wait for evaluators and outputs."""
        return flush()

    def clear(self) -> None:
        """Forget spans, records and events; metrics go on."""
        self._spans.clear()
        self._pending.clear()
        self._logs.clear()
        self._recorder.calls.clear()
        self._recorder.executions.clear()


@contextmanager
def capture(*, deterministic: bool = True, **settings: Any) -> Iterator[Captured]:
    """Instrument for the length of a block, and capture everything in memory.

    Args:
        deterministic: use a stepping clock and sequential ids.
        settings: fields of `Settings`.

    Raises:
        RuntimeError: something else has instrumented this process.
    """
    if active() is not None:
        raise RuntimeError("kaizen_otel is already instrumented: call kaizen_otel.uninstrument() before capturing")
    ids = SequentialIds()
    clock = settings.pop("clock", None) or (SteppingClock() if deterministic else None)
    captured = Captured(clock, ids)
    settings.setdefault("tracer_provider", captured.tracer_provider)
    settings.setdefault("meter_provider", captured.meter_provider)
    settings.setdefault("logger_provider", captured.logger_provider)
    if deterministic:
        settings.setdefault("id_generator", ids)
    instrument(clock=clock, **settings)
    telemetry = active()
    if telemetry is not None:
        telemetry.pipeline.add(captured._recorder)  # noqa: SLF001 - made here
        if telemetry.pending is not None:
            telemetry.pending.watchers.append(captured._pending.append)  # noqa: SLF001 - as above
    try:
        yield captured
    finally:
        captured.flush()
        captured.metrics()
        uninstrument()


def _plain(span: ReadableSpan) -> CapturedSpan:
    context = span.get_span_context()
    if context is None:  # pragma: no cover - a finished span has one
        raise AssertionError("a span without context")
    return CapturedSpan(
        name=span.name,
        kind=span.kind.name,
        status=span.status.status_code.name,
        status_message=span.status.description,
        attributes=dict(span.attributes or {}),
        duration_ms=((span.end_time or 0) - (span.start_time or 0)) / 1e6,
        span_id=f"{context.span_id:016x}",
        parent_id=f"{span.parent.span_id:016x}" if span.parent is not None else None,
        trace_id=f"{context.trace_id:032x}",
        raw=span,
    )


def _point(point: Any) -> MetricPoint:
    attributes = dict(point.attributes or {})
    if hasattr(point, "bucket_counts"):
        return MetricPoint(point.sum, attributes, point.count)
    return MetricPoint(point.value, attributes)
