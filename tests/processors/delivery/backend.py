"""An OTLP/HTTP backend on loopback that answers as a test's script says and remembers what it took."""

from __future__ import annotations

import gzip
import socket
import struct
import threading
import zlib
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

if TYPE_CHECKING:
    import ssl
    from types import TracebackType

OK = 200
HANG = "hang"
RESET = "reset"
CLOSE = "close"


@dataclass
class Reply:
    """One answer: a status, or `HANG` (until the backend stops), `RESET`, `CLOSE` (read everything, say nothing)."""

    what: int | str = OK
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay_s: float = 0.0
    """How long the answer takes."""
    drip_s: float = 0.0
    """How long each byte of its body takes."""
    head_drip_s: float = 0.0
    """How long each byte of its headers takes, which never end."""
    interim: int | None = None
    """A status that is said, with headers of its own, before the answer."""


class Backend:
    """`script` answers the first requests, then `default` the others. Only what was answered 2xx counts as taken.

    What cannot be read as HTTP with OTLP in it is in `broken`, and answered 400. With `tls` it speaks HTTPS. With
    `keep`, the uncompressed requests that it took are in `bodies`. It begins to read a body after `read_after_s`.
    """

    def __init__(
        self,
        *script: Reply,
        default: Reply | None = None,
        max_bytes: int | None = None,
        tls: ssl.SSLContext | None = None,
        keep: bool = False,
        read_after_s: float = 0.0,
    ) -> None:
        self.script = list(script)
        self.default = default or Reply()
        self.max_bytes = max_bytes
        self.taken: list[str] = []
        self.requests: list[dict[str, str]] = []
        self.connections = 0
        self.dripped = 0
        self.sizes: list[int] = []
        self.broken: list[str] = []
        self.keep = keep
        self.read_after_s = read_after_s
        self.bodies: list[bytes] = []
        self._changed = threading.Condition()
        self._stopped = threading.Event()
        backend = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                backend._answer(self)

            def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
                backend.broken.append(f"{code} {message}")
                super().send_error(code, message, explain)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
                """Stay silent."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, request: Any, client_address: Any) -> None:
                """A client that went away is part of the tests."""

            def finish_request(self, request: Any, client_address: Any) -> None:
                backend.connections += 1
                # Shaken hands on the connection's own thread: a client that refuses our certificate stops nobody else.
                with request if tls is None else tls.wrap_socket(request, server_side=True) as connection:
                    super().finish_request(connection, client_address)

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def wait_for_requests(self, count: int, timeout_s: float = 10.0) -> bool:
        """Wait until so many requests have come."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.requests) >= count, timeout_s)

    def wait_for_items(self, count: int, timeout_s: float = 10.0) -> bool:
        """Wait until so many items have been taken."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.taken) >= count, timeout_s)

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        if self.read_after_s:
            self._stopped.wait(self.read_after_s)
        body = handler.rfile.read(int(handler.headers["content-length"]))
        try:
            if handler.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            names = item_names(handler.path, body)
        except (OSError, EOFError, zlib.error, DecodeError) as error:
            handler.send_error(400, f"unreadable: {error}")
            return
        with self._changed:
            self.requests.append({name.lower(): value for name, value in handler.headers.items()} | {"": handler.path})
            self.sizes.append(len(body))
            reply = self.script.pop(0) if self.script else self.default
            if self.max_bytes is not None and len(body) > self.max_bytes:
                reply = Reply(413)
            if isinstance(reply.what, int) and reply.what < 300:
                self.taken += names
                self.bodies += [body] if self.keep else []
            self._changed.notify_all()
        if reply.delay_s:
            self._stopped.wait(reply.delay_s)
        if reply.what == HANG:
            self._stopped.wait()
            handler.close_connection = True
        elif reply.what == RESET:
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.close_connection = True
        elif reply.what == CLOSE:
            handler.close_connection = True
        else:
            self._say(handler, reply)

    def _say(self, handler: BaseHTTPRequestHandler, reply: Reply) -> None:
        assert isinstance(reply.what, int)
        if reply.head_drip_s:
            handler.wfile.write(f"HTTP/1.1 {reply.what} \r\nx: ".encode())
            handler.close_connection = True
            self._drip(handler, b"x" * 200, reply.head_drip_s)
            return
        if reply.interim is not None:
            handler.wfile.write(f"HTTP/1.1 {reply.interim} \r\nlink: x\r\n\r\n".encode())
        handler.send_response(reply.what)
        for name, value in reply.headers.items():
            handler.send_header(name, value)
        handler.send_header("content-length", str(len(reply.body)))
        handler.end_headers()
        self._drip(handler, reply.body, reply.drip_s) if reply.drip_s else handler.wfile.write(reply.body)

    def _drip(self, handler: BaseHTTPRequestHandler, body: bytes, drip_s: float) -> None:
        for byte in body:
            handler.wfile.write(bytes([byte]))  # raises, and ends the connection, when nobody reads any more
            self.dripped += 1
            self._stopped.wait(drip_s)


def item_names(path: str, body: bytes) -> list[str]:
    """Names of the spans or metrics, or bodies of the log records, in a request."""
    if path.endswith("/v1/metrics"):
        metrics = ExportMetricsServiceRequest.FromString(body)
        return [
            one.name
            for resource in metrics.resource_metrics
            for scope in resource.scope_metrics
            for one in scope.metrics
        ]
    if path.endswith("/v1/logs"):
        logs = ExportLogsServiceRequest.FromString(body)
        return [
            record.body.string_value
            for resource in logs.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]
    spans = ExportTraceServiceRequest.FromString(body)
    return [span.name for resource in spans.resource_spans for scope in resource.scope_spans for span in scope.spans]


def unused_url() -> str:
    """A loopback URL at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"
