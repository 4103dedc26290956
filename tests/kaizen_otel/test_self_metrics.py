"""What kaizen-otel says of itself: metrics about delivery and failures, and events when something of it dies."""

from __future__ import annotations

import secrets
import threading
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import kaizen_otel
from kaizen_otel.patches.switch import active
from kaizen_otel.testing.capture import capture
from kaizen_processors.export.accounts import DropReason
from kaizen_processors.pipeline import FAILURES_UNTIL_DISABLED, Observer
from tests.processors.delivery.backend import Backend
from tests.processors.delivery.backend import Reply as Answer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.telemetry import Telemetry
    from kaizen_otel.testing import Captured
    from kaizen_processors.execution import CallRecord

Points = dict[str, dict[tuple[str, ...], Any]]
ONE_SPAN = 1


def telemetry() -> Telemetry:
    found = active()
    assert found is not None
    return found


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemoryMetricReader]:
    """A reader of the application's own metrics, while our traces and events leave by OTLP."""
    monkeypatch.setattr("opentelemetry.trace.set_tracer_provider", lambda _: None)
    reader = InMemoryMetricReader()
    yield reader
    kaizen_otel.uninstrument()


def start(reader: InMemoryMetricReader, **settings: Any) -> None:
    provider = MeterProvider([reader], shutdown_on_exit=False)
    kaizen_otel.instrument(meter_provider=provider, **settings)


def read(reader: InMemoryMetricReader) -> Points:
    """Values by metric and by the values of its labels, in the order of their keys; component names left out."""
    data = reader.get_metrics_data()
    assert data is not None
    found: Points = {}
    for metric in data.resource_metrics[0].scope_metrics[0].metrics:
        if metric.name.startswith(("otel.sdk.", "kaizen.telemetry.")):
            points: Any = metric.data.data_points
            found[metric.name] = {_labels(point.attributes): point.value for point in points}
    return found


def _labels(attributes: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(value) for key, value in sorted(attributes.items()) if not key.startswith("otel."))


def end_a_span(**attributes: str) -> None:
    assert telemetry().providers.tracer is not None
    provider = telemetry().providers._own_tracer_provider
    assert provider is not None
    provider.get_tracer("application").start_span("s", attributes=attributes).end()


def point_at(monkeypatch: pytest.MonkeyPatch, backend: Backend) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{backend.url}/v1/traces")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", f"{backend.url}/v1/logs")


