"""`kaizen-otel doctor` at real OTLP/HTTP servers: well, and ill in every way that users meet."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsPartialSuccess, ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from kaizen_otel.doctor import reach
from tests.kaizen_otel.doctor.examined import Authority, TlsBackend, at, examined, run, silent_server, tunnel_to
from tests.processors.delivery.backend import HANG, RESET, Backend, Reply, unused_url

if TYPE_CHECKING:
    from pathlib import Path

SIGNALS = ("otlp.traces", "otlp.metrics", "otlp.logs")
PROTOBUF = {"content-type": "application/x-protobuf"}


def test_a_good_backend_takes_a_span_and_a_log_record_and_all_is_well() -> None:
    with Backend() as backend:
        seen = examined(**at(backend.url))
        assert sorted(backend.taken) == ["kaizen-otel doctor", "kaizen-otel doctor"]
        assert {request[""] for request in backend.requests} == {"/v1/traces", "/v1/metrics", "/v1/logs"}
    assert (seen.status, seen.report["errors"], seen.report["warnings"]) == (0, 0, 0)
    assert [seen.one(check)["level"] for check in SIGNALS] == ["ok"] * 3
    assert seen.one("clock")["level"] == "ok"
    assert len(seen.one("otlp.traces")["facts"]["trace_id"]) == 32


def test_headers_are_sent_and_never_shown() -> None:
    secret = "hunter2-token"  # noqa: S105 - it must not appear
    with Backend(default=Reply(401, body=f"no such token: Bearer {secret}".encode())) as backend:
        env = at(
            backend.url.replace("//", f"//user:{secret}@"),
            OTEL_EXPORTER_OTLP_HEADERS=f"authorization=Bearer%20{secret}",
        )
        seen = examined(**env)
        _, text = run(**env)
        assert {request["authorization"] for request in backend.requests} == {f"Bearer {secret}"}
    assert seen.status == 1
    assert secret not in seen.text
    assert secret not in text
    assert "“no such token: •••”" in seen.one("otlp.traces")["message"]


@pytest.mark.parametrize(
    ("status", "level", "remedy"),
    [
        (400, "error", "version 1"),
        (401, "error", "OTEL_EXPORTER_OTLP_HEADERS"),
        (403, "error", "token and tenant"),
        (404, "error", "Receivers listen at /v1/traces"),
        (405, "error", "Receivers listen at /v1/traces"),
        (301, "error", "No redirect is followed"),
        (415, "error", "binary protobuf"),
        (429, "warning", "ask again"),
        (500, "error", "look into its log"),
        (503, "warning", "ask again"),
    ],
)
def test_each_status_has_a_remedy(status: int, level: str, remedy: str) -> None:
    with Backend(default=Reply(status)) as backend:
        seen = examined(**at(backend.url))
    found = seen.one("otlp.traces")
    assert (found["level"], found["facts"]["status"]) == (level, status)
    assert found["message"].startswith(f"traces: HTTP {status} from {backend.url}/v1/traces")
    assert remedy in found["remedy"]
    assert seen.status == (1 if level == "error" else 0)


def test_a_web_page_is_no_receiver_although_it_says_200() -> None:
    page = Reply(200, {"content-type": "text/html; charset=utf-8"}, b"<html><title>Jaeger UI</title></html>")
    with Backend(default=page) as backend:
        seen = examined(**at(backend.url))
    assert [seen.one(check)["level"] for check in SIGNALS] == ["error"] * 3
    assert "is no OTLP receiver" in seen.one("otlp.logs")["message"]


def test_an_answer_that_is_no_otlp_is_doubted() -> None:
    with Backend(default=Reply(200, {"content-type": "text/plain"}, b"It works!")) as backend:
        seen = examined(**at(backend.url))
    assert seen.one("otlp.traces")["level"] == "warning"
    assert "“It works!”" in seen.one("otlp.traces")["message"]


def test_rejected_items_are_told_with_the_backends_reason() -> None:
    def answer(message: str, rejected: int) -> Reply:
        said = ExportTracePartialSuccess(rejected_spans=rejected, error_message=message)
        return Reply(200, PROTOBUF, ExportTraceServiceResponse(partial_success=said).SerializeToString())

    for rejected, level in ((1, "error"), (0, "warning")):
        with Backend(default=answer("no service.name allowed", rejected)) as backend:
            seen = examined(**{**at(""), "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{backend.url}/v1/traces"})
        assert seen.one("otlp.traces")["level"] == level
        assert "“no service.name allowed”" in seen.one("otlp.traces")["message"]
        assert not seen.findings("otlp.logs")


def test_rejected_log_records_are_told_in_json_too() -> None:
    said = b'{"partialSuccess": {"rejectedLogRecords": "1", "errorMessage": "too long ago"}}'
    with Backend(default=Reply(200, {"content-type": "application/json"}, said)) as backend:
        seen = examined(OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=f"{backend.url}/v1/logs")
    assert seen.one("otlp.logs")["level"] == "error"
    assert "“too long ago”" in seen.one("otlp.logs")["message"]
    binary = ExportLogsPartialSuccess(rejected_log_records=1)
    with Backend(
        default=Reply(200, PROTOBUF, ExportLogsServiceResponse(partial_success=binary).SerializeToString())
    ) as backend:
        seen = examined(OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=f"{backend.url}/v1/logs")
    assert "no reason given" in seen.one("otlp.logs")["message"]


def test_nobody_listens() -> None:
    url = unused_url()
    seen = examined(**at(url))
    assert seen.status == 1
    assert seen.one("tcp")["message"] == f"nobody listens on {url.removeprefix('http://')} (connection refused)"
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in seen.one("tcp")["remedy"]
    assert not seen.findings("otlp.traces")


def test_a_host_without_an_address() -> None:
    seen = examined(**at("http://collector.invalid:4318"))
    assert seen.one("dns")["level"] == "error"
    assert "collector.invalid" in seen.one("dns")["message"]
    assert not seen.findings("tcp")


def test_a_backend_that_never_answers() -> None:
    with Backend(default=Reply(HANG)) as backend:
        seen = examined(**at(backend.url, OTEL_EXPORTER_OTLP_TIMEOUT="0.3"))
    assert [seen.one(check)["level"] for check in SIGNALS] == ["error"] * 3
    assert "does not answer" in seen.one("otlp.traces")["message"]


def test_a_server_that_speaks_no_http() -> None:
    with Backend(default=Reply(RESET)) as backend:
        seen = examined(**at(backend.url))
    assert "does not answer in HTTP" in seen.one("otlp.traces")["message"]
    assert "Is it an OTLP receiver?" in seen.one("otlp.traces")["remedy"]


@pytest.mark.parametrize("hours", [-3, 3])
def test_a_clock_that_differs(hours: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def date(_self: object, _timestamp: object = None) -> str:
        return formatdate(time.time() + hours * 3_600, usegmt=True)

    monkeypatch.setattr(BaseHTTPRequestHandler, "date_time_string", date)
    with Backend() as backend:
        seen = examined(**at(backend.url))
        strict = examined("--strict", **at(backend.url))
    word = "behind" if hours < 0 else "ahead of"
    assert seen.one("clock")["message"] == f"the server's clock is 3 hours {word} ours"
    assert (seen.status, strict.status) == (0, 1)


# -- TLS --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def test_a_certificate_of_a_named_authority_is_good_and_its_end_is_told(authority: Authority) -> None:
    ends = datetime.now(UTC) + timedelta(days=90)
    with TlsBackend(authority.certificate(ends=ends)) as backend:
        seen = examined(**at(backend.url, OTEL_EXPORTER_OTLP_CERTIFICATE=authority.file))
    assert seen.status == 0
    assert seen.one("tls")["message"] == f"TLS works; the certificate is valid until {ends:%Y-%m-%d}"
    assert seen.one("otlp.traces")["level"] == "ok"


def test_a_certificate_that_ends_soon_is_a_warning(authority: Authority) -> None:
    ends = datetime.now(UTC) + timedelta(days=3, hours=1)
    with TlsBackend(authority.certificate(ends=ends)) as backend:
        seen = examined(**at(backend.url, OTEL_EXPORTER_OTLP_CERTIFICATE=authority.file))
    assert seen.one("tls")["level"] == "warning"
    assert "3 more days" in seen.one("tls")["message"]
    assert seen.one("otlp.traces")["level"] == "ok"


def test_an_expired_certificate(authority: Authority) -> None:
    begins, ends = datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 2, 3, tzinfo=UTC)
    with TlsBackend(authority.certificate(begins=begins, ends=ends)) as backend:
        seen = examined(**at(backend.url, OTEL_EXPORTER_OTLP_CERTIFICATE=authority.file))
    assert seen.status == 1
    assert "expired on 2021-02-03" in seen.one("tls")["message"]
    assert not seen.findings("otlp.traces")


def test_an_authority_that_nobody_knows(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    with TlsBackend(authority.certificate()) as backend:
        unnamed = examined(**at(backend.url)).one("tls")
        wrong = examined(**at(backend.url, OTEL_EXPORTER_OTLP_CERTIFICATE=other.file)).one("tls")
    assert "is from Desk CA, which is not trusted" in unnamed["message"]
    assert "OTEL_EXPORTER_OTLP_CERTIFICATE" in unnamed["remedy"]
    assert f"{other.file} is of another authority" in wrong["remedy"]


def test_a_certificate_for_another_name(authority: Authority) -> None:
    with TlsBackend(authority.certificate("collector.example")) as backend:
        found = examined(**at(backend.url, OTEL_EXPORTER_OTLP_CERTIFICATE=authority.file)).one("tls")
    assert "is for collector.example, not for 127.0.0.1" in found["message"]


def test_https_where_plain_http_is_spoken() -> None:
    with Backend() as backend:
        found = examined(**at(backend.url.replace("http://", "https://"))).one("tls")
    assert "does not speak TLS" in found["message"]
    assert "Write http:// instead of https:// in OTEL_EXPORTER_OTLP_ENDPOINT" in found["remedy"]


def test_http_where_tls_is_spoken(authority: Authority) -> None:
    with TlsBackend(authority.certificate()) as backend:
        found = examined(**at(backend.url.replace("https://", "http://"))).one("otlp.traces")
    assert "speaks TLS" in found["message"]
    assert "Write https:// instead of http://" in found["remedy"]


def test_https_where_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "CONNECT_TIMEOUT_S", 0.2)
    with silent_server() as where:
        found = examined(**at(f"https://{where}")).one("tls")
    assert "does not answer a TLS handshake" in found["message"]


# -- proxies ----------------------------------------------------------------------------------------------------------


def test_a_proxy_is_told_without_its_login_and_used() -> None:
    with Backend() as proxy:
        address = proxy.url.removeprefix("http://")
        seen = examined(**at("http://collector.invalid:4318", HTTP_PROXY=f"http://user:hunter2@{address}"))
        assert {request[""] for request in proxy.requests} >= {"http://collector.invalid:4318/v1/traces"}
    assert seen.one("proxy")["message"] == f"requests go through the proxy http://{address}"
    assert "hunter2" not in seen.text
    assert seen.one("otlp.traces")["level"] == "ok"


def test_a_proxy_that_is_not_there() -> None:
    seen = examined(**at("http://collector.invalid:4318", HTTP_PROXY=unused_url()))
    assert "nobody listens" in seen.one("tcp")["message"]
    assert "the proxy" in seen.one("tcp")["remedy"]


def test_no_proxy_is_heeded() -> None:
    with Backend() as backend:
        seen = examined(**at(backend.url, HTTP_PROXY=unused_url(), NO_PROXY="127.0.0.1"))
    assert seen.status == 0
    assert not seen.findings("proxy")


def test_tls_behind_a_proxy(authority: Authority) -> None:
    with (
        TlsBackend(authority.certificate("collector.example")) as backend,
        tunnel_to(backend.url.removeprefix("https://")) as proxy,
    ):
        env = at("https://collector.example:4318", HTTPS_PROXY=proxy)
        good = examined(**env, OTEL_EXPORTER_OTLP_CERTIFICATE=authority.file)
        unknown = examined(**env)
    assert good.status == 0
    assert "fails behind the proxy" in unknown.one("otlp.traces")["message"]
    assert "OTEL_EXPORTER_OTLP_CERTIFICATE" in unknown.one("otlp.traces")["remedy"]


def test_a_backend_for_traces_alone_is_told_from_a_wrong_path() -> None:
    class OnlyTraces(Backend):
        def _answer(self, handler: BaseHTTPRequestHandler) -> None:
            with one_by_one:
                self.default = Reply(200 if handler.path == "/v1/traces" else 404)
                super()._answer(handler)

    one_by_one = threading.Lock()
    with OnlyTraces() as backend:
        seen = examined(**at(backend.url))
    assert seen.one("otlp.traces")["level"] == "ok"
    assert "OTEL_LOGS_EXPORTER=none" in seen.one("otlp.logs")["remedy"]
