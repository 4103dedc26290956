"""Where OTLP over gRPC goes and how, as the `OTEL_EXPORTER_OTLP_*` variables say. Imports no gRPC."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from opentelemetry.util.re import parse_env_headers

from kaizen_processors.export.batch import GZIP, PLAIN
from kaizen_processors.export.endpoint import DEFAULT_TIMEOUT_S, Variables, check_headers, timeout_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kaizen_processors.export.batch import Signal

_logger = logging.getLogger("kaizen_otel")

DEFAULT_ENDPOINT: Final = "http://localhost:4317"

DEFLATE: Final = "deflate"

_GRPC_VALUE: Final = re.compile(r"[\x20-\x7e]*")

_COMPRESSIONS: Final = {"gzip": GZIP, "deflate": DEFLATE, "none": PLAIN}
_CREDENTIALS_GROUP: Final = "opentelemetry_otlp_credential_provider"


@dataclass(frozen=True)
class GrpcEndpoint:
    """One signal's OTLP/gRPC endpoint.

    Attributes:
        target: What gRPC connects to: `host:port`, or a name in gRPC's own syntax (`unix:…`, `dns:///…`).
        insecure: Whether to speak without TLS.
        headers: Sent with each request; they may hold secrets and are not shown.
        timeout_s: Longest time of one request.
        compression: Of requests: `gzip`, `deflate` or empty.
        certificate: File with the certificates of trusted authorities; None: those that gRPC brings.
        client_certificate: File with our own certificate, for servers that ask for one.
        client_key: File with its key.
        credentials: Ready `grpc.ChannelCredentials`; they win over the files.
        options: Further channel options.
    """

    target: str
    insecure: bool = False
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout_s: float = DEFAULT_TIMEOUT_S
    compression: str = PLAIN
    certificate: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None
    credentials: Any = field(default=None, repr=False)
    options: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        """Check what can be checked without a connection.

        Raises:
            ValueError: There is no target, a time is not positive, a compression is unknown, a header cannot be sent,
                or a file cannot be read.
        """
        if not self.target:
            raise ValueError("no gRPC target")
        if not self.timeout_s > 0:
            raise ValueError("timeouts must be greater than 0")
        if self.compression not in _COMPRESSIONS.values():
            raise ValueError(f"unknown compression {self.compression!r}; known: gzip, deflate, none")
        check_headers(self.headers, _GRPC_VALUE, "printable ASCII")
        if self.insecure or self.credentials is not None:
            return
        for name in ("certificate", "client_certificate", "client_key"):
            path = getattr(self, name)
            if path is not None and not Path(path).is_file():
                raise ValueError(f"{name}: there is no file {path!r}")

    @classmethod
    def from_environment(cls, signal: Signal, environment: Mapping[str, str] | None = None) -> GrpcEndpoint:
        """What the variables say for `traces` or `logs`: the signal's own variable wins over the general one.

        As with OpenTelemetry's own exporter: `https://` is TLS, `http://` is none, and without either `…_INSECURE`
        decides, TLS by default; requests are not compressed unless `…_COMPRESSION` says so.

        Raises:
            ValueError: No endpoint, a certificate that is not there, an unknown provider of credentials.
        """
        say = Variables(signal, environment)
        url = say("ENDPOINT") or DEFAULT_ENDPOINT
        parts = urlsplit(url)
        plain = (say("INSECURE") or "").lower() == "true" if say("INSECURE") is not None else parts.scheme == "http"
        insecure = plain and parts.scheme != "https"
        return cls(
            target=parts.netloc or url,
            insecure=insecure,
            headers=parse_env_headers(say("HEADERS") or "", liberal=True),
            timeout_s=timeout_of(say("TIMEOUT")),
            compression=_compression(say("COMPRESSION")),
            certificate=say("CERTIFICATE"),
            client_certificate=say("CLIENT_CERTIFICATE"),
            client_key=say("CLIENT_KEY"),
            credentials=None if insecure else _provided(signal, environment),
        )


def _compression(text: str | None) -> str:
    known = PLAIN if text is None else _COMPRESSIONS.get(text.lower())
    if known is None:
        _logger.warning("OTEL_EXPORTER_OTLP_COMPRESSION: gRPC does not have %r; not compressing", text)
        return PLAIN
    return known


def _provided(signal: Signal, environment: Mapping[str, str] | None) -> Any:
    """Credentials of a plug-in (`OTEL_PYTHON_EXPORTER_OTLP_GRPC_CREDENTIAL_PROVIDER`), as the official exporter has it.

    Its variables and the group of entry points are of opentelemetry-exporter-otlp-proto-grpc 1.43 to 1.45.
    """
    name = Variables(signal, environment, prefix="OTEL_PYTHON_EXPORTER_OTLP_GRPC")("CREDENTIAL_PROVIDER")
    if name is None:
        return None
    found = next(iter(entry_points(group=_CREDENTIALS_GROUP, name=name)), None)
    if found is None:
        raise ValueError(f"no entry point {name!r} in the group {_CREDENTIALS_GROUP!r}")
    return found.load()()
