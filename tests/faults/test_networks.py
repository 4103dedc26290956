"""Names that do not resolve, certificates that have expired: kept until it is mended, and never a long exit."""

from __future__ import annotations

import socket
import ssl
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import trustme

from kaizen_processors.export.endpoint import OtlpEndpoint
from kaizen_processors.export.sender import OtlpHttpSender
from tests.faults.support import END_S, EXIT_S, run
from tests.processors.delivery.backend import Backend
from tests.processors.delivery.support import fill, names, queue_to

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

HOST = "collector.test"


def test_a_name_that_does_not_resolve_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    real, failures = socket.getaddrinfo, iter(range(3))

    def resolve(host: Any, *arguments: Any, **named: Any) -> Any:
        if host != HOST:
            return real(host, *arguments, **named)
        if next(failures, None) is not None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real("127.0.0.1", *arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setenv("NO_PROXY", HOST)
    monkeypatch.setenv("no_proxy", HOST)
    with Backend() as backend, queue_to(backend.url.replace("127.0.0.1", HOST)) as queue:
        fill(queue, 500)
        assert queue.force_flush(END_S)
        assert backend.taken == names(0, 500)
        assert queue.counts().retries == 3


def test_a_name_that_never_resolves_holds_neither_flush_nor_exit_up() -> None:
    told = run("app", "http://collector.invalid:4318", "--flush", 1.0, variables={"NO_PROXY": "*", "no_proxy": "*"})
    assert told["flushed"]["said"] is False
    assert told["flushed"]["pending"] == 50
    assert told["flushed"]["took_s"] < 1.0 + EXIT_S
    assert told["ended"]["exit_s"] < EXIT_S


def context_with(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def test_an_expired_certificate_is_not_trusted_and_its_renewal_is_waited_for(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    yesterday = datetime.now(UTC) - timedelta(days=1)
    expired = context_with(authority.issue_cert("127.0.0.1", not_after=yesterday))
    with Backend(tls=expired) as backend:
        endpoint = OtlpEndpoint(f"{backend.url}/v1/traces", certificate=str(tmp_path / "ca.pem"))
        with queue_to(OtlpHttpSender(endpoint, "traces")) as queue:
            fill(queue, 500)
            assert not queue.force_flush(0.5)
            assert backend.taken == []
            assert queue.counts().pending == 500
            authority.issue_cert("127.0.0.1").configure_cert(expired)  # handshakes from now on show the new one
            assert queue.force_flush(END_S)
            assert backend.taken == names(0, 500)


def test_a_certificate_of_somebody_else_is_not_trusted(tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with Backend(tls=context_with(trustme.CA().issue_cert("127.0.0.1"))) as backend:
        endpoint = OtlpEndpoint(f"{backend.url}/v1/traces", certificate=str(tmp_path / "ca.pem"))
        with queue_to(OtlpHttpSender(endpoint, "traces")) as queue:
            fill(queue, 50)
            assert not queue.force_flush(0.5)
            assert not queue.shutdown(1.0)
            assert backend.taken == []
            assert queue.counts().dropped == {"shutdown": 50}
