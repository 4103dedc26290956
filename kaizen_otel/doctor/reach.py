"""The way to a backend: name, connection, TLS. Each step gives a finding and says whether to go on."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from kaizen_otel.doctor.findings import Finding, error, ok, warning

CONNECT_TIMEOUT_S: Final = 3.0
_RESOLVE_TIMEOUT_S: Final = 5.0
_SOON_DAYS: Final = 14
_SHOWN_ADDRESSES: Final = 3
_NO_CHECK_TIME: Final = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME, for which Python has no name."""

_HTTP2_HELLO: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
_SETTINGS_FRAME: Final = b"\x04"
_HTTP1_HELLO: Final = "GET / HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n"

_EXPIRED: Final = 10
_NOT_YET: Final = 9
_NAME_DIFFERS: Final = frozenset({62, 64})
_UNKNOWN_ISSUER: Final = frozenset({2, 18, 19, 20, 21})
_NO_TLS: Final = ("WRONG_VERSION_NUMBER", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE", "HTTP_REQUEST")


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect, and with which certificates."""

    host: str
    port: int
    tls: bool
    certificate: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None

    @property
    def where(self) -> str:
        """Host and port, as in a URL."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def check_way(target: Target, variable: str) -> tuple[list[Finding], bool]:
    """Findings about name, connection and TLS, and whether requests can be sent. `variable` names the endpoint."""
    found: list[Finding] = []
    steps = [_connect] if _is_address(target.host) else [_resolve, _connect]
    for step in [*steps, _handshake] if target.tls else steps:
        finding, goes_on = step(target, variable)
        found.append(finding)
        if not goes_on:
            return found, False
    return found, True


def speaks_tls(target: Target) -> bool:
    """Whether a server speaks TLS at all, whatever its certificate."""
    return _leaf(target) is not None


def speaks_http2(target: Target) -> bool:
    """Whether a server without TLS answers in HTTP/2, as gRPC does: its first frame is one of settings."""
    return _said_to(target, _HTTP2_HELLO)[3:4] == _SETTINGS_FRAME


def speaks_http1(target: Target) -> bool:
    """Whether a server without TLS answers in HTTP/1."""
    return _said_to(target, _HTTP1_HELLO.format(target.where).encode()).startswith(b"HTTP/1.")


def _said_to(target: Target, hello: bytes) -> bytes:
    if not target.tls:
        with (
            contextlib.suppress(OSError),
            socket.create_connection((target.host, target.port), CONNECT_TIMEOUT_S) as connection,
        ):
            connection.sendall(hello)
            return connection.recv(64)
    return b""


def _resolve(target: Target, variable: str) -> tuple[Finding, bool]:
    answer: list[Any] = []

    def ask() -> None:
        try:
            answer.append(socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as failed:
            answer.append(failed)

    # getaddrinfo knows no deadline.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_RESOLVE_TIMEOUT_S)
    remedy = f"Check the host in {variable}, and the DNS of this machine or container."
    if not answer:
        return error("dns", f"no answer about {target.host} within {_RESOLVE_TIMEOUT_S:g} s", remedy), False
    if isinstance(answer[0], Exception):
        return error("dns", f"{target.host} does not resolve ({_why(answer[0])})", remedy), False
    addresses = list(dict.fromkeys(one[4][0] for one in answer[0]))
    shown = ", ".join(str(address) for address in addresses[:_SHOWN_ADDRESSES])
    more = f" and {len(addresses) - _SHOWN_ADDRESSES} more" if len(addresses) > _SHOWN_ADDRESSES else ""
    return ok("dns", f"{target.host} resolves to {shown}{more}", addresses=addresses), True


def _connect(target: Target, variable: str) -> tuple[Finding, bool]:
    try:
        socket.create_connection((target.host, target.port), CONNECT_TIMEOUT_S).close()
    except ConnectionRefusedError:
        remedy = f"Start the Collector, or correct host and port in {variable}."
        return error("tcp", f"nobody listens on {target.where} (connection refused)", remedy), False
    except TimeoutError:
        remedy = f"A firewall may drop the packets, or {variable} names the wrong host."
        return error("tcp", f"no connection to {target.where} within {CONNECT_TIMEOUT_S:g} s", remedy), False
    except OSError as failed:
        remedy = f"Check the network, and {variable}."
        return error("tcp", f"no connection to {target.where} ({_why(failed)})", remedy), False
    return ok("tcp", f"{target.where} accepts connections"), True


def _handshake(target: Target, variable: str) -> tuple[Finding, bool]:
    try:
        certificate = _shake(target, _context(target))
    except ssl.SSLCertVerificationError as failed:
        return _unverified(target, failed), False
    except ssl.SSLError as failed:
        return _no_handshake(target, variable, failed), False
    except TimeoutError:
        remedy = f"It may speak plain HTTP: then write http:// in {variable}."
        return error("tls", f"{target.where} does not answer a TLS handshake", remedy), False
    except OSError as failed:
        if isinstance(failed, FileNotFoundError | PermissionError):
            return error("tls", f"a certificate file cannot be read ({_why(failed)})", "Correct its path."), False
        remedy = f"It may speak plain HTTP: then write http:// in {variable}."
        return error("tls", f"{target.where} ends the TLS handshake ({_why(failed)})", remedy), False
    return _valid(certificate)


def _valid(certificate: dict[str, Any]) -> tuple[Finding, bool]:
    expires = _expiry(certificate)
    days = (expires - datetime.now(UTC)).days
    message = f"TLS works; the certificate is valid until {expires:%Y-%m-%d}"
    if days < _SOON_DAYS:
        return warning("tls", f"{message}, {days} more days", "Renew it.", expires=expires.isoformat()), True
    return ok("tls", message, expires=expires.isoformat()), True


def _unverified(target: Target, failed: ssl.SSLCertVerificationError) -> Finding:
    certificate = _leaf(target) or {}
    facts = {"reason": failed.verify_message}
    code = failed.verify_code
    if code in {_EXPIRED, _NOT_YET} and certificate:
        if code == _EXPIRED:
            message = f"the certificate of {target.where} expired on {_expiry(certificate):%Y-%m-%d}"
        else:
            message = f"the certificate of {target.where} is not valid before {certificate.get('notBefore')}"
        return error("tls", message, "Renew it; and see that the clock of this machine is right.", **facts)
    if code in _NAME_DIFFERS:
        names = ", ".join(value for _, value in certificate.get("subjectAltName", ())) or "another name"
        message = f"the certificate of {target.where} is for {names}, not for {target.host}"
        return error("tls", message, "Use a name that it is for, in the endpoint's variable.", **facts)
    if code in _UNKNOWN_ISSUER:
        issuer = _common_name(certificate.get("issuer", ())) or "an unknown authority"
        if target.certificate is None:
            remedy = "Name the file of that authority's certificate in OTEL_EXPORTER_OTLP_CERTIFICATE."
        else:
            remedy = f"{target.certificate} is of another authority: correct OTEL_EXPORTER_OTLP_CERTIFICATE."
        message = f"the certificate of {target.where} is from {issuer}, which is not trusted"
        return error("tls", message, remedy, **facts)
    return error(
        "tls", f"the certificate of {target.where} is refused: {failed.verify_message}", "Correct it.", **facts
    )


def _no_handshake(target: Target, variable: str, failed: ssl.SSLError) -> Finding:
    reason = failed.reason or str(failed)
    if any(word in reason for word in _NO_TLS) or isinstance(failed, ssl.SSLEOFError):
        return error("tls", f"{target.where} does not speak TLS", f"Write http:// instead of https:// in {variable}.")
    if "CERTIFICATE_REQUIRED" in reason or "HANDSHAKE_FAILURE" in reason:
        remedy = "Set OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY."
        return error("tls", f"{target.where} refuses the handshake: it may want a client certificate", remedy)
    remedy = "Check the files that the OTEL_EXPORTER_OTLP_*CERTIFICATE and *_KEY variables name."
    return error("tls", f"TLS with {target.where} fails ({reason})", remedy)


def _context(target: Target) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=target.certificate)
    if target.client_certificate is not None:
        context.load_cert_chain(target.client_certificate, target.client_key)
    return context


def _shake(target: Target, context: ssl.SSLContext) -> dict[str, Any]:
    with (
        socket.create_connection((target.host, target.port), CONNECT_TIMEOUT_S) as plain,
        context.wrap_socket(plain, server_hostname=target.host) as secure,
    ):
        return secure.getpeercert() or {}


def _leaf(target: Target) -> dict[str, Any] | None:
    """The server's certificate although it is not trusted; None when there is no handshake.

    Python reads a certificate only when it is verified: so this one is its own authority, whatever its time and name.
    """
    with contextlib.suppress(OSError):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with (
            socket.create_connection((target.host, target.port), CONNECT_TIMEOUT_S) as plain,
            context.wrap_socket(plain, server_hostname=target.host) as secure,
        ):
            der = secure.getpeercert(binary_form=True)
        if der is None:
            return {}
        trusting = ssl.create_default_context(cadata=ssl.DER_cert_to_PEM_cert(der))
        trusting.check_hostname = False
        trusting.verify_flags &= ~ssl.VerifyFlags.VERIFY_X509_STRICT  # Python 3.13's default
        trusting.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN | ssl.VerifyFlags(_NO_CHECK_TIME)
        try:
            return _shake(target, trusting)
        except OSError:
            return {}
    return None


def _expiry(certificate: dict[str, Any]) -> datetime:
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)


def _common_name(name: Any) -> str:
    said = {key: value for part in name for key, value in part}
    return str(said.get("commonName") or said.get("organizationName") or "")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _why(failed: BaseException) -> str:
    return str(getattr(failed, "strerror", None) or type(failed).__name__)
