"""Sends one OTLP/HTTP request and says what its answer means. It never waits between attempts: its caller does."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

from kaizen_processors.clock import SYSTEM_CLOCK
from kaizen_processors.export.retry import retry_after_s
from kaizen_processors.forking import begin_anew_in_children, importing
from kaizen_processors.values import type_name

if TYPE_CHECKING:
    from urllib3 import PoolManager

    from kaizen_processors.clock import Clock
    from kaizen_processors.export.batch import Signal
    from kaizen_processors.export.endpoint import OtlpEndpoint

_logger = logging.getLogger("kaizen_otel")

RETRYABLE: Final = frozenset({408, 429, 500, 502, 503, 504})
"""OTLP names 429, 502, 503 and 504. A request timeout and a server's own error are passing too: we try those again."""

_OK: Final = range(200, 300)
_PAYLOAD_TOO_LARGE: Final = 413
_BAD_REQUEST: Final = 400
_TOO_LARGE_WORDS: Final = b"too large"
_MAX_ANSWER_BYTES: Final = 64 * 1024
_IDLE_NS: Final = 30 * 10**9
"""A connection that was not used for so long is not used again: firewalls and load balancers forget it without a word,
and a request over it would wait for an answer until its time is up, which at the end of a process is too late."""
USER_AGENT: Final = "kaizen-otel"


class Verdict(Enum):
    """What an answer means for a batch."""

    DELIVERED = "delivered"
    RETRY = "retry"
    TOO_LARGE = "too_large"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one attempt.

    Attributes:
        verdict: What to do with the batch.
        detail: For a log line: a status or the name of an error. Never a header, never a body.
        rejected: Items that a backend took the batch without.
        retry_after_s: How long the backend wants to be left alone.
        unreachable: Nobody answered at the endpoint's address.
    """

    verdict: Verdict
    detail: str = ""
    rejected: int = 0
    retry_after_s: float | None = None
    unreachable: bool = False


class Sender(Protocol):
    """What a delivery queue needs of a transport."""

    def send(self, payload: bytes, encoding: str, timeout_s: float | None = None) -> Outcome:
        """Send a request, already compressed; at most `timeout_s` seconds of silence when that is given."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


class OtlpHttpSender:
    """OTLP/HTTP with binary protobuf over urllib3. Follows no redirect: credentials go nowhere else.

    Connections are made anew in forked children, so that no socket is shared with the parent.

    Args:
        endpoint: Where to send.
        signal: `traces` or `logs`.
        clock: Says for how long a connection has not been used.
    """

    component_type: ClassVar[str] = "otlp_http"
    """How OpenTelemetry's conventions name exporters of this kind, before the signal's word."""

    def __init__(self, endpoint: OtlpEndpoint, signal: Signal, clock: Clock = SYSTEM_CLOCK) -> None:
        """Prepare; nothing is opened before the first request."""
        self._endpoint = endpoint
        self._signal = signal
        self._clock = clock
        self._used_ns = 0
        self.after_fork_in_child()
        begin_anew_in_children(self)

    def after_fork_in_child(self) -> None:
        """Forget the parent's connections."""
        self._pool: PoolManager | None = None
        self._lock = threading.Lock()

    def send(self, payload: bytes, encoding: str, timeout_s: float | None = None) -> Outcome:
        """Send one request. Network failures are outcomes, not exceptions."""
        with importing:
            import encodings.idna  # noqa: F401, PLC0415 - what urllib3 imports by itself with the first connection

            from urllib3 import Timeout  # noqa: PLC0415 - 85 ms of import, on the sending thread
            from urllib3.exceptions import (  # noqa: PLC0415 - see above
                ConnectTimeoutError,
                HTTPError,
                NameResolutionError,
                NewConnectionError,
                ProxyError,
            )

        endpoint = self._endpoint
        limit_s = endpoint.timeout_s if timeout_s is None else min(timeout_s, endpoint.timeout_s)
        headers = {"user-agent": USER_AGENT, **{key.lower(): value for key, value in endpoint.headers.items()}}
        headers["content-type"] = "application/x-protobuf"
        if encoding:
            headers["content-encoding"] = encoding
        try:
            response: Any = self._connections().request(
                "POST",
                endpoint.url,
                body=payload,
                headers=headers,
                timeout=Timeout(connect=min(limit_s, endpoint.connect_timeout_s), read=limit_s),
                retries=False,
                redirect=False,
                preload_content=False,
            )
        except (ConnectTimeoutError, NameResolutionError, NewConnectionError, ProxyError) as error:
            return Outcome(Verdict.RETRY, type_name(error), unreachable=True)
        except (HTTPError, OSError) as error:
            return Outcome(Verdict.RETRY, type_name(error))
        try:
            body = _body_of(response)
        except (HTTPError, OSError):
            body = None
        # A connection whose answer was not read to its end cannot be used again.
        response.close() if body is None else response.release_conn()
        # The status is there, and it decides: what was taken must not be sent again for an answer that breaks off.
        return classify(response.status, response.headers.get("retry-after"), body or b"", self._signal)

    def close(self) -> None:
        """Close all connections; a later `send` opens new ones."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.clear()

    def _connections(self) -> PoolManager:
        with importing:
            from kaizen_processors.export.connections import pool_for  # noqa: PLC0415 - see send

        now_ns = self._clock.monotonic_ns()
        if now_ns - self._used_ns > _IDLE_NS:
            self.close()
        self._used_ns = now_ns
        with self._lock:
            if self._pool is None:
                self._pool = pool_for(self._endpoint)
            return self._pool


def _body_of(response: Any) -> bytes | None:
    """All of an answer; None for one that is too long."""
    body = b""
    while piece := response.read1(_MAX_ANSWER_BYTES, decode_content=True):
        body += piece
        if len(body) >= _MAX_ANSWER_BYTES:
            return None
    return body


def classify(status: int, retry_after: str | None, body: bytes, signal: Signal) -> Outcome:
    """What an OTLP/HTTP answer means (OTLP 1.x, "OTLP/HTTP Response").

    A Collector says 400 with "request body too large" where it means 413 (confighttp, seen in 0.158).
    """
    detail = f"status {status}"
    if status in _OK:
        return Outcome(Verdict.DELIVERED, detail, rejected=rejected_items(body, signal))
    if status in RETRYABLE:
        return Outcome(Verdict.RETRY, detail, retry_after_s=retry_after_s(retry_after, time.time()))
    if status == _PAYLOAD_TOO_LARGE or (status == _BAD_REQUEST and _TOO_LARGE_WORDS in body.lower()):
        return Outcome(Verdict.TOO_LARGE, detail)
    return Outcome(Verdict.REFUSED, detail)


def rejected_items(body: bytes, signal: Signal) -> int:
    """How many items a `partial_success` names, in the body of a good answer."""
    if not body:
        return 0
    with importing:
        from google.protobuf.message import DecodeError  # noqa: PLC0415 - loaded when used
        from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (  # noqa: PLC0415 - loaded when used
            ExportLogsServiceResponse,
        )
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (  # noqa: PLC0415 - loaded when used
            ExportTraceServiceResponse,
        )

    try:
        if signal == "traces":
            return max(0, int(ExportTraceServiceResponse.FromString(body).partial_success.rejected_spans))
        return max(0, int(ExportLogsServiceResponse.FromString(body).partial_success.rejected_log_records))
    except DecodeError:
        return 0  # some backends answer 200 with a text or JSON body
