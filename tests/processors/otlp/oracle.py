"""The official encoder: what ours must equal byte for byte."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs as official_logs
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans as official_spans
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from kaizen_processors.export.otlp import EncodedBatch, encode_logs, encode_spans
from kaizen_processors.export.otlp.logs import log_message
from kaizen_processors.export.otlp.spans import span_message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
    from opentelemetry.proto.trace.v1.trace_pb2 import Span
    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk.trace import ReadableSpan


def assert_same_spans(spans: Sequence[ReadableSpan]) -> None:
    _assert_same(encode_spans(spans), official_spans(spans), len(spans))
    for span in spans:
        assert span_message(span), "what the official encoder takes needs no mending"


def assert_same_logs(records: Sequence[ReadableLogRecord]) -> None:
    _assert_same(encode_logs(records), official_logs(records), len(records))
    for record in records:
        assert log_message(record), "what the official encoder takes needs no mending"


def _assert_same(ours: EncodedBatch, theirs: Any, items: int) -> None:
    if ours.payload != theirs.SerializeToString():
        # As text first: the difference can be read.
        assert str(type(theirs).FromString(ours.payload)) == str(theirs)
    assert ours.payload == theirs.SerializeToString()
    assert (ours.items, ours.dropped) == (items, {})


def decoded_spans(batch: EncodedBatch) -> list[Span]:
    request = ExportTraceServiceRequest.FromString(batch.payload)
    return [span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans]


def decoded_logs(batch: EncodedBatch) -> list[LogRecord]:
    request = ExportLogsServiceRequest.FromString(batch.payload)
    return [
        record for resource in request.resource_logs for scope in resource.scope_logs for record in scope.log_records
    ]
