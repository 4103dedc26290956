"""Metrics in Prometheus' text format, translated by OpenTelemetry's own exporter: names and labels are the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from prometheus_client import CollectorRegistry, generate_latest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from opentelemetry.sdk.metrics.export import MetricsData


def _translate(data: MetricsData, registry: CollectorRegistry) -> None:
    """Let the exporter translate one collection that is there already, when the registry is read."""
    reader = PrometheusMetricReader(registry=registry, scope_info_enabled=False)
    # What a MeterProvider does with its readers; the public way ends in a provider (SDK 1.43 to 1.45).
    reader._set_collect_callback(lambda _reader, **_: data)  # noqa: SLF001 - see above


class Gathering:
    """What a registry collects from: translates what `gather` gives whenever it is asked.

    Each time with a translator of its own, since those mix up what two scrapes at once are given.
    """

    def __init__(self, gather: Callable[[], MetricsData]) -> None:
        """Translate what this gives."""
        self._gather = gather

    def collect(self) -> Iterable[Any]:
        """Give the families of metrics."""
        registry = CollectorRegistry()
        _translate(self._gather(), registry)
        return list(registry.collect())


def exposition(data: MetricsData) -> str:
    """Write metrics as Prometheus reads them, `text/plain; version=0.0.4`."""
    registry = CollectorRegistry()
    _translate(data, registry)
    text: str = generate_latest(registry).decode()
    return text
