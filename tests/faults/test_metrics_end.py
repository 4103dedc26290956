"""Metrics whose backend does not answer: what the end of a process, `uninstrument()` and `flush()` promise then."""

from __future__ import annotations

import time
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

import kaizen_otel
from kaizen_otel.metric_exporter import StoppableExporter
from kaizen_otel.own_metrics import MetricWay, OwnMetrics
from kaizen_otel.patches.switch import active
from tests.faults.support import EXIT_S, running
from tests.processors.delivery.backend import HANG, Backend, Reply, unused_url

if TYPE_CHECKING:
    from collections.abc import Iterator

PROTOCOLS = ("http/protobuf", "grpc")


@pytest.fixture(params=["refuses", "hangs"])
def deaf(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a backend that takes nothing."""
    if request.param == "refuses":
        yield unused_url()
        return
    with Backend(default=Reply(HANG)) as backend:
        yield backend.url


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_exit_waits_for_metrics_no_longer_than_for_anything_else_and_says_one_line(
    deaf: str, protocol: str
) -> None:
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": deaf, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}
    with running("instrumented", 3, variables=variables) as app:
        app.wait_for("made")
        began_s = time.monotonic()
        app.end()
        assert time.monotonic() - began_s < EXIT_S  # it was 8 and 12
    lines = [line for line in app.errors.splitlines() if "metrics" in line or "Transient" in line]
    assert lines == ["the last metrics were not delivered: the backend did not take them in time"]


def test_a_flush_that_metrics_do_not_pass_is_false(deaf: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", f"{deaf}/v1/metrics")
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    monkeypatch.setenv("OTEL_LOGS_EXPORTER", "none")
    kaizen_otel.instrument(exit_timeout_s=0.1)
    try:
        telemetry = active()
        assert telemetry is not None
        own = telemetry.metrics.own
        assert own is not None
        own.provider.get_meter("test").create_counter("c").add(1)  # where nothing was counted a flush is true
        assert kaizen_otel.flush(0.2) is False
    finally:
        kaizen_otel.uninstrument()


class Waiting(MetricExporter):
    """Exports until it is told to stop, as the official ones do while they retry."""

    def __init__(self) -> None:
        super().__init__()
        self.stopped = Event()
        self.stops = 0

    def export(self, *_: Any, **__: Any) -> MetricExportResult:
        self.stopped.wait()
        return MetricExportResult.FAILURE

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        del timeout_millis
        return True

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:
        del timeout_millis
        self.stops += 1
        self.stopped.set()


def test_the_end_stops_an_exporter_that_still_tries_once() -> None:
    exporter = Waiting()
    stoppable = StoppableExporter(lambda: exporter, "waiting")
    reader = PeriodicExportingMetricReader(stoppable, export_interval_millis=86_400_000)
    metrics = OwnMetrics([MetricWay(reader, exporter=stoppable)], Resource.get_empty(), 300.0)
    metrics.provider.get_meter("test").create_counter("c").add(1)
    assert metrics.flush(0.05) is False
    assert metrics.shutdown(0.05) is False
    assert exporter.stops == 1
    assert metrics.shutdown() is True  # it has ended
    assert exporter.stops == 1
