"""Sends one OTLP request over gRPC and says what its answer means. It never waits between attempts: its caller does.

Public gRPC alone, and the method names of OTLP: the request is already serialised, so no stub is needed. gRPC is
imported with the first request, on the sending thread.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from kaizen_processors.export.batch import GZIP, decompress
from kaizen_processors.export.grpc_endpoint import DEFLATE
from kaizen_processors.export.sender import USER_AGENT, Outcome, Verdict, rejected_items
from kaizen_processors.forking import CallInFlight, begin_anew_in_children, importing

if TYPE_CHECKING:
    from kaizen_processors.export.batch import Signal
    from kaizen_processors.export.grpc_endpoint import GrpcEndpoint

METHODS: Final = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}

RETRYABLE: Final = frozenset({"CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"})
"""As OTLP has it. RESOURCE_EXHAUSTED is one of them only with a `RetryInfo`."""

_TOO_LARGE_WORDS: Final = ("larger than max", "too large", "status: 413")
"""gRPC's own words (C, Go), and those about a proxy's answer; there is no code of its own for it."""
_UNREACHABLE_WORDS: Final = ("failed to connect", "resolution failed")
"""gRPC's words when nobody answered (C core, seen in grpcio 1.85). Their one use: to end sooner at exit."""

_OPTIONS: Final = (
    ("grpc.primary_user_agent", USER_AGENT),
    ("grpc.enable_retries", 0),
    # Without it a channel made in a forked child finds the parent's connection in a pool that all channels share, and
    # breaks ("Wrong file descriptor generation", grpcio 1.85).
    ("grpc.use_local_subchannel_pool", 1),
)

_of_parents: Final[list[Any]] = []
"""Channels made before a fork: never closed, never collected. Touching one in a child may hang it or end it."""


class OtlpGrpcSender:
    """OTLP over gRPC.

    A fork in the middle of a gRPC call leaves the child with locks that nobody holds (seen: children that hang, or end
    by SIGSEGV). So a fork waits for the call in flight, but once only for each call and a quarter of a second at most:
    a call that has not ended by then rests in the kernel. Children make a channel of their own.

    Args:
        endpoint: Where to send.
        signal: `traces` or `logs`.
    """

    component_type: ClassVar[str] = "otlp_grpc"
    """See `OtlpHttpSender`."""

    def __init__(self, endpoint: GrpcEndpoint, signal: Signal) -> None:
        """Prepare; nothing is opened before the first request."""
        self._endpoint = endpoint
        self._signal = signal
        self._channel: Any = None
        self._in_flight = CallInFlight()
        self.after_fork_in_child()
        begin_anew_in_children(self)

    def after_fork_in_child(self) -> None:
        """Put the parent's channel aside."""
        if self._channel is not None:
            _of_parents.append(self._channel)
        self._channel = None
        self._lock = threading.Lock()

    def send(self, payload: bytes, encoding: str, timeout_s: float | None = None) -> Outcome:
        """Send one request. Failures of the network or the server are outcomes, not exceptions."""
        with importing:
            import grpc  # noqa: PLC0415 - 0.1 s of import, on the sending thread

        endpoint = self._endpoint
        limit_s = endpoint.timeout_s if timeout_s is None else min(timeout_s, endpoint.timeout_s)
        # What waits is compressed by us; on the wire gRPC compresses by itself, and offers no way around that.
        request = decompress(payload, encoding)
        metadata = tuple((key.lower(), value) for key, value in endpoint.headers.items())
        with self._in_flight:
            channel = self._open()
            export = channel.unary_unary(METHODS[self._signal])
            try:
                body: bytes = export(request, timeout=limit_s, metadata=metadata)
            except grpc.RpcError as error:
                if error.code() is grpc.StatusCode.UNAVAILABLE:
                    # A new channel connects at once; the old one would wait by a plan of its own, up to two minutes.
                    self.close()
                return classify(error.code().name, error.details() or "", error.trailing_metadata() or ())
            except ValueError:
                if self._channel is channel:
                    raise
                return Outcome(Verdict.RETRY, "closed")  # by another thread, between our two steps
        return Outcome(Verdict.DELIVERED, "OK", rejected=rejected_items(body, self._signal))

    def close(self) -> None:
        """Close the channel, which ends a call in flight; a later `send` opens a new one."""
        with self._lock:
            channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    def _open(self) -> Any:
        with self._lock:
            if self._channel is None:
                self._channel = _channel_to(self._endpoint)
            return self._channel


def _channel_to(endpoint: GrpcEndpoint) -> Any:
    import grpc  # noqa: PLC0415 - see send

    compression = {GZIP: grpc.Compression.Gzip, DEFLATE: grpc.Compression.Deflate}.get(
        endpoint.compression, grpc.Compression.NoCompression
    )
    options = (*endpoint.options, *_OPTIONS)
    if endpoint.insecure:
        return grpc.insecure_channel(endpoint.target, options=options, compression=compression)
    credentials = endpoint.credentials or grpc.ssl_channel_credentials(
        _content(endpoint.certificate), _content(endpoint.client_key), _content(endpoint.client_certificate)
    )
    return grpc.secure_channel(endpoint.target, credentials, options=options, compression=compression)


def _content(path: str | None) -> bytes | None:
    return None if path is None else Path(path).read_bytes()


def classify(code: str, details: str, trailers: Any = ()) -> Outcome:
    """What a gRPC status means (OTLP 1.x, "OTLP/gRPC Response").

    Args:
        code: The name of the status code.
        details: The server's words.
        trailers: The trailing metadata, pairs of name and value.
    """
    asked_s = _retry_delay_s(trailers)
    if code in RETRYABLE:
        unreachable = code == "UNAVAILABLE" and any(words in details for words in _UNREACHABLE_WORDS)
        return Outcome(Verdict.RETRY, code, retry_after_s=asked_s or None, unreachable=unreachable)
    if code == "RESOURCE_EXHAUSTED" and asked_s is not None:
        return Outcome(Verdict.RETRY, code, retry_after_s=asked_s or None)
    if code in {"RESOURCE_EXHAUSTED", "INVALID_ARGUMENT", "UNKNOWN", "INTERNAL"} and any(
        words in details.lower() for words in _TOO_LARGE_WORDS
    ):
        return Outcome(Verdict.TOO_LARGE, code)
    return Outcome(Verdict.REFUSED, code)


def _retry_delay_s(trailers: Any) -> float | None:
    """Seconds of the `RetryInfo` in a status's details (0: when we like); None without one."""
    details = next((value for key, value in trailers if key == "grpc-status-details-bin"), None)
    if details is None:
        return None
    with importing:
        from google.protobuf.message import DecodeError  # noqa: PLC0415 - loaded when used
        from google.rpc.error_details_pb2 import RetryInfo  # noqa: PLC0415 - see above
        from google.rpc.status_pb2 import Status  # noqa: PLC0415 - see above

    try:
        for detail in Status.FromString(details).details:
            info = RetryInfo()
            if detail.Is(RetryInfo.DESCRIPTOR) and detail.Unpack(info):
                return max(0.0, float(info.retry_delay.seconds + info.retry_delay.nanos / 1e9))
    except DecodeError:
        return None
    return None
