"""Hand-made telemetry with plain OpenTelemetry: shows that the road works, without anything of ours on it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

if TYPE_CHECKING:
    from collections.abc import Iterator

# Only a flush exports: what arrives does not depend on how fast the machine is.
_NEVER_MS: Final = 24 * 3600 * 1000.0


@contextmanager
def tracer_provider(endpoint: str, service: str) -> Iterator[TracerProvider]:
    """A provider whose spans go to an OTLP/HTTP endpoint, flushed at the end of the block."""
    provider = TracerProvider(resource=_resource(service), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{endpoint}/v1/traces")))
    try:
        yield provider
    finally:
        provider.shutdown()


@contextmanager
def meter_provider(endpoint: str, service: str, *, delta: bool = False) -> Iterator[MeterProvider]:
    """A provider whose metrics go to an OTLP/HTTP endpoint, once, at the end of the block."""
    temporality = AggregationTemporality.DELTA if delta else AggregationTemporality.CUMULATIVE
    exporter = OTLPMetricExporter(
        f"{endpoint}/v1/metrics", preferred_temporality={Counter: temporality, Histogram: temporality}
    )
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=_NEVER_MS)
    provider = MeterProvider(resource=_resource(service), metric_readers=[reader], shutdown_on_exit=False)
    try:
        yield provider
    finally:
        provider.shutdown()


def _resource(service: str) -> Resource:
    return Resource({"service.name": service, "service.instance.id": f"{service}-1"})
