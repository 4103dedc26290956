"""What became of our own metrics, which have no queue: every export that failed is counted, and said once."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricExporter, MetricExportResult

import kaizen_otel
from kaizen_otel.metric_exporter import _EXPORTERS_LOGS, StoppableExporter
from kaizen_processors.export.accounts import DeliveryCounts
from tests.processors.delivery.backend import Backend, Reply

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.metrics.export import MetricsData

EXPORTED = "otel.sdk.exporter.metric_data_point.exported"


def instrument(monkeypatch: pytest.MonkeyPatch, url: str, **settings: Any) -> None:
    for name, value in {
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{url}/v1/metrics",
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("opentelemetry.metrics.set_meter_provider", lambda _: None)
    kaizen_otel.instrument(exit_timeout_s=0.1, **settings)


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Backend]:
    with Backend(default=Reply(403), keep=True) as backend:
        instrument(monkeypatch, backend.url)
        yield backend
        kaizen_otel.uninstrument()


def counts() -> DeliveryCounts:
    found = kaizen_otel.stats()["delivery"]["metrics"]
    assert isinstance(found, DeliveryCounts)
    return found


def test_exports_that_failed_are_counted_and_said_once(refusing: Backend, caplog: pytest.LogCaptureFixture) -> None:
    assert not kaizen_otel.flush()
    once = counts()
    assert not kaizen_otel.flush()
    twice = counts()

    assert (once.exported, once.pending) == (twice.exported, twice.pending) == (0, 0)
    assert 0 < once.dropped["failed"] < twice.dropped["failed"]
    lines = [record.getMessage() for record in caplog.records if record.levelname != "DEBUG"]
    assert len(lines) == 1
    assert lines[0].startswith("metrics were not delivered (the backend did not take them)")

    refusing.default = Reply()
    assert kaizen_otel.flush()
    assert counts().exported > 0
    assert counts().dropped == twice.dropped
    assert sent(refusing.bodies[-1]) == {("",): 0, ("failed",): twice.dropped["failed"]}


def sent(body: bytes) -> dict[tuple[str], int]:
    """The points that were exported, by `error.type`, as an export tells them of the exports before."""
    found = {}
    for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.sum.data_points if metric.name == EXPORTED else ():
                    said = {pair.key: pair.value.string_value for pair in point.attributes}
                    assert said["otel.component.type"] == "otlp_http_metric_exporter"
                    found[(said.get("error.type", ""),)] = point.as_int
    return found


def test_interfaces_that_show_what_was_dropped_show_metrics_too(refusing: Backend) -> None:
    from kaizen_otel.transparency.interface import interface_of

    assert not kaizen_otel.flush()
    assert refusing.requests
    assert any("metrics dropped: failed" in problem for problem in interface_of()._health()["problems"])


class Broken(MetricExporter):
    stopped = False

    def export(self, *_: Any, **__: Any) -> MetricExportResult:
        raise RuntimeError("broken")

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        del timeout_millis
        return True

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:
        del timeout_millis
        self.stopped = True


def some_metrics() -> MetricsData:
    reader = InMemoryMetricReader()
    MeterProvider([reader], shutdown_on_exit=False).get_meter("test").create_counter("c").add(1)
    data = reader.get_metrics_data()
    assert data is not None
    return data


def test_an_exporter_that_raises_has_failed_and_after_the_end_points_are_too_late() -> None:
    exporter = StoppableExporter(Broken, "broken")
    assert exporter.export(some_metrics()) is MetricExportResult.FAILURE
    assert exporter.counts() == DeliveryCounts(put=1, dropped={"failed": 1})
    exporter.end()
    assert exporter.export(some_metrics()) is MetricExportResult.FAILURE
    assert exporter.counts() == DeliveryCounts(put=2, dropped={"failed": 1, "shutdown": 1})


class Slow(Broken):
    """Exports when it is let, and logs what became of it as the official ones do."""

    def __init__(self) -> None:
        self._preferred_temporality, self._preferred_aggregation = {}, {}
        self.begun, self.go_on = threading.Event(), threading.Event()

    def export(self, *_: Any, **__: Any) -> MetricExportResult:
        self.begun.set()
        assert self.go_on.wait(30.0)
        logging.getLogger(_EXPORTERS_LOGS[0]).error("failed")
        return MetricExportResult.FAILURE


def filters() -> list[Any]:
    return [one for name in _EXPORTERS_LOGS for one in logging.getLogger(name).filters]


def test_the_log_is_left_alone_again_when_the_export_that_outlives_the_end_has_said_its_last(
    caplog: pytest.LogCaptureFixture,
) -> None:
    before, slow = filters(), Slow()
    exporter = StoppableExporter(lambda: slow, "slow")
    data = some_metrics()
    thread = threading.Thread(target=exporter.export, args=(data,))
    thread.start()
    assert slow.begun.wait(30.0)
    exporter.begin_end()
    assert not exporter.end()
    assert len(filters()) > len(before)
    slow.go_on.set()
    thread.join(30.0)
    assert caplog.messages == []
    assert filters() == before
    exporter.export(data)
    assert exporter.counts() == DeliveryCounts(put=2, dropped={"shutdown": 2})


def test_a_forked_child_leaves_the_log_alone_where_its_parent_waited_for_the_last_export() -> None:
    before, slow = filters(), Slow()
    exporter = StoppableExporter(lambda: slow, "slow")
    thread = threading.Thread(target=exporter.export, args=(some_metrics(),))
    thread.start()
    assert slow.begun.wait(30.0)
    exporter.end()
    exporter.after_fork_in_child()
    assert filters() == before
    slow.go_on.set()
    thread.join(30.0)


def test_a_forked_child_connects_anew_and_leaves_its_parents_connection_alone() -> None:
    made: list[Broken] = []

    def make() -> Broken:
        made.append(Broken())
        return made[-1]

    exporter = StoppableExporter(make, "broken")
    exporter.export(some_metrics())
    exporter.after_fork_in_child()
    assert exporter.counts() == DeliveryCounts()
    exporter.export(some_metrics())
    exporter.end()
    assert [one.stopped for one in made] == [False, True]
