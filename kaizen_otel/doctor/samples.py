"""What is sent to see whether it is taken: one span, one log record, and a request without metrics."""

from __future__ import annotations

import os
import secrets
import time
from typing import Any, Final, NamedTuple

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs, SeverityNumber
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from kaizen_otel._version import __version__

NAME: Final = "kaizen-otel doctor"
"""Name of the span, and body of the log record."""

REQUESTS: Final[dict[str, Any]] = {
    "traces": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "logs": ExportLogsServiceRequest,
}
RESPONSES: Final[dict[str, Any]] = {
    "traces": ExportTraceServiceResponse,
    "metrics": ExportMetricsServiceResponse,
    "logs": ExportLogsServiceResponse,
}
_REJECTED: Final = {"traces": "rejected_spans", "metrics": "rejected_data_points", "logs": "rejected_log_records"}
WHAT: Final = {"traces": "a test span", "metrics": "a request without metrics", "logs": "a test log record"}


class Sample(NamedTuple):
    """A request, and the id by which its span or record is found again (empty where there is nothing to find)."""

    signal: str
    request: Any
    trace_id: str


class PartialSuccess(NamedTuple):
    """What a backend says beside taking a request."""

    rejected: int
    message: str


def sample_of(signal: str, service_name: str | None) -> Sample:
    """A request of one signal: `traces`, `metrics` or `logs`."""
    resource = Resource(attributes=[_pair("service.name", service_name or "kaizen-otel-doctor")])
    scope = InstrumentationScope(name="kaizen_otel.doctor", version=__version__)
    trace_id, now_ns = secrets.token_bytes(16), time.time_ns()
    if signal == "traces":
        span = Span(
            trace_id=trace_id,
            span_id=secrets.token_bytes(8),
            name=NAME,
            kind=Span.SpanKind.SPAN_KIND_INTERNAL,
            start_time_unix_nano=now_ns - 1_000_000,
            end_time_unix_nano=now_ns,
            attributes=[_pair("process.pid", os.getpid())],
        )
        spans = ResourceSpans(resource=resource, scope_spans=[ScopeSpans(scope=scope, spans=[span])])
        return Sample(signal, ExportTraceServiceRequest(resource_spans=[spans]), trace_id.hex())
    if signal == "logs":
        record = LogRecord(
            time_unix_nano=now_ns,
            observed_time_unix_nano=now_ns,
            severity_number=SeverityNumber.SEVERITY_NUMBER_INFO,
            severity_text="INFO",
            body=AnyValue(string_value=NAME),
            trace_id=trace_id,
        )
        logs = ResourceLogs(resource=resource, scope_logs=[ScopeLogs(scope=scope, log_records=[record])])
        return Sample(signal, ExportLogsServiceRequest(resource_logs=[logs]), trace_id.hex())
    return Sample(signal, ExportMetricsServiceRequest(), "")


def partial_success(signal: str, response: Any) -> PartialSuccess:
    """What a decoded response says of items that were not taken."""
    said = response.partial_success
    return PartialSuccess(int(getattr(said, _REJECTED[signal])), str(said.error_message))


def _pair(key: str, value: str | int) -> KeyValue:
    held = AnyValue(string_value=value) if isinstance(value, str) else AnyValue(int_value=value)
    return KeyValue(key=key, value=held)
