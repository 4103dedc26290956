"""OTLP requests as the official messages: for what is rare, and reads or changes a request that is already encoded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kaizen_processors.forking import importing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kaizen_processors.export.batch import Signal


def parsed(payload: bytes, signal: Signal) -> Any:
    """The `Export…ServiceRequest` of a signal.

    Raises:
        google.protobuf.message.DecodeError: The payload is no such request.
    """
    with importing:
        from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (  # noqa: PLC0415 - loaded when used
            ExportLogsServiceRequest,
        )
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (  # noqa: PLC0415 - loaded when used
            ExportTraceServiceRequest,
        )

    request = ExportTraceServiceRequest() if signal == "traces" else ExportLogsServiceRequest()
    request.ParseFromString(payload)
    return request


def groups(request: Any, signal: Signal) -> tuple[Any, str, str]:
    """The list of what belongs to a resource, and the names of the lists in it: scopes, and items of a scope."""
    if signal == "traces":
        return request.resource_spans, "scope_spans", "spans"
    return request.resource_logs, "scope_logs", "log_records"


def item_lists(request: Any, signal: Signal) -> Iterator[Any]:
    """The lists of spans or log records in a request, in their order."""
    resources, scopes_of, items_of = groups(request, signal)
    for resource in resources:
        for scope in getattr(resource, scopes_of):
            yield getattr(scope, items_of)
