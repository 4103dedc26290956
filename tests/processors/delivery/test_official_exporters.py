"""Official OTLP exporters that an application wraps: replaced by our delivery, unless they are more than that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import requests
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import (
    BatchLogRecordProcessor,
    SimpleLogRecordProcessor,
)

from kaizen_processors.export import wrap_exporter
from tests.processors.delivery.backend import Backend, Reply
from tests.processors.delivery.grpc_backend import GrpcBackend, GrpcReply
from tests.processors.delivery.scripted import PROCESSORS, SOON, make, provider_with
from tests.processors.delivery.support import names

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from opentelemetry.sdk.trace.export import (
        SpanExporter,
    )

    from kaizen_processors.export.wrapping import WrappedLogRecordExporter


@pytest.mark.parametrize("processor", PROCESSORS)
def test_an_official_http_exporter_is_replaced_by_our_delivery(processor: Callable[[SpanExporter], Any]) -> None:
    with Backend(*[Reply(503)] * 3) as backend:
        theirs = OTLPSpanExporter(f"{backend.url}/v1/traces", headers={"X-Key": "1"}, compression=Compression.Gzip)
        exporter = wrap_exporter(theirs, SOON)
        with provider_with(exporter, processor) as provider:
            make(provider, 100)
            assert exporter.force_flush()
            assert backend.taken == names(0, 100)
            assert (exporter.sends, exporter.queue.counts().exported, exporter.queue.counts().retries) == (
                "otlp", 100, 3,
            )  # fmt: skip
    request = backend.requests[-1]
    assert (request["x-key"], request["content-encoding"], request["user-agent"]) == ("1", "gzip", "kaizen-otel")


def test_requests_are_compressed_only_as_the_exporter_was_told() -> None:
    with Backend() as backend:
        exporter = wrap_exporter(OTLPSpanExporter(f"{backend.url}/v1/traces"), SOON)
        with provider_with(exporter) as provider:
            make(provider, 10)
            assert exporter.force_flush()
    assert "content-encoding" not in backend.requests[0]


@pytest.mark.parametrize("processor", PROCESSORS)
def test_an_official_grpc_exporter_is_replaced_by_our_delivery(processor: Callable[[SpanExporter], Any]) -> None:
    with GrpcBackend(*[GrpcReply("UNAVAILABLE")] * 3) as backend:
        exporter = wrap_exporter(GrpcSpanExporter(backend.url, headers={"x-key": "1"}), SOON)
        with provider_with(exporter, processor) as provider:
            make(provider, 100)
            assert exporter.force_flush()
            assert backend.taken == names(0, 100)
            assert (exporter.sends, exporter.queue.counts().exported) == ("otlp", 100)
    assert backend.requests[-1]["x-key"] == "1"


@pytest.mark.parametrize("processor", [BatchLogRecordProcessor, SimpleLogRecordProcessor])
@pytest.mark.parametrize("transport", ["http", "grpc"])
def test_log_records_go_the_same_way(transport: str, processor: Any) -> None:
    with Backend() as http, GrpcBackend() as grpc:
        exporter: WrappedLogRecordExporter = wrap_exporter(
            OTLPLogExporter(f"{http.url}/v1/logs") if transport == "http" else GrpcLogExporter(grpc.url)
        )
        provider = LoggerProvider(shutdown_on_exit=False)
        provider.add_log_record_processor(processor(exporter))
        for number in range(10):
            provider.get_logger("test").emit(body=f"line {number}")
        assert exporter.force_flush()
        assert (http.taken or grpc.taken) == [f"line {number}" for number in range(10)]
        assert (exporter.sends, exporter.queue.counts().exported) == ("otlp", 10)
        provider.shutdown()


def test_what_an_official_exporter_was_told_is_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authorities = tmp_path / "ca.pem"
    authorities.write_text("x")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "a=1")
    theirs = OTLPSpanExporter(
        "https://collector:4318/v1/traces", str(authorities), "key.pem", "cert.pem", timeout=7, compression=None
    )
    exporter = wrap_exporter(theirs)
    sender: Any = exporter.queue._sender
    endpoint = sender._endpoint
    exporter.shutdown()
    assert (endpoint.url, dict(endpoint.headers), endpoint.timeout_s, endpoint.compression) == (
        "https://collector:4318/v1/traces", {"a": "1"}, 7, "",
    )  # fmt: skip
    assert (endpoint.certificate, endpoint.client_certificate, endpoint.client_key) == (
        str(authorities), "cert.pem", "key.pem",
    )  # fmt: skip


class Subclass(OTLPSpanExporter):
    """It may do anything."""


def session_with(**given: Any) -> requests.Session:
    session = requests.Session()
    for name, value in given.items():
        setattr(session, name, value)
    return session


def mounted() -> requests.Session:
    session = requests.Session()
    session.mount("https://", type("Own", (requests.adapters.HTTPAdapter,), {})())
    return session


@pytest.mark.parametrize(
    "theirs",
    [
        Subclass,
        lambda: OTLPSpanExporter(session=session_with(auth=("user", "secret"))),
        lambda: OTLPSpanExporter(session=session_with(proxies={"https": "http://proxy"})),
        lambda: OTLPSpanExporter(session=session_with(headers={"x-session": "1"})),
        lambda: OTLPSpanExporter(session=mounted()),
        lambda: OTLPSpanExporter(session=type("Signing", (requests.Session,), {})()),
        lambda: OTLPSpanExporter(certificate_file="/nowhere/ca.pem"),
    ],
)
def test_an_official_exporter_with_something_of_the_applications_own_sends_by_itself(
    theirs: Callable[[], SpanExporter],
) -> None:
    exporter = wrap_exporter(theirs())
    exporter.shutdown()
    assert exporter.sends == "exporter"
