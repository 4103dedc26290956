"""Where OTLP over gRPC goes, as the variables say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kaizen_processors.export.grpc_endpoint import GrpcEndpoint
from kaizen_processors.export.queue_processors import endpoint_from_environment

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("variables", "target", "insecure"),
    [
        ({}, "localhost:4317", True),
        ({"ENDPOINT": "http://collector:4317"}, "collector:4317", True),
        ({"ENDPOINT": "https://collector:4317/"}, "collector:4317", False),
        ({"ENDPOINT": "collector:4317"}, "collector:4317", False),
        ({"ENDPOINT": "collector:4317", "INSECURE": "true"}, "collector:4317", True),
        ({"ENDPOINT": "https://collector:4317", "INSECURE": "true"}, "collector:4317", False),
        ({"ENDPOINT": "http://all:4317", "TRACES_ENDPOINT": "https://traces:443"}, "traces:443", False),
        ({"ENDPOINT": "unix:/run/otel.sock", "TRACES_INSECURE": "TRUE"}, "unix:/run/otel.sock", True),
    ],
)
def test_the_variables_say_where_to_as_they_do_to_the_official_exporter(
    variables: dict[str, str], target: str, insecure: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", value)
    ours = GrpcEndpoint.from_environment("traces")
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    theirs = OTLPSpanExporter()
    theirs.shutdown()
    assert (ours.target, ours.insecure) == (target, insecure)
    assert theirs._endpoint == ours.target
    if ours.target != "traces:443" and "TRACES_INSECURE" not in variables and not target.startswith("unix"):
        assert theirs._insecure == ours.insecure


def test_the_other_variables_are_those_of_the_signal(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("x")
    endpoint = GrpcEndpoint.from_environment(
        "logs",
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector:4317",
            "OTEL_EXPORTER_OTLP_HEADERS": "a=1",
            "OTEL_EXPORTER_OTLP_LOGS_HEADERS": "b=2,c=3",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "3",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
            "OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE": str(tmp_path / "ca.pem"),
        },
    )
    assert (dict(endpoint.headers), endpoint.timeout_s, endpoint.compression) == ({"b": "2", "c": "3"}, 3.0, "gzip")
    assert endpoint.certificate == str(tmp_path / "ca.pem")


def test_a_certificate_that_is_not_there_is_said_at_the_start() -> None:
    with pytest.raises(ValueError, match=r"certificate: there is no file '/nowhere/ca.pem'"):
        GrpcEndpoint.from_environment(
            "traces",
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector:4317",
                "OTEL_EXPORTER_OTLP_CERTIFICATE": "/nowhere/ca.pem",
            },
        )
    with pytest.raises(ValueError, match="no entry point 'mine'"):
        GrpcEndpoint.from_environment(
            "traces",
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector:4317",
                "OTEL_PYTHON_EXPORTER_OTLP_GRPC_CREDENTIAL_PROVIDER": "mine",
            },
        )


@pytest.mark.parametrize(
    "given", [{"target": ""}, {"timeout_s": 0.0}, {"compression": "zstd"}, {"headers": {"authorization": "größer"}}]
)
def test_an_endpoint_that_cannot_work_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"target|greater than 0|unknown compression|'authorization': its value"):
        GrpcEndpoint(**({"target": "collector:4317"} | given))


def test_the_protocol_is_that_of_the_signal(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http/protobuf")
    assert isinstance(endpoint_from_environment("traces"), GrpcEndpoint)
    assert not isinstance(endpoint_from_environment("logs"), GrpcEndpoint)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http/json")
    assert not isinstance(endpoint_from_environment("logs"), GrpcEndpoint)
    assert "'http/json' is not available" in caplog.text
