from __future__ import annotations

import logging
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceResponse,
)

import kaizen_otel
from tests.kaizen_otel.otlp_endpoint import Received, receiving
from tests.processors.delivery.grpc_backend import GrpcBackend, GrpcReply

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kaizen_otel.demo.model_server import ModelServer


@pytest.fixture
def http_endpoint() -> Iterator[tuple[str, Received]]:
    with receiving() as found:
        yield found


@pytest.fixture
def grpc_endpoint() -> Iterator[tuple[str, Received]]:
    received = Received()

    class Traces(trace_service_pb2_grpc.TraceServiceServicer):
        def Export(self, request: Any, context: object) -> ExportTraceServiceResponse:  # noqa: ARG002, N802 - gRPC's
            received.traces(request)
            return ExportTraceServiceResponse()

    class Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
        def Export(self, request: Any, context: object) -> ExportMetricsServiceResponse:  # noqa: ARG002, N802 - gRPC's
            received.collected(request)
            return ExportMetricsServiceResponse()

    with ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool)
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Traces(), server)  # type: ignore[no-untyped-call]
        metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(Metrics(), server)  # type: ignore[no-untyped-call]
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield f"http://127.0.0.1:{port}", received
        server.stop(grace=None).wait()


def _run_agent() -> None:
    from kaizen.core.framework import Kaizen

    Kaizen().create_agent("qa", {"model": "gpt-4o", "provider": "openai"}).execute(question="hi")


@pytest.fixture
def otlp(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Received]:
    protocol: str = request.param
    url, received = request.getfixturevalue("grpc_endpoint" if protocol == "grpc" else "http_endpoint")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_INSECURE", "true")
    yield received
    kaizen_otel.uninstrument()


