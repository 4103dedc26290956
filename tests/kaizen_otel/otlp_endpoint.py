"""An OTLP endpoint that takes every signal, and says what it got."""

from __future__ import annotations

import gzip
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

if TYPE_CHECKING:
    from collections.abc import Iterator


class Received:
    """What an OTLP endpoint got."""

    def __init__(self) -> None:
        self.spans: list[str] = []
        self.events: list[str] = []
        self.metrics: set[str] = set()
        self.services: set[str] = set()
        self._lock = threading.Lock()

    def traces(self, request: ExportTraceServiceRequest) -> None:
        with self._lock:
            for resource in request.resource_spans:
                self.services |= {a.value.string_value for a in resource.resource.attributes if a.key == "service.name"}
                self.spans += [span.name for scope in resource.scope_spans for span in scope.spans]

    def logs(self, request: ExportLogsServiceRequest) -> None:
        with self._lock:
            for resource in request.resource_logs:
                self.events += [log.event_name for scope in resource.scope_logs for log in scope.log_records]

    def collected(self, request: ExportMetricsServiceRequest) -> None:
        with self._lock:
            for resource in request.resource_metrics:
                self.metrics |= {metric.name for scope in resource.scope_metrics for metric in scope.metrics}


@contextmanager
def receiving() -> Iterator[tuple[str, Received]]:
    """The address of an OTLP/HTTP endpoint, and what it got so far."""
    received = Received()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            if self.path == "/v1/traces":
                received.traces(ExportTraceServiceRequest.FromString(body))
            elif self.path == "/v1/logs":
                received.logs(ExportLogsServiceRequest.FromString(body))
            else:
                received.collected(ExportMetricsServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", received
    server.shutdown()
    thread.join()
    server.server_close()
