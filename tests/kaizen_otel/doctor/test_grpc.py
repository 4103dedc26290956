"""`kaizen-otel doctor` at real OTLP/gRPC servers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2_grpc
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from tests.kaizen_otel.doctor.examined import Authority, Examined, examined
from tests.processors.delivery.backend import Backend, unused_url

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Receiver:
    """Takes spans and log records; says what a test wants it to say."""

    def __init__(self) -> None:
        self.spans: list[str] = []
        self.metadata: dict[str, str] = {}
        self.code: Any = None
        self.response = ExportTraceServiceResponse()

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's
        self.metadata |= dict(context.invocation_metadata())
        if self.code is not None:
            context.abort(self.code, "says the backend")
        if hasattr(request, "resource_logs"):
            return ExportLogsServiceResponse()
        self.spans += [s.name for r in request.resource_spans for scope in r.scope_spans for s in scope.spans]
        return self.response


@contextmanager
def serving(receiver: Receiver, certificate: Any = None) -> Iterator[str]:
    with ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool)
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(receiver, server)  # type: ignore[no-untyped-call]
        logs_service_pb2_grpc.add_LogsServiceServicer_to_server(receiver, server)  # type: ignore[no-untyped-call]
        if certificate is None:
            port = server.add_insecure_port("127.0.0.1:0")
        else:
            chain = b"".join(part.bytes() for part in certificate.cert_chain_pems)
            pair = (certificate.private_key_pem.bytes(), chain)
            port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
        server.start()
        yield f"127.0.0.1:{port}"
        server.stop(grace=None).wait()


def ask(where: str, **env: str) -> Examined:
    return examined(
        **{
            "OTEL_EXPORTER_OTLP_ENDPOINT": where,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "5",
            **env,
        }
    )


def test_a_good_receiver_takes_a_span_and_a_log_record() -> None:
    receiver = Receiver()
    with serving(receiver) as where:
        seen = ask(f"http://{where}", OTEL_EXPORTER_OTLP_HEADERS="api-key=hunter2")
    assert seen.status == 0
    assert (seen.one("otlp.traces")["level"], seen.one("otlp.logs")["level"]) == ("ok", "ok")
    assert receiver.spans == ["kaizen-otel doctor"]
    assert receiver.metadata["api-key"] == "hunter2"
    assert "hunter2" not in seen.text


def test_nobody_listens() -> None:
    seen = ask(unused_url())
    assert seen.status == 1
    assert "connection refused" in seen.one("tcp")["message"]


@pytest.mark.parametrize(
    ("code", "level", "remedy"),
    [
        ("UNAUTHENTICATED", "error", "OTEL_EXPORTER_OTLP_HEADERS"),
        ("PERMISSION_DENIED", "error", "not enough"),
        ("UNIMPLEMENTED", "error", "takes no OTLP"),
        ("RESOURCE_EXHAUSTED", "warning", "too busy"),
        ("INTERNAL", "error", "log of the backend"),
    ],
)
def test_each_code_has_a_remedy(code: str, level: str, remedy: str) -> None:
    receiver = Receiver()
    receiver.code = grpc.StatusCode[code]
    with serving(receiver) as where:
        found = ask(f"http://{where}").one("otlp.traces")
    assert (found["level"], found["message"]) == (level, f"traces: gRPC {code} (“says the backend”)")
    assert remedy in found["remedy"]


def test_rejected_spans_are_told() -> None:
    receiver = Receiver()
    said = ExportTracePartialSuccess(rejected_spans=1, error_message="quota")
    receiver.response = ExportTraceServiceResponse(partial_success=said)
    with serving(receiver) as where:
        found = ask(f"http://{where}").one("otlp.traces")
    assert (found["level"], "“quota”" in found["message"]) == ("error", True)


def test_a_signal_that_it_does_not_take_is_switched_off_rather_than_mended() -> None:
    with serving(Receiver()) as where:
        seen = ask(f"http://{where}", OTEL_METRICS_EXPORTER="otlp")
    assert seen.one("otlp.traces")["level"] == "ok"
    assert seen.one("otlp.metrics")["facts"]["code"] == "UNIMPLEMENTED"
    assert "OTEL_METRICS_EXPORTER=none" in seen.one("otlp.metrics")["remedy"]


def test_a_port_for_http_is_recognised() -> None:
    with Backend() as backend:
        found = ask(backend.url).one("otlp.traces")
    assert "speaks HTTP, and the protocol is grpc" in found["message"]
    assert "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf" in found["remedy"]


def test_a_server_of_grpc_is_recognised_by_http() -> None:
    with serving(Receiver()) as where:
        seen = examined(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"http://{where}/v1/traces")
    assert "speaks gRPC, and the protocol is http/protobuf" in seen.one("otlp.traces")["message"]
    assert "OTEL_EXPORTER_OTLP_PROTOCOL=grpc" in seen.one("otlp.traces")["remedy"]


def test_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with serving(Receiver(), authority.certificate()) as where:
        good = ask(f"https://{where}", OTEL_EXPORTER_OTLP_CERTIFICATE=authority.file)
        bare = ask(where, OTEL_EXPORTER_OTLP_CERTIFICATE=authority.file)
        unknown = ask(f"https://{where}")
        plain = ask(f"http://{where}")
    assert (good.status, bare.status) == (0, 0)
    assert "is not trusted" in unknown.one("tls")["message"]
    assert "speaks TLS" in plain.one("otlp.traces")["message"]
