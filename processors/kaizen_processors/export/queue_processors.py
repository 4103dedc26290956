"""Delivery queues as OpenTelemetry sees them: a span processor and a log record processor, for any provider."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, TypeVar

from opentelemetry.context import Context
from opentelemetry.sdk._logs import LogRecordProcessor, ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from kaizen_processors.export.delivery import DeliveryQueue, on_delivery_thread
from kaizen_processors.export.endpoint import OtlpEndpoint
from kaizen_processors.export.sender import OtlpHttpSender
from kaizen_processors.export.settings import DeliverySettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk._logs import ReadWriteLogRecord
    from opentelemetry.sdk.trace import Span

    from kaizen_processors.export.batch import BatchEncoder, Signal
    from kaizen_processors.export.spool import Spool
    from kaizen_processors.fence import Fence

Item = TypeVar("Item")


def otlp_span_queue(
    endpoint: OtlpEndpoint | None = None,
    settings: DeliverySettings | None = None,
    spool: Spool | None = None,
    fence: Fence | None = None,
) -> DeliveryQueue[ReadableSpan]:
    """A queue that delivers spans by OTLP/HTTP; without an endpoint, as the `OTEL_EXPORTER_OTLP_*` variables say.

    Raises:
        ValueError: The variables name no usable endpoint.
    """
    from kaizen_processors.export.otlp import SpanBatchEncoder  # noqa: PLC0415 - loaded when used

    return _otlp_queue(SpanBatchEncoder, "traces", endpoint, settings, spool, fence)


def otlp_log_queue(
    endpoint: OtlpEndpoint | None = None,
    settings: DeliverySettings | None = None,
    spool: Spool | None = None,
    fence: Fence | None = None,
) -> DeliveryQueue[ReadableLogRecord]:
    """A queue that delivers log records by OTLP/HTTP, like `otlp_span_queue`."""
    from kaizen_processors.export.otlp import LogBatchEncoder  # noqa: PLC0415 - loaded when used

    return _otlp_queue(LogBatchEncoder, "logs", endpoint, settings, spool, fence)


def _otlp_queue(
    new_encoder: Callable[[], BatchEncoder[Item]],
    signal: Signal,
    endpoint: OtlpEndpoint | None,
    settings: DeliverySettings | None,
    spool: Spool | None,
    fence: Fence | None,
) -> DeliveryQueue[Item]:
    where = OtlpEndpoint.from_environment(signal) if endpoint is None else endpoint
    how = DeliverySettings(compression=where.compression) if settings is None else settings
    return DeliveryQueue(new_encoder, OtlpHttpSender(where, signal), signal, how, spool, fence=fence)


class QueueSpanProcessor(SpanProcessor):
    """Delivers the sampled spans of a provider through a queue.

    Args:
        queue: The queue; it ends with the provider. By default one for OTLP/HTTP as the environment says.

    Example:
        >>> provider.add_span_processor(QueueSpanProcessor())
    """

    def __init__(self, queue: DeliveryQueue[ReadableSpan] | None = None) -> None:
        """Deliver through this queue."""
        self.queue = otlp_span_queue() if queue is None else queue

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing is to be done yet."""

    def on_end(self, span: ReadableSpan) -> None:
        """Hand over a sampled span."""
        context = span.context
        if context is not None and context.trace_flags.sampled and not on_delivery_thread():
            self.queue.put(span)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Deliver what has ended; True only when all of it was exported or spooled."""
        return self.queue.force_flush(timeout_millis / 1_000)

    def shutdown(self) -> None:
        """Deliver what has ended, within the settings' time, and end."""
        self.queue.shutdown()


class QueueLogRecordProcessor(LogRecordProcessor):
    """Delivers the log records of a provider through a queue.

    Args:
        queue: The queue; it ends with the provider. By default one for OTLP/HTTP as the environment says.
    """

    def __init__(self, queue: DeliveryQueue[ReadableLogRecord] | None = None) -> None:
        """Deliver through this queue."""
        self.queue = otlp_log_queue() if queue is None else queue

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Hand a copy over: other processors may go on to change the record, and its context may be large."""
        if on_delivery_thread():
            return
        record = copy.copy(log_record.log_record)
        record.context = Context()
        self.queue.put(
            ReadableLogRecord(
                log_record=record,
                resource=Resource.get_empty() if log_record.resource is None else log_record.resource,
                instrumentation_scope=log_record.instrumentation_scope,
                limits=log_record.limits,
            )
        )

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Deliver what was emitted; True only when all of it was exported or spooled."""
        return self.queue.force_flush(timeout_millis / 1_000)

    def shutdown(self) -> None:
        """Deliver what was emitted, within the settings' time, and end."""
        self.queue.shutdown()