def test_what_was_delivered_counts_as_exported_under_the_official_names(
    reader: InMemoryMetricReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Backend() as backend:
        point_at(monkeypatch, backend)
        start(reader)
        end_a_span()
        kaizen_otel.record_evaluation("helpful", score=0.5)
        assert kaizen_otel.flush()

        points = read(reader)
        assert points["otel.sdk.exporter.span.exported"] == {(): 1}
        assert points["otel.sdk.exporter.log.exported"] == {(): 1}
        assert points["otel.sdk.processor.span.queue.size"] == {(): 0}
        assert points["otel.sdk.processor.log.queue.size"] == {(): 0}
        assert points["kaizen.telemetry.queue.usage"] == {("traces",): 0, ("logs",): 0}
        assert points["kaizen.telemetry.queue.limit"] == {("traces",): 16 << 20, ("logs",): 16 << 20}
        assert points["kaizen.telemetry.retries"] == {("traces",): 0, ("logs",): 0}
        assert "kaizen.telemetry.dropped" not in points
        assert "kaizen.telemetry.spool.usage" not in points


def test_the_official_metrics_name_the_component(reader: InMemoryMetricReader, monkeypatch: pytest.MonkeyPatch) -> None:
    with Backend() as backend:
        point_at(monkeypatch, backend)
        start(reader)
        data = reader.get_metrics_data()
        assert data is not None
        labels = {
            metric.name: dict(metric.data.data_points[0].attributes or {})
            for metric in data.resource_metrics[0].scope_metrics[0].metrics
            if metric.name.startswith("otel.sdk.") and ".span." in metric.name
        }
    assert labels == {
        "otel.sdk.exporter.span.exported": {
            "otel.component.name": "otlp_http_span_exporter/0",
            "otel.component.type": "otlp_http_span_exporter",
        },
        "otel.sdk.processor.span.queue.size": {
            "otel.component.name": "QueueSpanProcessor/0",
            "otel.component.type": "kaizen_processors.export.queue_processors.QueueSpanProcessor",
        },
    }


def test_refused_items_are_failed_exports_and_drops_with_their_reason(
    reader: InMemoryMetricReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Backend(default=Answer(403)) as backend:
        point_at(monkeypatch, backend)
        start(reader)
        end_a_span()
        assert not kaizen_otel.flush()

        points = read(reader)
        assert points["otel.sdk.exporter.span.exported"] == {(): 0, ("refused",): ONE_SPAN}
        assert points["kaizen.telemetry.dropped"][("refused", "traces")] == ONE_SPAN


def test_refused_events_are_failed_exports_too(reader: InMemoryMetricReader, monkeypatch: pytest.MonkeyPatch) -> None:
    with Backend(default=Answer(403)) as backend:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", f"{backend.url}/v1/logs")
        start(reader)
        kaizen_otel.record_evaluation("helpful", score=0.5)
        assert not kaizen_otel.flush()

        points = read(reader)
        assert points["otel.sdk.exporter.log.exported"][("refused",)] >= 1
        assert points["kaizen.telemetry.dropped"][("refused", "logs")] >= 1


def test_what_waits_and_what_goes_to_disk_is_told(
    reader: InMemoryMetricReader, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with Backend(default=Answer(503)) as backend:
        point_at(monkeypatch, backend)
        start(reader, spool=tmp_path, spool_max_bytes="2MiB")
        end_a_span()
        assert kaizen_otel.flush()

        points = read(reader)
        assert points["kaizen.telemetry.spooled"] == {("traces",): 1, ("logs",): 0}
        assert points["kaizen.telemetry.spool.usage"][("traces",)] > 0
        assert points["kaizen.telemetry.spool.limit"] == {("traces",): 2 << 20, ("logs",): 2 << 20}
        assert points["otel.sdk.exporter.span.exported"] == {(): 0}


def test_what_an_earlier_process_left_is_delivered_from_the_start_on(
    reader: InMemoryMetricReader, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with Backend(default=Answer(503)) as away:
        point_at(monkeypatch, away)
        start(InMemoryMetricReader(), spool=tmp_path)
        end_a_span()
        assert kaizen_otel.flush()
        kaizen_otel.uninstrument()

    with Backend() as backend:
        point_at(monkeypatch, backend)
        start(reader, spool=tmp_path)
        assert backend.wait_for_items(1)  # no span was made by this one
        wait_for(lambda: read(reader)["kaizen.telemetry.replayed"][("traces",)] == 1)
        assert read(reader)["otel.sdk.exporter.span.exported"] == {(): 1}
    assert backend.taken == ["s"]


def wait_for(holds: Any) -> None:
    pause = threading.Event()
    for _ in range(1_000):
        if holds():
            return
        pause.wait(0.01)
    raise AssertionError("it never came about")


@pytest.mark.telemetry_fails
def test_a_spool_that_cannot_be_used_is_said_and_delivery_goes_on_without(
    reader: InMemoryMetricReader, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    occupied = tmp_path / "occupied"
    occupied.write_text("a file is here")
    with Backend() as backend:
        point_at(monkeypatch, backend)
        start(reader, spool=occupied / "spool")
        end_a_span()
        assert kaizen_otel.flush()

        assert backend.taken == ["s"]
        assert f"the spool {occupied / 'spool'} cannot be used (Not a directory)" in caplog.text
        assert read(reader)["kaizen.telemetry.failures"] == {("NotADirectoryError", "spool.open"): 2}


class Broken(Observer):
    def on_call(self, record: CallRecord) -> None:
        raise RuntimeError(record.model)


def run_agent(times: int) -> None:
    from kaizen.core.framework import Kaizen

    agent = Kaizen().create_agent("qa", {"model": "gpt-4o", "provider": "openai"})
    for _ in range(times):
        agent.execute(question="hi")


@pytest.mark.telemetry_fails
def test_an_observer_that_is_switched_off_is_an_event_and_a_metric(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    telemetry().pipeline.add(Broken())
    run_agent(FAILURES_UNTIL_DISABLED)
    assert kaizen_telemetry.flush()

    assert len(kaizen_offline.requests) == FAILURES_UNTIL_DISABLED
    (event,) = kaizen_telemetry.events
    assert (event.event_name, event.severity_text) == ("kaizen.telemetry.observer.disabled", "ERROR")
    assert dict(event.attributes) == {"kaizen.telemetry.observer.name": "Broken"}
    assert event.body == "Broken failed again and again and is switched off"
    metrics = kaizen_telemetry.metrics()
    (disabled,) = metrics["kaizen.telemetry.disabled_observers"]
    assert (disabled.value, dict(disabled.attributes)) == (1, {"observer": "Broken"})
    (failed,) = metrics["kaizen.telemetry.failures"]
    assert failed.value == FAILURES_UNTIL_DISABLED
    assert dict(failed.attributes) == {"place": "observer.call", "error.type": "RuntimeError"}


def test_the_event_of_a_disabled_observer_never_holds_the_call_up(
    kaizen_offline: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go, in_it = threading.Event(), threading.Event()

    def hang(*_: Any, **__: Any) -> None:
        in_it.set()
        let_go.wait()

    with capture(structural_quality=False):
        monkeypatch.setattr(telemetry().providers.events, "emit", hang)
        telemetry().pipeline.add(Broken())
        run_agent(FAILURES_UNTIL_DISABLED + 1)
        assert in_it.wait(10)
        assert len(kaizen_offline.requests) == FAILURES_UNTIL_DISABLED + 1
        assert not telemetry().alerts.flush(0.01)
        let_go.set()
        assert telemetry().alerts.flush(10)


def test_the_first_drop_of_each_reason_is_an_event(kaizen_telemetry: Captured) -> None:
    for _ in range(3):
        for signal in ("traces", "logs"):
            for reason in DropReason:
                telemetry().alerts.items_dropped(signal, reason.value)
    assert kaizen_telemetry.flush()

    told = [dict(event.attributes) for event in kaizen_telemetry.events]
    assert {event.event_name for event in kaizen_telemetry.events} == {"kaizen.telemetry.items.dropped"}
    assert len(told) == 2 * (len(DropReason) - 1)
    assert {"kaizen.telemetry.signal": "traces", "error.type": "queue_full"} in told
    assert not [one for one in told if one["error.type"] == "shutdown"]  # nobody is left to hear of it


def test_spans_that_begin_to_be_dropped_are_one_event_by_otlp(
    reader: InMemoryMetricReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Backend(default=Answer(403)) as refusing, Backend() as backend:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{refusing.url}/v1/traces")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", f"{backend.url}/v1/logs")
        start(reader)
        for _ in range(2):
            end_a_span()
            assert not kaizen_otel.flush()
        assert backend.wait_for_items(1)
        assert kaizen_otel.stats()["delivery"]["logs"].put == 1
        assert read(reader)["kaizen.telemetry.dropped"] == {("refused", "traces"): 2}


def test_a_queue_that_is_full_is_an_event_a_metric_and_a_line_in_the_log(
    reader: InMemoryMetricReader, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with Backend(default=Answer(503)) as away, Backend() as backend:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{away.url}/v1/traces")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", f"{backend.url}/v1/logs")
        start(reader, queue_bytes="64KiB")
        for _ in range(1_200):
            end_a_span(noise=secrets.token_hex(512))  # such text does not become much smaller
        kaizen_otel.flush(0.01)
        wait_for(lambda: ("queue_full", "traces") in read(reader).get("kaizen.telemetry.dropped", {}))
        assert backend.wait_for_items(1)
        assert "traces are dropped (queue_full); this is said once, the counts go on" in caplog.text

        points = read(reader)
        assert points["kaizen.telemetry.queue.limit"][("traces",)] == 64 << 10
        assert points["otel.sdk.processor.span.queue.size"][()] > 0
        assert points["otel.sdk.exporter.span.exported"] == {(): 0}  # what never came to an export did not fail in one


def test_the_prometheus_endpoint_serves_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opentelemetry.trace.set_tracer_provider", lambda _: None)
    with Backend(default=Answer(403)) as backend:
        point_at(monkeypatch, backend)
        kaizen_otel.instrument(prometheus_port=0)
        try:
            end_a_span()
            kaizen_otel.flush()
            port = kaizen_otel.stats()["prometheus_port"]
            with urllib.request.urlopen(f"http://localhost:{port}/metrics", timeout=10) as answer:
                text = answer.read().decode()
        finally:
            kaizen_otel.uninstrument()
    assert 'kaizen_telemetry_dropped_total{error_type="refused",signal="traces"} 1.0' in text
    assert 'kaizen_telemetry_queue_limit_bytes{signal="traces"} 1.6777216e+07' in text
    assert 'otel_sdk_exporter_span_exported_total{error_type="refused",otel_component_name="otlp_http_span' in text
    assert "otel_sdk_processor_span_queue_size{" in text


def test_nothing_is_reported_after_uninstrument(reader: InMemoryMetricReader, monkeypatch: pytest.MonkeyPatch) -> None:
    with Backend() as backend:
        point_at(monkeypatch, backend)
        start(reader)
        kaizen_otel.uninstrument()
        data = reader.get_metrics_data()
    assert data is None or not data.resource_metrics
