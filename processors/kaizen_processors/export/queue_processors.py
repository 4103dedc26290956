"""Delivery queues as OpenTelemetry sees them: a span processor and a log record processor, for any provider."""

from __future__ import annotations

import copy
import logging
from typing import TYPE_CHECKING, Any, Final, TypeVar

from opentelemetry.context import Context
from opentelemetry.sdk._logs import LogRecordProcessor, ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from kaizen_processors.export.batch import GZIP
from kaizen_processors.export.delivery import DeliveryQueue, on_delivery_thread
from kaizen_processors.export.endpoint import OtlpEndpoint, Variables
from kaizen_processors.export.grpc_endpoint import GrpcEndpoint
from kaizen_processors.export.sender import OtlpHttpSender, Sender
from kaizen_processors.export.settings import DeliverySettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk._logs import ReadWriteLogRecord
    from opentelemetry.sdk.trace import Span

    from kaizen_processors.export.batch import BatchEncoder, Signal
    from kaizen_processors.export.spool import Spool
    from kaizen_processors.fence import Fence

_logger = logging.getLogger("kaizen_otel")

Item = TypeVar("Item")

_GRPC: Final = "grpc"
_HTTP: Final = "http/protobuf"


def otlp_span_queue(
    endpoint: OtlpEndpoint | GrpcEndpoint | None = None,
    settings: DeliverySettings | None = None,
    spool: Spool | None = None,
    fence: Fence | None = None,
    *,
    gather: Callable[[], None] | None = None,
) -> DeliveryQueue[ReadableSpan]:
    """A queue that delivers spans by OTLP; without an endpoint, as the `OTEL_EXPORTER_OTLP_*` variables say.

    Raises:
        ValueError: The variables name no usable endpoint.
    """
    from kaizen_processors.export.otlp import SpanBatchEncoder  # noqa: PLC0415 - loaded when used

    return _otlp_queue(SpanBatchEncoder, "traces", endpoint, settings, spool, fence=fence, gather=gather)


def otlp_log_queue(
    endpoint: OtlpEndpoint | GrpcEndpoint | None = None,
    settings: DeliverySettings | None = None,
    spool: Spool | None = None,
    fence: Fence | None = None,
    *,
    gather: Callable[[], None] | None = None,
) -> DeliveryQueue[ReadableLogRecord]:
    """A queue that delivers log records by OTLP, like `otlp_span_queue`."""
    from kaizen_processors.export.otlp import LogBatchEncoder  # noqa: PLC0415 - loaded when used

    return _otlp_queue(LogBatchEncoder, "logs", endpoint, settings, spool, fence=fence, gather=gather)


def _otlp_queue(
    new_encoder: Callable[[], BatchEncoder[Item]],
    signal: Signal,
    endpoint: OtlpEndpoint | GrpcEndpoint | None,
    settings: DeliverySettings | None,
    spool: Spool | None,
    **given: Any,
) -> DeliveryQueue[Item]:
    where = endpoint_from_environment(signal) if endpoint is None else endpoint
    sender: Sender
    if isinstance(where, GrpcEndpoint):
        from kaizen_processors.export.grpc_sender import OtlpGrpcSender  # noqa: PLC0415 - loaded when used

        sender, sealed_by = OtlpGrpcSender(where, signal), GZIP
    else:
        sender, sealed_by = OtlpHttpSender(where, signal), where.compression
    how = DeliverySettings(compression=sealed_by) if settings is None else settings
    return DeliveryQueue(new_encoder, sender, signal, how, spool, **given)


def endpoint_from_environment(signal: Signal) -> OtlpEndpoint | GrpcEndpoint:
    """Where the `OTEL_EXPORTER_OTLP_*` variables send a signal, and how: OTLP/HTTP unless they say `grpc`.

    Raises:
        ValueError: They name no usable endpoint.
    """
    protocol = (Variables(signal)("PROTOCOL") or _HTTP).lower()
    if protocol == _GRPC:
        return GrpcEndpoint.from_environment(signal)
    if protocol != _HTTP:
        _logger.warning("OTEL_EXPORTER_OTLP_PROTOCOL: %r is not available; using %s", protocol, _HTTP)
    return OtlpEndpoint.from_environment(signal)


class QueueSpanProcessor(SpanProcessor):
    """Delivers the sampled spans of a provider through a queue.

    Args:
        queue: The queue; it ends with the provider. By default one for OTLP as the environment says.

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
            try:
                self.queue.put(span)
            except Exception as error:  # noqa: BLE001 - the fence: the application ends its span here
                self.queue.fence.caught("delivery.put", error)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Deliver what has ended; True only when all of it was exported or spooled."""
        return self.queue.force_flush(timeout_millis / 1_000)

    def shutdown(self) -> None:
        """Deliver what has ended, within the settings' time, and end."""
        self.queue.shutdown()


class QueueLogRecordProcessor(LogRecordProcessor):
    """Delivers the log records of a provider through a queue.

    Args:
        queue: The queue; it ends with the provider. By default one for OTLP as the environment says.
    """

    def __init__(self, queue: DeliveryQueue[ReadableLogRecord] | None = None) -> None:
        """Deliver through this queue."""
        self.queue = otlp_log_queue() if queue is None else queue

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Hand a copy over: other processors may go on to change the record, and its context may be large."""
        if on_delivery_thread():
            return
        try:
            self.queue.put(_own_copy(log_record))
        except Exception as error:  # noqa: BLE001 - the fence: the application logs here
            self.queue.fence.caught("delivery.put", error)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Deliver what was emitted; True only when all of it was exported or spooled."""
        return self.queue.force_flush(timeout_millis / 1_000)

    def shutdown(self) -> None:
        """Deliver what was emitted, within the settings' time, and end."""
        self.queue.shutdown()


def _own_copy(log_record: ReadWriteLogRecord) -> ReadableLogRecord:
    record = copy.copy(log_record.log_record)
    record.context = Context()
    return ReadableLogRecord(
        log_record=record,
        resource=Resource.get_empty() if log_record.resource is None else log_record.resource,
        instrumentation_scope=log_record.instrumentation_scope,
        limits=log_record.limits,
    )
