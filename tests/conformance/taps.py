"""Catches everything that kaizen-otel emits in this process, whoever made the providers.

The SDK has no public place that sees all providers, so its own fan-out is wrapped (opentelemetry-sdk 1.43 to 1.45).
Our instrumentation gives its scope the schema URL of its conventions; signals that a test makes by hand have none and
pass by.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from opentelemetry.sdk._logs._internal import SynchronousMultiLogRecordProcessor
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricsData
from opentelemetry.sdk.trace import SynchronousMultiSpanProcessor

from kaizen_otel.metric_exporter import StoppableExporter
from kaizen_otel.pending import PendingSpans
from kaizen_semconv import GEN_AI_SCHEMA_URLS
from tests.conformance.checker import is_ours

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from contextlib import AbstractContextManager

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    from tests.conformance.checker import EmittedLog


@contextmanager
def tapped(
    on_span: Callable[[ReadableSpan], None],
    on_metrics: Callable[[MetricsData], None],
    on_log: Callable[[EmittedLog], None],
    schema_urls: Collection[str] = tuple(GEN_AI_SCHEMA_URLS.values()),
) -> Iterator[None]:
    """Give every ended span, collection (of an in-memory reader, or exported by us) and log record to these."""

    def instrumented(scope: InstrumentationScope | None) -> bool:
        return scope is not None and is_ours(scope) and scope.schema_url in schema_urls

    def placeholder_made(placeholder: ReadableSpan) -> None:
        if instrumented(placeholder.instrumentation_scope):
            on_span(placeholder)

    def span_ended(span: ReadableSpan) -> None:
        if instrumented(span.instrumentation_scope):
            on_span(span)

    def log_emitted(record: EmittedLog) -> None:
        if instrumented(record.instrumentation_scope):
            on_log(record)

    def metrics_collected(data: MetricsData) -> None:
        if any(instrumented(scope.scope) for resource in data.resource_metrics for scope in resource.scope_metrics):
            on_metrics(data)

    with (
        _tap(SynchronousMultiSpanProcessor, "on_end", span_ended),
        _tap(PendingSpans, "_send", placeholder_made),
        _tap(SynchronousMultiLogRecordProcessor, "on_emit", log_emitted),
        _tap(InMemoryMetricReader, "_receive_metrics", metrics_collected),
        _tap(StoppableExporter, "export", metrics_collected),
    ):
        yield


def _tap(owner: type, method: str, observe: Callable[[Any], None]) -> AbstractContextManager[Any]:
    original = getattr(owner, method)

    def observed(self: Any, signal: Any, *args: Any, **kwargs: Any) -> Any:
        observe(signal)
        return original(self, signal, *args, **kwargs)

    return patch.object(owner, method, observed)
