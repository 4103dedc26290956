"""`kaizen-otel doctor` at a real Collector and a real Jaeger."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.kaizen_otel.doctor.examined import at, examined

if TYPE_CHECKING:
    from tests.backends.conftest import Collector, Jaeger

SIGNALS = ("otlp.traces", "otlp.metrics", "otlp.logs")


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_collector_is_well_and_the_span_arrives_behind_it(
    collector: Collector, jaeger: Jaeger, protocol: str
) -> None:
    url = collector.otlp_grpc if protocol == "grpc" else collector.otlp_http
    seen = examined(**at(url, OTEL_EXPORTER_OTLP_PROTOCOL=protocol))
    assert [seen.one(check)["level"] for check in SIGNALS] == ["ok"] * 3, seen.text
    trace = jaeger.client.trace(seen.one("otlp.traces")["facts"]["trace_id"], spans=1)
    assert trace.outline() == "kaizen-otel doctor"


def test_the_ports_of_a_collector_are_told_apart(collector: Collector) -> None:
    http_at_grpc = examined(**at(collector.otlp_grpc)).one("otlp.traces")
    grpc_at_http = examined(**at(collector.otlp_http, OTEL_EXPORTER_OTLP_PROTOCOL="grpc")).one("otlp.traces")
    assert "OTEL_EXPORTER_OTLP_PROTOCOL=grpc" in http_at_grpc["remedy"]
    assert "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf" in grpc_at_http["remedy"]


def test_a_wrong_path_and_https_at_a_collector_are_told(collector: Collector) -> None:
    path = examined(**at(f"{collector.otlp_http}/otlp")).one("otlp.traces")
    assert path["facts"]["status"] == 404
    tls = examined(**at(collector.otlp_http.replace("http://", "https://"))).one("tls")
    assert "does not speak TLS" in tls["message"]


def test_jaeger_alone_takes_traces_and_nothing_else(jaeger: Jaeger) -> None:
    seen = examined(**at(f"http://{jaeger.otlp_grpc}", OTEL_EXPORTER_OTLP_PROTOCOL="grpc"))
    assert seen.one("otlp.traces")["level"] == "ok"
    assert "OTEL_METRICS_EXPORTER=none" in seen.one("otlp.metrics")["remedy"]
    assert "OTEL_LOGS_EXPORTER=none" in seen.one("otlp.logs")["remedy"]


def test_the_user_interface_of_jaeger_is_no_receiver(jaeger: Jaeger) -> None:
    seen = examined(**at(f"http://{jaeger.client.address}"))
    assert seen.status == 1
    assert {seen.one(check)["level"] for check in SIGNALS} == {"error"}
