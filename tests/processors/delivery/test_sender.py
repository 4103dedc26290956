"""Answers, network failures and the environment, as the sender understands them."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from io import BufferedReader, BytesIO
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

from kaizen_otel.testing import SteppingClock
from kaizen_processors.export.connections import pool_for
from kaizen_processors.export.endpoint import OtlpEndpoint
from kaizen_processors.export.retry import Backoff, retry_after_s
from kaizen_processors.export.sender import OtlpHttpSender, Verdict, classify
from kaizen_processors.export.settings import DeliverySettings
from tests.processors.delivery.backend import CLOSE, HANG, RESET, Backend, Reply, unused_url
from tests.processors.delivery.support import sender_to

CENTURY_S = 100 * 365 * 86_400.0
NOW_S = datetime(2026, 11, 23, 8, 0, 0, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, Verdict.DELIVERED),
        (202, Verdict.DELIVERED),
        (301, Verdict.REFUSED),
        (302, Verdict.REFUSED),
        (400, Verdict.REFUSED),
        (401, Verdict.REFUSED),
        (404, Verdict.REFUSED),
        (408, Verdict.RETRY),
        (413, Verdict.TOO_LARGE),
        (429, Verdict.RETRY),
        (500, Verdict.RETRY),
        (501, Verdict.REFUSED),
        (502, Verdict.RETRY),
        (503, Verdict.RETRY),
        (504, Verdict.RETRY),
    ],
)
def test_a_status_means_what_otlp_says(status: int, verdict: Verdict) -> None:
    assert classify(status, None, b"", "traces").verdict is verdict


def test_a_body_that_is_no_protobuf_does_not_spoil_a_success() -> None:
    assert classify(200, None, b"<html>\xff\xff", "traces").rejected == 0


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("3", 3.0),
        (" 3600 ", 3600.0),
        (format_datetime(datetime(2026, 11, 23, 8, 1, 0, tzinfo=UTC), usegmt=True), 60.0),
        (format_datetime(datetime(2026, 11, 23, 7, 0, 0, tzinfo=UTC), usegmt=True), None),
        ("0", None),
        ("9" * 400, CENTURY_S),
        ("Fri, 31 Dec 9999 23:59:59 GMT", CENTURY_S),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, expected: float | None) -> None:
    assert retry_after_s(header, NOW_S) == expected


def test_backoff_doubles_to_its_cap_and_begins_again_after_a_success() -> None:
    ceilings: list[float] = []

    def highest(low: float, high: float) -> float:
        assert low == 0.0
        ceilings.append(high)
        return high

    backoff = Backoff(uniform=highest)
    for _ in range(7):
        backoff.next_s()
    backoff.succeeded()
    backoff.next_s()
    assert ceilings == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 1.0]


def test_nobody_there_is_told_from_a_broken_answer() -> None:
    sender = sender_to(unused_url())
    outcome = sender.send(b"", "")
    sender.close()
    assert (outcome.verdict, outcome.unreachable) == (Verdict.RETRY, True)


@pytest.mark.parametrize("fault", [RESET, CLOSE, HANG])
def test_a_broken_answer_is_tried_again(fault: str) -> None:
    with Backend(Reply(fault)) as backend:
        sender = sender_to(backend.url, timeout_s=0.2)
        outcome = sender.send(b"", "")
        assert (outcome.verdict, outcome.unreachable) == (Verdict.RETRY, False)
        assert sender.send(b"", "").verdict is Verdict.DELIVERED
        sender.close()


@pytest.mark.parametrize(
    ("status", "verdict"), [(200, Verdict.DELIVERED), (403, Verdict.REFUSED), (503, Verdict.RETRY)]
)
@pytest.mark.parametrize(
    "headers",
    [
        {"content-encoding": "gzip"},  # which its body is not
        {f"x-{number}": "1" for number in range(101)},  # more than `http.client` takes
        {"x": "1" * 70_000},  # longer than it takes
    ],
    ids=["body", "many-headers", "long-header"],
)
def test_the_status_decides_where_the_rest_of_an_answer_cannot_be_read(
    headers: dict[str, str], status: int, verdict: Verdict
) -> None:
    with Backend(Reply(status, headers, b"no gzip"), Reply()) as backend:
        sender = sender_to(backend.url)
        assert sender.send(b"", "").verdict is verdict
        assert sender.send(b"", "").verdict is Verdict.DELIVERED
        sender.close()


@pytest.mark.parametrize(
    "dripping", [Reply(200, body=b"x" * 200, drip_s=0.02), Reply(200, head_drip_s=0.02)], ids=["body", "headers"]
)
def test_an_answer_that_drips_is_read_no_longer_than_one_that_is_silent(dripping: Reply) -> None:
    with Backend(dripping, Reply()) as backend:
        sender = sender_to(backend.url, timeout_s=0.2)
        assert sender.send(b"", "").verdict is Verdict.DELIVERED
        assert backend.dripped < 200
        assert sender.send(b"", "").verdict is Verdict.DELIVERED
        sender.close()


@pytest.mark.parametrize("interim", [100, 102, 103])
def test_an_interim_answer_is_not_the_last_one(interim: int) -> None:
    with Backend(Reply(503, interim=interim), Reply(200, interim=interim)) as backend:
        sender = sender_to(backend.url)
        assert [sender.send(b"", "").detail for _ in range(2)] == ["status 503", "status 200"]
        assert backend.connections == 1
        sender.close()


def test_a_request_may_be_written_for_longer_than_connecting_may_take() -> None:
    with Backend(read_after_s=0.3) as backend:
        endpoint = OtlpEndpoint(f"{backend.url}/v1/traces", timeout_s=20.0, connect_timeout_s=0.1)
        sender = OtlpHttpSender(endpoint, "traces")
        payload = bytes(16 << 20)  # more than all buffers take on the way; it is no protobuf
        assert [sender.send(payload, "").detail for _ in range(2)] == ["status 400", "status 400"]
        sender.close()


def test_an_answer_is_read_from_a_socket_that_does_not_tell_its_timeout() -> None:
    class LikePyOpenSsl:
        def __init__(self, answer: bytes) -> None:
            self.makefile = lambda _mode: BufferedReader(BytesIO(answer))

    pool: Any = pool_for(OtlpEndpoint("https://localhost/v1/traces")).connection_from_host("localhost", scheme="https")
    response = pool.ConnectionCls.response_class(LikePyOpenSsl(b"HTTP/1.1 202 \r\ncontent-length: 2\r\n\r\nok"))
    response.begin()
    assert (response.status, response.read()) == (202, b"ok")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed_and_credentials_go_nowhere_else(status: int) -> None:
    with Backend() as elsewhere, Backend(Reply(status, {"location": f"{elsewhere.url}/v1/traces"})) as backend:
        sender = OtlpHttpSender(OtlpEndpoint(f"{backend.url}/v1/traces", {"authorization": "Bearer t"}), "traces")
        assert sender.send(b"", "").verdict is Verdict.REFUSED
        sender.close()
        assert elsewhere.requests == []


def test_a_connection_that_was_not_used_for_long_is_not_used_again() -> None:
    clock = SteppingClock(step_ns=0)
    with Backend() as backend:
        sender = OtlpHttpSender(OtlpEndpoint(f"{backend.url}/v1/traces"), "traces", clock)
        for idle_s in (0.0, 29.0, 29.0):
            clock.advance(idle_s)
            assert sender.send(b"", "").verdict is Verdict.DELIVERED
        assert backend.connections == 1
        clock.advance(31.0)  # whoever is between us and the backend may have forgotten it without a word
        assert sender.send(b"", "").verdict is Verdict.DELIVERED
        assert backend.connections == 2
        sender.close()


def test_headers_and_content_type_are_sent() -> None:
    with Backend() as backend:
        sender = OtlpHttpSender(OtlpEndpoint(f"{backend.url}/v1/traces", {"Authorization": "Bearer t"}), "traces")
        sender.send(b"", "")
        sender.close()
        (request,) = backend.requests
    assert request["authorization"] == "Bearer t"
    assert request["content-type"] == "application/x-protobuf"
    assert "content-encoding" not in request


def test_the_signals_own_variables_win() -> None:
    endpoint = OtlpEndpoint.from_environment(
        "logs",
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://general:4318/",
            "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "https://logs.example/in",
            "OTEL_EXPORTER_OTLP_HEADERS": "a=general",
            "OTEL_EXPORTER_OTLP_LOGS_HEADERS": "a=own,b=two%20words",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "2.5",
            "OTEL_EXPORTER_OTLP_LOGS_COMPRESSION": "none",
            "OTEL_EXPORTER_OTLP_CERTIFICATE": "/ca.pem",
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": "/client.pem",
            "OTEL_EXPORTER_OTLP_CLIENT_KEY": "/client.key",
        },
    )
    assert endpoint.url == "https://logs.example/in"
    assert endpoint.headers == {"a": "own", "b": "two words"}
    assert (endpoint.timeout_s, endpoint.connect_timeout_s) == (2.5, 2.5)
    assert endpoint.compression == ""
    assert (endpoint.certificate, endpoint.client_certificate, endpoint.client_key) == (
        "/ca.pem",
        "/client.pem",
        "/client.key",
    )


def test_a_general_endpoint_gets_the_signals_path() -> None:
    endpoint = OtlpEndpoint.from_environment("traces", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318/"})
    assert endpoint.url == "http://collector:4318/v1/traces"
    assert (endpoint.timeout_s, endpoint.connect_timeout_s, endpoint.compression) == (10.0, 3.0, "gzip")


def test_secrets_in_headers_are_not_shown() -> None:
    assert "secret" not in repr(OtlpEndpoint("http://collector/v1/traces", {"authorization": "secret"}))


@pytest.mark.parametrize("name", ["TIMEOUT", "COMPRESSION"])
@pytest.mark.parametrize("value", ["soon", "-1", "nan"])
def test_an_unusable_variable_is_named_and_its_default_taken(
    name: str, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint = OtlpEndpoint.from_environment("traces", {f"OTEL_EXPORTER_OTLP_{name}": value})
    assert (endpoint.timeout_s, endpoint.compression) == (10.0, "gzip")
    assert name in caplog.text


@pytest.mark.parametrize("url", ["collector:4318", "grpc://collector:4317", "http://", ""])
def test_an_endpoint_that_is_no_http_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        OtlpEndpoint(url)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"timeout_s": 0.0}, "timeouts must be greater than 0"),
        ({"connect_timeout_s": float("nan")}, "timeouts must be greater than 0"),
        ({"compression": "brotli"}, "unknown compression 'brotli'; known: gzip, zstd, none"),
        ({"headers": {"x y": "a"}}, "header 'x y': a name is of letters"),
        ({"headers": {"authorization": "Bearer €"}}, "header 'authorization': its value holds a character that"),
        ({"headers": {"authorization": "a\r\nb: c"}}, "header 'authorization': its value holds a character that"),
    ],
)
def test_an_endpoint_that_cannot_work_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        OtlpEndpoint("http://localhost:4318/v1/traces", **given)
    assert "Bearer" not in str(refused.value)  # values may be secrets


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"batch_items": 0}, "batch_items must be at least 1"),
        ({"queue_bytes": -1}, "queue_bytes must be at least 1"),
        ({"interval_s": 0.0}, "interval_s must be greater than 0"),
        ({"retry_cap_s": float("nan")}, "retry_cap_s must be greater than 0"),
    ],
)
def test_sizes_and_times_that_cannot_work_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DeliverySettings(**given)


def test_log_records_that_a_backend_rejected_are_counted() -> None:
    partial = ExportLogsServiceResponse()
    partial.partial_success.rejected_log_records = 3
    outcome = classify(200, None, partial.SerializeToString(), "logs")
    assert (outcome.verdict, outcome.rejected) == (Verdict.DELIVERED, 3)