# The providers are private here: the API takes a global one only once in a process.
@pytest.mark.parametrize("otlp", ["http/protobuf", "grpc"], indirect=True)
def test_spans_and_metrics_leave_by_the_protocol_that_the_variables_name(
    kaizen_offline: ModelServer, otlp: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opentelemetry.trace.set_tracer_provider", lambda _: None)
    monkeypatch.setattr("opentelemetry.metrics.set_meter_provider", lambda _: None)
    kaizen_otel.instrument(service_name="desk")

    _run_agent()
    assert kaizen_otel.flush()

    assert len(kaizen_offline.requests) == 1
    assert sorted(otlp.spans) == [
        "chat gpt-4o",
        "create_agent qa",
        "invoke_agent qa",
        "invoke_workflow",
        "node LLMAgentNode",
    ]
    assert {"kaizen.agent.executions", "kaizen.cost.usd", "kaizen.execution.duration"} <= otlp.metrics
    assert otlp.services == {"desk"}
    assert kaizen_otel.stats()["export"] == "own"
    assert kaizen_otel.stats()["delivery"]["traces"].exported >= 5  # others of this process may be among them


def test_events_leave_by_grpc_through_a_queue_of_their_own(
    kaizen_offline: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    del kaizen_offline
    with GrpcBackend(*[GrpcReply("UNAVAILABLE")] * 2) as backend:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", backend.url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "grpc")
        kaizen_otel.instrument()
        kaizen_otel.record_evaluation("helpful", score=0.9, execution_id="0" * 32)
        assert kaizen_otel.flush()
        assert [request[""] for request in backend.requests] == ["/v1/logs"] * 3
        assert kaizen_otel.stats()["delivery"]["logs"].exported == 1
        kaizen_otel.uninstrument()


@pytest.mark.parametrize("otlp", ["http/protobuf"], indirect=True)
def test_metrics_about_telemetry_leave_by_otlp_too(
    kaizen_offline: ModelServer, otlp: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opentelemetry.trace.set_tracer_provider", lambda _: None)
    monkeypatch.setattr("opentelemetry.metrics.set_meter_provider", lambda _: None)
    kaizen_otel.instrument()
    _run_agent()
    assert kaizen_otel.flush()

    assert len(kaizen_offline.requests) == 1
    assert {
        "otel.sdk.exporter.span.exported",
        "otel.sdk.processor.log.queue.size",
        "kaizen.telemetry.queue.limit",
    } <= otlp.metrics


def test_the_console_stamps_log_records_by_default(
    kaizen_offline: ModelServer, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    kaizen_otel.instrument(console=True)
    try:
        with caplog.at_level(logging.INFO, logger="kailash"):
            _run_agent()
            kaizen_otel.flush()
    finally:
        kaizen_otel.uninstrument()

    stamped = [record for record in caplog.records if getattr(record, "kaizenAgentName", "") == "qa"]
    assert stamped
    assert all(len(vars(record)["otelTraceID"]) == 32 for record in stamped)
    assert "agent qa" in capsys.readouterr().err
    assert len(kaizen_offline.requests) == 1
    assert not hasattr(logging.makeLogRecord({}), "kaizenAgentName")


@pytest.mark.telemetry_fails
def test_a_flush_of_a_file_that_cannot_be_written_is_false_and_the_failure_counted(
    kaizen_offline: ModelServer, tmp_path: Path
) -> None:
    path = tmp_path / "run.jsonl"
    kaizen_otel.instrument(file=path)
    try:
        path.unlink()
        path.mkdir()
        _run_agent()
        assert not kaizen_otel.flush()
        assert kaizen_otel.stats()["failures"] == {"otlp_file.write:IsADirectoryError": 1}
        path.rmdir()
        _run_agent()
        assert kaizen_otel.flush()
    finally:
        kaizen_otel.uninstrument()
    assert path.read_text("utf-8").count("invoke_agent qa")
    assert len(kaizen_offline.requests) == 2


def test_a_file_can_be_opened_again(kaizen_offline: ModelServer, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from kaizen_otel.cli import app

    path = tmp_path / "run.jsonl"
    kaizen_otel.instrument(file=path)
    try:
        _run_agent()
        assert kaizen_otel.flush()
    finally:
        kaizen_otel.uninstrument()

    shown = CliRunner().invoke(app, ["open", str(path)])
    assert shown.exit_code == 0
    assert "agent qa" in shown.output
    assert "chat gpt-4o" in shown.output
    assert len(kaizen_offline.requests) == 1


def test_evaluations_leave_by_otlp_too(
    kaizen_offline: ModelServer, http_endpoint: tuple[str, Received], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, received = http_endpoint
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", f"{url}/v1/logs")
    kaizen_otel.instrument()
    try:
        kaizen_otel.record_evaluation("helpful", score=0.5)
        assert kaizen_otel.flush()
    finally:
        kaizen_otel.uninstrument()

    assert received.events == ["gen_ai.evaluation.result"]
    assert received.spans == []
    assert len(kaizen_offline.requests) == 0


@pytest.mark.parametrize("signal", ["TRACES", "LOGS"])
def test_an_endpoint_that_is_none_is_a_clear_error_at_start(signal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT", "collector:4318")

    with pytest.raises(kaizen_otel.SettingsError, match="collector:4318"):
        kaizen_otel.instrument()

    assert not kaizen_otel.stats()["instrumented"]


def test_outputs_that_kaizens_config_asks_for_are_opened_when_it_is_read(
    kaizen_offline: ModelServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from kaizen.core.framework import Kaizen

    path = tmp_path / "run.jsonl"
    exporters = {"console": True, "file": {"path": str(path)}, "prometheus": {"port": 0}}
    kaizen_otel.instrument()
    try:
        kaizen = Kaizen(config={"exporters": exporters})
        kaizen.create_agent("qa", {"model": "gpt-4o", "provider": "openai"}).execute(question="hi")
        assert kaizen_otel.flush()
        port = kaizen_otel.stats()["prometheus_port"]
        with urllib.request.urlopen(f"http://localhost:{port}/metrics", timeout=10) as answer:
            served = answer.read().decode()
    finally:
        kaizen_otel.uninstrument()

    assert len(kaizen_offline.requests) == 1
    assert "agent qa" in capsys.readouterr().err
    assert "chat gpt-4o" in path.read_text("utf-8")
    assert 'kaizen_agent_executions_total{agent_name="qa"' in served
