"""What a delivery queue promises holds over gRPC, on a real gRPC server."""

from __future__ import annotations

import contextlib
import datetime as dt
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.trace import TracerProvider

from kaizen_processors.export.batch import compress
from kaizen_processors.export.grpc_endpoint import GrpcEndpoint
from kaizen_processors.export.grpc_sender import OtlpGrpcSender, classify
from kaizen_processors.export.otlp import encode_spans
from kaizen_processors.export.queue_processors import (
    QueueLogRecordProcessor,
    QueueSpanProcessor,
    otlp_log_queue,
    otlp_span_queue,
)
from kaizen_processors.export.sender import Verdict
from kaizen_processors.export.spool import Spool
from tests.processors.delivery.backend import Backend, unused_url
from tests.processors.delivery.grpc_backend import HANG, GrpcBackend, GrpcReply
from tests.processors.delivery.support import balanced, fill, names, queue_to, sender_to, span

if TYPE_CHECKING:
    from pathlib import Path


def grpc_to(target: str, **given: Any) -> OtlpGrpcSender:
    return OtlpGrpcSender(GrpcEndpoint(target, insecure=True, **given), "traces")


def test_everything_put_arrives_once_and_in_order() -> None:
    with GrpcBackend() as backend, queue_to(grpc_to(backend.target)) as queue:
        fill(queue, 2_000)
        assert queue.force_flush(20)
        assert backend.taken == names(0, 2_000)
        counts = queue.counts()
        assert (counts.put, counts.exported, counts.pending, counts.dropped) == (2_000, 2_000, 0, {})


@pytest.mark.parametrize(
    "code", ["CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"]
)
def test_a_passing_failure_loses_and_repeats_nothing(code: str) -> None:
    with GrpcBackend(*[GrpcReply(code)] * 3) as backend, queue_to(grpc_to(backend.target)) as queue:
        fill(queue, 100)
        assert queue.force_flush(20)
        assert backend.taken == names(0, 100)
        assert queue.counts().retries == 3


@pytest.mark.parametrize(
    "code",
    [
        "UNKNOWN", "INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "UNAUTHENTICATED",
        "FAILED_PRECONDITION", "UNIMPLEMENTED", "INTERNAL", "RESOURCE_EXHAUSTED",
    ],
)  # fmt: skip
def test_a_refusal_is_final_and_counted(code: str) -> None:
    with GrpcBackend(GrpcReply(code)) as backend, queue_to(grpc_to(backend.target)) as queue:
        fill(queue, 10)
        assert not queue.force_flush(20)
        assert queue.counts().dropped == {"refused": 10}
        fill(queue, 20, first=10)
        assert queue.force_flush(20)
        assert backend.taken == names(10, 20)


def test_a_full_server_that_names_a_time_is_tried_again_and_one_that_does_not_is_believed() -> None:
    with GrpcBackend(GrpcReply("RESOURCE_EXHAUSTED", retry_after_s=0.05)) as backend:
        with queue_to(grpc_to(backend.target)) as queue:
            fill(queue, 10)
            assert queue.force_flush(20)
        assert backend.taken == names(0, 10)
    assert classify("RESOURCE_EXHAUSTED", "no room").verdict is Verdict.REFUSED


@pytest.mark.parametrize(("asked_s", "expected"), [(1.5, 1.5), (3_600.0, 3_600.0), (0.0, None), (None, None)])
def test_the_time_that_a_server_names_is_told(asked_s: float | None, expected: float | None) -> None:
    with GrpcBackend(GrpcReply("UNAVAILABLE", retry_after_s=asked_s)) as backend:
        sender = grpc_to(backend.target)
        outcome = sender.send(b"", "")
        sender.close()
    assert (outcome.verdict, outcome.retry_after_s, outcome.unreachable) == (Verdict.RETRY, expected, False)


def test_details_that_are_no_status_are_no_reason_to_fail() -> None:
    trailers = (("grpc-status-details-bin", b"\xff\xff"), ("other", "x"))
    assert classify("UNAVAILABLE", "", trailers).retry_after_s is None


