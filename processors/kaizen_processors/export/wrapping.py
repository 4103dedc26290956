"""`wrap_exporter`: the delivery queue for an application that owns its provider and its exporter."""

from __future__ import annotations

import inspect
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeVar, overload

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from kaizen_processors.clock import LONGEST_WAIT_S
from kaizen_processors.export.delivery import DeliveryQueue, on_delivery_thread
from kaizen_processors.export.endpoint import OtlpEndpoint
from kaizen_processors.export.official_exporters import batches_above, endpoint_of
from kaizen_processors.export.passing import CLOSE_S, ExporterSender, ItemCollector, ItemCutter, in_time
from kaizen_processors.export.queue_processors import otlp_log_queue, otlp_span_queue
from kaizen_processors.export.settings import MIB, DeliverySettings
from kaizen_processors.export.weight import log_weight, span_weight
from kaizen_processors.fence import Fence
from kaizen_processors.living import Living
from kaizen_processors.values import type_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kaizen_processors.export.batch import Signal
    from kaizen_processors.export.spool import Spool

Item = TypeVar("Item")

AS_THEY_ARE: Final = DeliverySettings(queue_bytes=64 * MIB)
"""Items that are not encoded are larger in memory: for them the queue's bytes are an estimate of what they hold."""

_wrapped: Final[dict[Signal, Living[_Wrapped[Any]]]] = {"traces": Living(), "logs": Living()}


def wrapped_exporters(signal: Signal) -> list[_Wrapped[Any]]:
    """All exporters of a signal that were wrapped in this process and are still in use."""
    return list(_wrapped[signal])


class _Wrapped(Generic[Item]):
    """What wrapped exporters of spans and of log records have in common.

    Attributes:
        signal: `traces` or `logs`.
        queue: The queue; `queue.counts()` tells what became of every item.
        sends: `otlp` when the queue sends in the exporter's place, `exporter` when it hands the items to it.
    """

    queue: DeliveryQueue[Item]
    sends: Literal["otlp", "exporter"]

    def __init__(self, exporter: Any, signal: Signal, settings: DeliverySettings | None, spool: Spool | None) -> None:
        fence = Fence()
        self.signal = signal
        self._exporter = exporter
        self._shutdown_s = (DeliverySettings() if settings is None else settings).shutdown_s
        self._passing: ExporterSender | None = None
        endpoint = endpoint_of(exporter)
        if endpoint is not None:
            self.sends = "otlp"
            make: Any = otlp_span_queue if signal == "traces" else otlp_log_queue
            if settings is not None and isinstance(endpoint, OtlpEndpoint):
                settings = replace(settings, compression=endpoint.compression)
            self.queue = make(endpoint, settings, spool, fence, gather=self._gather)
        elif spool is not None:
            raise ValueError(
                f"wrap_exporter: a spool holds OTLP, and {type_name(exporter)} is not one of OpenTelemetry's own OTLP "
                "exporters as it comes"
            )
        else:
            self.sends = "exporter"
            weigh: Any = span_weight if signal == "traces" else log_weight
            self._passing = ExporterSender(exporter, fence)
            self.queue = DeliveryQueue(
                lambda: ItemCollector(weigh),
                self._passing,
                signal,
                AS_THEY_ARE if settings is None else settings,
                fence=fence,
                cutter=ItemCutter(weigh),
                gather=self._gather,
            )
        _wrapped[signal].add(self)

    def _take(self, items: Sequence[Item]) -> bool:
        if on_delivery_thread():
            return True  # what delivering makes must not be delivered: it would never end
        taken = [self.queue.put(item) for item in items]
        return all(taken)

    def _gather(self) -> None:
        for processor in batches_above(self):
            processor.force_flush()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Deliver what was made so far, what a batch processor of the SDK holds for this exporter included.

        Returns:
            True only when all of it was delivered (or spooled), and nothing was dropped since the flush before.
        """
        timeout_s = min(timeout_millis / 1_000, LONGEST_WAIT_S)
        deadline_s = time.monotonic() + timeout_s
        done = self.queue.force_flush(timeout_s)
        if done and self._passing is not None:
            done = self._passing.flush(max(0.0, deadline_s - time.monotonic()))
        return done

    def shutdown(self, timeout_millis: float | None = None) -> None:
        """Deliver what there is, within the settings' `shutdown_s` at most, then shut the wrapped exporter down."""
        asked_s = self._shutdown_s if timeout_millis is None else timeout_millis / 1_000
        self.queue.shutdown(min(asked_s, self._shutdown_s))
        if self._passing is None:
            in_time(self._end_exporter, CLOSE_S)

    def _end_exporter(self) -> None:
        with self.queue.fence("exporter.shutdown"):
            self._exporter.shutdown()


class WrappedSpanExporter(_Wrapped[ReadableSpan], SpanExporter):
    """A span exporter behind a delivery queue; see `wrap_exporter`."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Take spans over. Never waits; `FAILURE` when one of them was dropped at once (and counted)."""
        return SpanExportResult.SUCCESS if self._take(spans) else SpanExportResult.FAILURE


class WrappedLogRecordExporter(_Wrapped[ReadableLogRecord], LogRecordExporter):
    """A log record exporter behind a delivery queue; see `wrap_exporter`."""

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Take log records over. Never waits; `FAILURE` when one of them was dropped at once (and counted)."""
        return LogRecordExportResult.SUCCESS if self._take(batch) else LogRecordExportResult.FAILURE


@overload
def wrap_exporter(
    exporter: SpanExporter, settings: DeliverySettings | None = None, spool: Spool | None = None
) -> WrappedSpanExporter: ...


@overload
def wrap_exporter(
    exporter: LogRecordExporter, settings: DeliverySettings | None = None, spool: Spool | None = None
) -> WrappedLogRecordExporter: ...


def wrap_exporter(
    exporter: Any, settings: DeliverySettings | None = None, spool: Spool | None = None
) -> WrappedSpanExporter | WrappedLogRecordExporter:
    """Put the delivery queue before an exporter of your own provider.

    What is exported waits in a queue that is bounded in bytes; exporting never waits and never raises, every item ends
    in exactly one of exported, spooled, dropped for a reason. An official OTLP exporter as it comes is replaced by our
    encoder and sender, with its endpoint, headers, TLS files, time and compression; any other one gets the items as
    they are, in batches, on one thread (docs/delivery.md says what follows from that).

    Args:
        exporter: A span or log record exporter, which is the wrapper's from now on: it is shut down with it.
        settings: Sizes and times; by default `DeliverySettings()`. Compression is the exporter's.
        spool: Where batches go that cannot be delivered at once; for official OTLP exporters only.

    Raises:
        TypeError: `exporter` is not an instance of `SpanExporter` or `LogRecordExporter`.
        ValueError: A spool for an exporter that is not an official OTLP one.

    Example:
        >>> provider.add_span_processor(SimpleSpanProcessor(wrap_exporter(OTLPSpanExporter())))
    """
    if isinstance(exporter, (WrappedSpanExporter, WrappedLogRecordExporter)):
        return exporter
    if isinstance(exporter, SpanExporter):
        return WrappedSpanExporter(exporter, "traces", settings, spool)
    if isinstance(exporter, LogRecordExporter):
        return WrappedLogRecordExporter(exporter, "logs", settings, spool)
    given = f"the class {exporter.__name__}" if inspect.isclass(exporter) else type_name(exporter)
    raise TypeError(f"wrap_exporter: exporter must be a SpanExporter or a LogRecordExporter, made; got {given}")
