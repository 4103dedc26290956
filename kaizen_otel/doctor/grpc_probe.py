"""One OTLP/gRPC request, and what its answer means for people."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kaizen_otel.doctor.findings import Finding, error, ok, warning
from kaizen_otel.doctor.reach import Target, speaks_http1, speaks_tls
from kaizen_otel.doctor.samples import RESPONSES, WHAT, Sample, partial_success
from kaizen_processors.export.figures import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

_ANSWER_TIMEOUT_S: Final = 10.0
_SHOWN_CHARACTERS: Final = 120
_METHODS: Final = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}
_REMEDIES: Final = {
    "UNAUTHENTICATED": "Set OTEL_EXPORTER_OTLP_HEADERS to what it wants, such as authorization=Bearer%20<token>.",
    "PERMISSION_DENIED": "The credentials in OTEL_EXPORTER_OTLP_HEADERS are known and not enough.",
    "UNIMPLEMENTED": "It speaks gRPC and takes no OTLP: check the port.",
    "DEADLINE_EXCEEDED": "It accepts connections and does not answer: is it an OTLP/gRPC receiver?",
    "RESOURCE_EXHAUSTED": "It is there, but too busy now; it is tried again.",
}
_PASSING: Final = frozenset({"RESOURCE_EXHAUSTED"})


def probe(target: Target, sample: Sample, headers: Mapping[str, str], timeout_s: float, variable: str) -> Finding:
    """Send a sample; the finding says what became of it."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its own words about a failed handshake are not for people
    import grpc  # noqa: PLC0415 - 100 ms of import, and only where gRPC is used

    check, signal = f"otlp.{sample.signal}", sample.signal
    began_s = time.monotonic()
    with _channel(grpc, target) as channel:
        export = channel.unary_unary(
            _METHODS[signal],
            request_serializer=lambda request: request.SerializeToString(),
            response_deserializer=RESPONSES[signal].FromString,
        )
        try:
            response = export(
                sample.request,
                timeout=min(timeout_s, _ANSWER_TIMEOUT_S),
                metadata=[(key.lower(), value) for key, value in headers.items()],
            )
        except grpc.RpcError as failed:
            return _failed(failed, sample, target, variable)
    ms = round((time.monotonic() - began_s) * 1_000)
    said = partial_success(signal, response)
    why = printable(said.message, _SHOWN_CHARACTERS)
    if said.rejected:
        remedy = "The backend takes requests and refuses what is in them: its message says why."
        message = f"{signal}: {WHAT[signal]} was rejected (partial success): “{why or 'no reason given'}”"
        return error(check, message, remedy, trace_id=sample.trace_id)
    if why:
        return warning(check, f"{signal}: {WHAT[signal]} was taken, with a warning: “{why}”", "See what it says.")
    found = f", trace {sample.trace_id}" if signal == "traces" else ""
    return ok(check, f"{signal}: {WHAT[signal]} was taken ({ms} ms{found})", trace_id=sample.trace_id, duration_ms=ms)


def _channel(grpc: Any, target: Target) -> Any:
    if not target.tls:
        return grpc.insecure_channel(target.where)
    given = [
        Path(path).read_bytes() if path is not None else None
        for path in (target.certificate, target.client_key, target.client_certificate)
    ]
    return grpc.secure_channel(target.where, grpc.ssl_channel_credentials(*given))


def _failed(failed: Any, sample: Sample, target: Target, variable: str) -> Finding:
    check, signal, code = f"otlp.{sample.signal}", sample.signal, failed.code().name
    said = printable(str(failed.details() or ""), _SHOWN_CHARACTERS)
    told = f"{signal}: gRPC {code}" + (f" (“{said}”)" if said else "")
    if code in _PASSING:
        return warning(check, told, _REMEDIES[code], code=code)
    remedy = _REMEDIES.get(code, "Look into the log of the backend.")
    if code in {"UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL", "UNKNOWN"} and not target.tls and speaks_tls(target):
        return error(
            check,
            f"{signal}: {target.where} speaks TLS, and the endpoint is not https://",
            f"Write https:// in {variable}, or set OTEL_EXPORTER_OTLP_INSECURE=false.",
            code=code,
        )
    if code not in _REMEDIES and speaks_http1(target):
        remedy = "Set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf, or take the receiver's port for gRPC (usually 4317)."
        return error(check, f"{signal}: {target.where} speaks HTTP, and the protocol is grpc", remedy, code=code)
    return error(check, told, remedy, code=code)
