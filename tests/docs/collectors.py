"""Receivers of OTLP, over HTTP and gRPC, that only note which signals came."""

from __future__ import annotations

import importlib
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as metrics_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as traces_grpc

if TYPE_CHECKING:
    from collections.abc import Iterator

grpc: Any = importlib.import_module("grpc")  # untyped where types-grpcio is not installed


class Collectors:
    """Where both listen, and what came since `received` was last emptied: `/v1/traces`, `/v1/metrics`."""

    def __init__(self, http_url: str, grpc_url: str, received: set[str]) -> None:
        self.http_url = http_url
        self.grpc_url = grpc_url
        self.received = received


@contextmanager
def collectors() -> Iterator[Collectors]:
    """Both, listening."""
    received: set[str] = set()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            received.add(self.path)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
            pass

    class Traces(traces_grpc.TraceServiceServicer):
        def Export(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002 - the protocol's method
            received.add("/v1/traces")
            return traces.ExportTraceServiceResponse()

    class Metrics(metrics_grpc.MetricsServiceServicer):
        def Export(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002 - the protocol's method
            received.add("/v1/metrics")
            return metrics.ExportMetricsServiceResponse()

    over_grpc = grpc.server(ThreadPoolExecutor(2))
    traces_grpc.add_TraceServiceServicer_to_server(Traces(), over_grpc)  # type: ignore[no-untyped-call]
    metrics_grpc.add_MetricsServiceServicer_to_server(Metrics(), over_grpc)  # type: ignore[no-untyped-call]
    port = over_grpc.add_insecure_port("127.0.0.1:0")
    over_grpc.start()
    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as over_http:
        thread = threading.Thread(target=over_http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield Collectors(f"http://127.0.0.1:{over_http.server_address[1]}", f"http://127.0.0.1:{port}", received)
        over_http.shutdown()
        thread.join()
    over_grpc.stop(None).wait()
