"""The one file that knows private parts of OpenTelemetry's own exporters and batch processors.

What an official OTLP exporter would do is read from its attributes, as there is no public way; seen in
opentelemetry-exporter-otlp-proto-http and -grpc 1.43 to 1.45. Whatever is not as expected (a subclass, a session of the
application's own, another version) is left to the exporter itself.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from kaizen_processors.export.batch import GZIP, PLAIN
from kaizen_processors.export.endpoint import DEFAULT_CONNECT_TIMEOUT_S, OtlpEndpoint
from kaizen_processors.export.grpc_endpoint import DEFLATE, GrpcEndpoint

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT: Final = "opentelemetry.exporter.otlp.proto"
_HTTP: Final = (
    (f"{_ROOT}.http.trace_exporter", "OTLPSpanExporter"),
    (f"{_ROOT}.http._log_exporter", "OTLPLogExporter"),
)
_GRPC: Final = (
    (f"{_ROOT}.grpc.trace_exporter", "OTLPSpanExporter"),
    (f"{_ROOT}.grpc._log_exporter", "OTLPLogExporter"),
)


def endpoint_of(exporter: object) -> OtlpEndpoint | GrpcEndpoint | None:
    """Where an official OTLP exporter sends, and how; None for any other, and for one that does more than we can."""
    try:
        if _is_one_of(_HTTP, exporter):
            return _http_endpoint(exporter)
        if _is_one_of(_GRPC, exporter):
            return _grpc_endpoint(exporter)
    except (AttributeError, TypeError, ValueError):
        return None  # another version: it knows itself best
    return None


def _is_one_of(known: tuple[tuple[str, str], ...], exporter: object) -> bool:
    # Looked up, not imported: whoever has such an exporter has imported its module.
    return any(
        (module := sys.modules.get(name)) is not None and type(exporter) is getattr(module, kind, None)
        for name, kind in known
    )


class _Http(NamedTuple):
    headers: dict[str, str]
    timeout_s: float
    session: Any
    verify: Any
    cert: Any


def _http_endpoint(exporter: Any) -> OtlpEndpoint | None:
    if hasattr(exporter, "_client"):  # 1.45
        client = exporter._client  # noqa: SLF001
        transport = client._transport  # noqa: SLF001
        if type(transport).__name__ != "RequestsHTTPTransport":
            return None
        session = transport._session  # noqa: SLF001
        how = _Http(dict(client._headers), client._timeout, session, session.verify, session.cert)  # noqa: SLF001
    else:
        how = _Http(
            dict(exporter._headers),  # noqa: SLF001
            exporter._timeout,  # noqa: SLF001
            exporter._session,  # noqa: SLF001
            exporter._certificate_file,  # noqa: SLF001
            exporter._client_cert,  # noqa: SLF001
        )
    certificate = _bundle(how.verify)
    if certificate is None or not _plain(how.session, how.headers):
        return None
    certificate_file, key_file = (how.cert, None) if how.cert is None or isinstance(how.cert, str) else how.cert
    ours = {"content-type", "content-encoding", "user-agent"}
    return OtlpEndpoint(
        url=exporter._endpoint,  # noqa: SLF001
        headers={key: value for key, value in how.headers.items() if key.lower() not in ours},
        timeout_s=how.timeout_s,
        connect_timeout_s=min(how.timeout_s, DEFAULT_CONNECT_TIMEOUT_S),
        # Whoever takes deflate takes gzip, which OTLP asks of every server.
        compression=PLAIN if exporter._compression.value == "none" else GZIP,  # noqa: SLF001
        certificate=certificate,
        client_certificate=certificate_file,
        client_key=key_file,
    )


def _bundle(verify: Any) -> str | None:
    """The file of authorities that `requests` would trust; None when it would trust anybody, or a folder."""
    if verify is True:
        import certifi  # noqa: PLC0415 - loaded by requests already

        verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or certifi.where()
    return verify if isinstance(verify, str) and Path(verify).is_file() else None


def _plain(session: Any, headers: dict[str, str]) -> bool:
    """Whether a session of `requests` has nothing of the application's own: no credentials, adapters or headers."""
    requests: Any = sys.modules["requests"]
    fresh = requests.Session()
    # Up to 1.44 the exporter puts its own headers into the session.
    usual = {key.lower() for key in (*fresh.headers, *headers)} | {"content-type", "content-encoding", "user-agent"}
    return bool(
        type(session) is requests.Session
        and session.auth is None
        and not (session.proxies or session.params or len(session.cookies))
        and session.trust_env
        and session.hooks == fresh.hooks
        and [(prefix, type(one)) for prefix, one in session.adapters.items()]
        == [(prefix, type(one)) for prefix, one in fresh.adapters.items()]
        and {key.lower() for key in session.headers} <= usual
    )


def _grpc_endpoint(exporter: Any) -> GrpcEndpoint | None:
    import grpc  # noqa: PLC0415 - whoever has such an exporter has imported it
    from opentelemetry.exporter.otlp.proto.grpc import exporter as official  # noqa: PLC0415 - see above

    if exporter._retryable_error_codes != official._RETRYABLE_ERROR_CODES:  # noqa: SLF001
        return None
    compressions = {grpc.Compression.Gzip: GZIP, grpc.Compression.Deflate: DEFLATE}
    return GrpcEndpoint(
        target=exporter._endpoint,  # noqa: SLF001
        insecure=exporter._insecure,  # noqa: SLF001
        headers=dict(exporter._headers),  # noqa: SLF001
        timeout_s=exporter._timeout,  # noqa: SLF001
        compression=compressions.get(exporter._compression, PLAIN),  # noqa: SLF001
        credentials=exporter._credentials,  # noqa: SLF001
        options=tuple(pair for pair in exporter._channel_options if pair[0] != "grpc.primary_user_agent"),  # noqa: SLF001
    )


def exporters_of(provider: object) -> Iterator[Any]:
    """The exporters of a tracer provider's simple and batch processors."""
    for processor in getattr(getattr(provider, "_active_span_processor", None), "_span_processors", ()):
        exporter = getattr(processor, "span_exporter", None)
        if exporter is not None:
            yield exporter


def batches_above(exporter: object) -> Iterator[Any]:
    """The SDK's batch processors that hold items for this exporter, found by their running threads.

    Nothing else leads to them: they never ask their exporter to flush (`BatchProcessor`, SDK 1.43 to 1.45).
    """
    for thread in threading.enumerate():
        processor = getattr(getattr(thread, "_target", None), "__self__", None)
        if getattr(processor, "_exporter", None) is exporter and hasattr(processor, "force_flush"):
            yield processor
