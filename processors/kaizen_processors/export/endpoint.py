"""Where OTLP goes and how, as the `OTEL_EXPORTER_OTLP_*` variables say."""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from opentelemetry.util.re import parse_env_headers

from kaizen_processors.export.batch import GZIP, PLAIN, ZSTD, zstd_available

if TYPE_CHECKING:
    from collections.abc import Mapping

_logger = logging.getLogger("kaizen_otel")

DEFAULT_ENDPOINT: Final = "http://localhost:4318"
DEFAULT_TIMEOUT_S: Final = 10.0
DEFAULT_CONNECT_TIMEOUT_S: Final = 3.0

_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
"""RFC 9110's tokens."""
_HTTP_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")

_COMPRESSIONS: Final = {"gzip": GZIP, "zstd": ZSTD, "none": PLAIN}


@dataclass(frozen=True)
class OtlpEndpoint:
    """One signal's OTLP/HTTP endpoint.

    Attributes:
        url: The whole URL, signal path included.
        headers: Sent with each request; they may hold secrets and are not shown.
        timeout_s: Longest time that a request takes to be written, and then its answer to come.
        connect_timeout_s: Longest time to connect.
        compression: The `Content-Encoding`: `gzip`, `zstd` or empty.
        certificate: File with the certificates of trusted authorities; None: the system's.
        client_certificate: File with our own certificate, for servers that ask for one.
        client_key: File with its key.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout_s: float = DEFAULT_TIMEOUT_S
    connect_timeout_s: float = DEFAULT_CONNECT_TIMEOUT_S
    compression: str = GZIP
    certificate: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None

    def __post_init__(self) -> None:
        """Check what can be checked without a connection.

        Raises:
            ValueError: The URL is not `http(s)://host…`, a time is not positive, a compression is unknown, or a header
                cannot be sent.
        """
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"not an http(s) URL: {self.url!r}")
        if not (self.timeout_s > 0 and self.connect_timeout_s > 0):
            raise ValueError("timeouts must be greater than 0")
        if self.compression not in _COMPRESSIONS.values():
            raise ValueError(f"unknown compression {self.compression!r}; known: gzip, zstd, none")
        check_headers(self.headers, _HTTP_VALUE, "Latin-1 without line breaks")

    @classmethod
    def from_environment(cls, signal: str, environment: Mapping[str, str] | None = None) -> OtlpEndpoint:
        """What the variables say for `traces`, `logs` or `metrics`: a signal's own variable wins over the general one.

        Times are in seconds, as in OpenTelemetry's own Python exporters. What cannot be used (a time or compression
        that is none) is logged and replaced by its default. Without a word about it, requests are compressed by gzip.

        Raises:
            ValueError: The endpoint is not an http(s) URL.
        """
        env = os.environ if environment is None else environment
        say = Variables(signal, env)
        url = env.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT", "").strip()
        if not url:
            base = env.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").strip() or DEFAULT_ENDPOINT
            url = f"{base.rstrip('/')}/v1/{signal}"
        timeout_s = timeout_of(say("TIMEOUT"))
        return cls(
            url=url,
            headers=parse_env_headers(say("HEADERS") or "", liberal=True),
            timeout_s=timeout_s,
            connect_timeout_s=min(timeout_s, DEFAULT_CONNECT_TIMEOUT_S),
            compression=_compression(say("COMPRESSION")),
            certificate=say("CERTIFICATE"),
            client_certificate=say("CLIENT_CERTIFICATE"),
            client_key=say("CLIENT_KEY"),
        )


def check_headers(headers: Mapping[str, str], valid: re.Pattern[str], allowed: str) -> None:
    """Refuse what no request could be sent with.

    Raises:
        ValueError: A name or a value holds what it must not. Values may be secrets and are not shown.
    """
    for name, value in headers.items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"header {name!r}: a name is of letters, digits and !#$%&'*+-.^_`|~")
        if not valid.fullmatch(value):
            raise ValueError(f"header {name!r}: its value holds a character that cannot be sent ({allowed} can)")


class Variables:
    """The `OTEL_EXPORTER_OTLP_*` variables as one signal reads them: its own variable wins over the general one."""

    def __init__(
        self, signal: str, environment: Mapping[str, str] | None = None, *, prefix: str = "OTEL_EXPORTER_OTLP"
    ) -> None:
        """Read from this environment; by default the process's."""
        self._signal = signal.upper()
        self._environment = os.environ if environment is None else environment
        self._prefix = prefix

    def __call__(self, name: str) -> str | None:
        """What a variable says (`HEADERS`, `TIMEOUT` …); None when it is not set, or empty."""
        own = self._environment.get(f"{self._prefix}_{self._signal}_{name}", "").strip()
        return own or self._environment.get(f"{self._prefix}_{name}", "").strip() or None


def timeout_of(text: str | None) -> float:
    """Seconds that `OTEL_EXPORTER_OTLP_TIMEOUT` says; what is no time is logged, and the default taken."""
    if text is None:
        return DEFAULT_TIMEOUT_S
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.0 < seconds < float("inf"):
        _logger.warning("OTEL_EXPORTER_OTLP_TIMEOUT: %r is no time in seconds; using %s", text, DEFAULT_TIMEOUT_S)
        return DEFAULT_TIMEOUT_S
    return seconds


def _compression(text: str | None) -> str:
    if text is None:
        return GZIP
    known = _COMPRESSIONS.get(text.lower())
    if known is None or (known == ZSTD and not zstd_available()):
        _logger.warning("OTEL_EXPORTER_OTLP_COMPRESSION: %r is not available; using gzip", text)
        return GZIP
    return known