def test_items_that_a_backend_rejects_are_counted_apart() -> None:
    partial = ExportTraceServiceResponse()
    partial.partial_success.rejected_spans = 4
    reply = GrpcReply(body=partial.SerializeToString())
    with GrpcBackend(reply) as backend, queue_to(grpc_to(backend.target)) as queue:
        fill(queue, 10)
        assert not queue.force_flush(20)
        assert (queue.counts().exported, queue.counts().dropped) == (6, {"rejected": 4})


def test_a_batch_that_is_too_large_is_halved_until_it_fits() -> None:
    with GrpcBackend(max_bytes=1_500) as backend, queue_to(grpc_to(backend.target)) as queue:
        fill(queue, 100)
        assert queue.force_flush(20)
        assert backend.taken == names(0, 100)


@pytest.mark.parametrize(
    ("code", "details"),
    [
        ("RESOURCE_EXHAUSTED", "grpc: received message larger than max (5242880 vs. 4194304)"),  # grpc-go
        ("RESOURCE_EXHAUSTED", "grpc: received message after decompression larger than max 4194304"),
        ("UNKNOWN", "Received http2 header with status: 413"),  # a proxy
    ],
)
def test_the_words_for_too_large_are_known(code: str, details: str) -> None:
    assert classify(code, details).verdict is Verdict.TOO_LARGE


def test_a_request_that_hangs_is_given_up_and_sent_again() -> None:
    with GrpcBackend(GrpcReply(HANG)) as backend, queue_to(grpc_to(backend.target, timeout_s=0.2)) as queue:
        fill(queue, 10)
        assert queue.force_flush(20)
        assert backend.taken == names(0, 10)


def test_a_server_that_comes_back_is_found_at_once() -> None:
    first = GrpcBackend()
    target = first.target
    with queue_to(grpc_to(target), interval_s=0.01) as queue:
        with first:
            fill(queue, 10)
            assert queue.force_flush(20)
        fill(queue, 20, first=10)
        assert not queue.force_flush(0.3)
        with GrpcBackend(port=int(target.rpartition(":")[2])) as second:
            assert queue.force_flush(20)
            assert second.taken == names(10, 20)
    assert first.taken == names(0, 10)


def test_flush_keeps_its_deadline_and_says_no_when_the_backend_hangs() -> None:
    with GrpcBackend(default=GrpcReply(HANG)) as backend, queue_to(grpc_to(backend.target)) as queue:
        fill(queue, 10)
        assert backend.wait_for_requests(0)
        assert not queue.force_flush(0.1)
        assert queue.counts().pending == 10
        assert not queue.shutdown(0.1)
        assert queue.counts().dropped == {"shutdown": 10}
        assert balanced(queue)


def test_nobody_there_is_told_from_a_broken_answer() -> None:
    sender = grpc_to(unused_url().removeprefix("http://"))
    assert sender.send(b"", "").unreachable
    sender.close()


def test_what_was_spooled_over_grpc_is_replayed_over_http(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "traces")
    with queue_to(grpc_to(unused_url().removeprefix("http://")), spool=spool) as queue:
        fill(queue, 10)
        assert queue.force_flush(20)
        assert queue.counts().spooled == 10
    with Backend() as backend, queue_to(sender_to(backend.url), spool=Spool(tmp_path, "traces")) as queue:
        queue.start()
        assert backend.wait_for_items(10)
        assert backend.taken == names(0, 10)


class Tap:
    """Forwards one connection and counts what the client sends."""

    def __init__(self, target: str) -> None:
        self.sent_bytes = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.target = f"127.0.0.1:{self._listening.getsockname()[1]}"
        host, _, port = target.rpartition(":")
        self._where = (host, int(port))
        threading.Thread(target=self._forward, daemon=True).start()

    def _forward(self) -> None:
        client, _ = self._listening.accept()
        server = socket.create_connection(self._where)
        threading.Thread(target=self._back, args=(server, client), daemon=True).start()
        with self._listening, client, contextlib.suppress(OSError):
            while chunk := client.recv(65_536):
                self.sent_bytes += len(chunk)
                server.sendall(chunk)
            server.shutdown(socket.SHUT_RDWR)

    def _back(self, server: socket.socket, client: socket.socket) -> None:
        with server, contextlib.suppress(OSError):
            while chunk := server.recv(65_536):
                client.sendall(chunk)


