"""Runs `kaizen-otel doctor` in an environment, and servers for it to look at."""

from __future__ import annotations

import contextlib
import json
import socket
import socketserver
import ssl
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import trustme
from typer.testing import CliRunner

from kaizen_otel.cli import app
from tests.processors.delivery.backend import Backend, Reply

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

_PROXIES = dict.fromkeys(
    [name for word in ("HTTP", "HTTPS", "ALL", "NO") for name in (f"{word}_PROXY", f"{word.lower()}_proxy")]
)


@dataclass(frozen=True)
class Examined:
    """What `doctor --json` said."""

    status: int
    report: dict[str, Any]
    text: str

    def findings(self, check: str) -> list[dict[str, Any]]:
        sections = self.report["sections"]
        return [found for section in sections for found in section["findings"] if found["check"] == check]

    def one(self, check: str) -> dict[str, Any]:
        (found,) = self.findings(check)
        return found

    def levels(self, check: str) -> list[str]:
        return [found["level"] for found in self.findings(check)]


def run(*arguments: str, **env: str) -> tuple[int, str]:
    """Exit status and output on 80 columns, in an environment without proxies and anything else of OpenTelemetry."""
    result = CliRunner().invoke(app, ["doctor", *arguments], env={**_PROXIES, "COLUMNS": "80", **env})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout


def examined(*arguments: str, **env: str) -> Examined:
    status, out = run("--json", *arguments, **env)
    return Examined(status, json.loads(out), out)


def at(url: str, **env: str) -> dict[str, str]:
    """The environment of one whose OTLP goes to `url`."""
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_EXPORTER_OTLP_TIMEOUT": "5", **env}


class TlsBackend(Backend):
    """A backend with a certificate."""

    def __init__(self, certificate: trustme.LeafCert, *script: Reply) -> None:
        super().__init__(*script)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = self.url.replace("http://", "https://")


class Authority:
    """A certificate authority, whose own certificate is in a file."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA(organization_name="Desk CA")
        self.file = str(folder / "ca.pem")
        self._ca.cert_pem.write_to_path(self.file)

    def certificate(
        self, name: str = "127.0.0.1", *, begins: datetime | None = None, ends: datetime | None = None
    ) -> trustme.LeafCert:
        return self._ca.issue_cert(name, not_before=begins, not_after=ends)


@contextmanager
def tunnel_to(where: str) -> Iterator[str]:
    """A proxy that connects everybody to one server, whatever was asked for."""
    host, _, port = where.partition(":")

    class Tunnel(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline().strip():
                """Read the request away."""
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            with socket.create_connection((host, int(port))) as server:
                back = threading.Thread(target=_copy, args=(server, self.request))
                back.start()
                _copy(self.request, server)
                back.join()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Tunnel) as proxy:
        proxy.daemon_threads = True
        threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{proxy.server_address[1]}"
        proxy.shutdown()


def _copy(one: socket.socket, other: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := one.recv(65_536):
            other.sendall(data)
        other.shutdown(socket.SHUT_WR)


@contextmanager
def silent_server() -> Iterator[str]:
    """Accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"