@pytest.mark.parametrize(("compression", "least", "most"), [("", 200_000, 300_000), ("gzip", 0, 20_000)])
def test_a_request_is_compressed_on_the_wire_as_the_endpoint_says(compression: str, least: int, most: int) -> None:
    payload = encode_spans([span(0, text="x" * 200_000)]).payload
    with GrpcBackend() as backend:
        tap = Tap(backend.target)
        sender = grpc_to(tap.target, compression=compression)
        assert sender.send(compress(payload, "gzip"), "gzip").verdict is Verdict.DELIVERED
        sender.close()
        assert backend.taken == ["s0"]
    assert least < tap.sent_bytes < most


def test_headers_and_time_are_those_of_the_endpoint() -> None:
    with GrpcBackend() as backend:
        sender = grpc_to(backend.target, headers={"X-Key": "secret"}, timeout_s=7.0)
        assert sender.send(b"", "").verdict is Verdict.DELIVERED
        sender.close()
    (request,) = backend.requests
    assert request["x-key"] == "secret"
    assert request["user-agent"].startswith("kaizen-otel ")
    assert 5.0 < request["time_left_s"] < 7.5
    assert "secret" not in repr(GrpcEndpoint("collector:4317", headers={"x-key": "secret"}))


def test_tls_is_spoken_with_the_files_of_the_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = self_signed()
    credentials = grpc.ssl_server_credentials([(key, certificate)], certificate, require_client_auth=True)
    with GrpcBackend(credentials=credentials) as backend:
        for name, content in (("CERTIFICATE", certificate), ("CLIENT_CERTIFICATE", certificate), ("CLIENT_KEY", key)):
            (tmp_path / name).write_bytes(content)
            monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", str(tmp_path / name))
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"https://{backend.target}")
        sender = OtlpGrpcSender(GrpcEndpoint.from_environment("traces"), "traces")
        assert sender.send(b"", "").verdict is Verdict.DELIVERED
        sender.close()
        stranger = OtlpGrpcSender(GrpcEndpoint(backend.target), "traces")
        assert stranger.send(b"", "", 5.0).verdict is Verdict.RETRY
        stranger.close()


def self_signed() -> tuple[bytes, bytes]:
    """A certificate of `localhost`, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM), key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def test_spans_and_log_records_of_providers_are_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    partial = ExportLogsServiceResponse()
    partial.partial_success.rejected_log_records = 1
    with GrpcBackend() as backend:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", backend.url)
        provider, log_provider = TracerProvider(shutdown_on_exit=False), LoggerProvider(shutdown_on_exit=False)
        provider.add_span_processor(QueueSpanProcessor(otlp_span_queue()))
        logs = otlp_log_queue()
        log_provider.add_log_record_processor(QueueLogRecordProcessor(logs))
        with provider.get_tracer("test").start_as_current_span("found"):
            log_provider.get_logger("test").emit(body="line")
        assert provider.force_flush()
        assert log_provider.force_flush()
        assert sorted(backend.taken) == ["found", "line"]
        backend.script.append(GrpcReply(body=partial.SerializeToString()))
        log_provider.get_logger("test").emit(body="another")
        assert not log_provider.force_flush()
        assert logs.counts().dropped == {"rejected": 1}
        provider.shutdown()
        log_provider.shutdown()


def test_grpc_is_imported_when_the_first_batch_is_sent(tmp_path: Path) -> None:
    with GrpcBackend() as backend:
        program = tmp_path / "program.py"
        program.write_text(
            f"""
import os, sys
os.environ |= {{"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_ENDPOINT": "{backend.url}"}}
from kaizen_processors.export.queue_processors import otlp_span_queue
from tests.processors.delivery.support import span
queue = otlp_span_queue()
assert not any(name.partition(".")[0] in {{"grpc", "google"}} for name in sys.modules)
queue.put(span(0))
assert queue.force_flush()
assert "grpc" in sys.modules
""",
            "utf-8",
        )
        environment = {"PYTHONPATH": ":".join(path for path in ("", *sys.path) if path), "PATH": ""}
        subprocess.run([sys.executable, str(program)], check=True, env=environment, timeout=60)  # noqa: S603
        assert backend.taken == ["s0"]
