"""An OTLP/gRPC backend on loopback that answers as a test's script says and remembers what it took."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from tests.processors.delivery.backend import item_names

if TYPE_CHECKING:
    from types import TracebackType

HANG = "hang"
SERVICES = {
    "trace.v1.TraceService": "/v1/traces",
    "logs.v1.LogsService": "/v1/logs",
    "metrics.v1.MetricsService": "/v1/metrics",
}


@dataclass
class GrpcReply:
    """One answer: the name of a status code, or `HANG` (until the backend stops); with a `RetryInfo`, if any."""

    code: str = "OK"
    details: str = "as the test says"
    retry_after_s: float | None = None
    body: bytes = b""


class GrpcBackend:
    """`script` answers the first requests, then `default` the others. Only what was answered OK counts as taken."""

    def __init__(
        self,
        *script: GrpcReply,
        default: GrpcReply | None = None,
        max_bytes: int | None = None,
        port: int = 0,
        credentials: Any = None,
    ) -> None:
        self.script = list(script)
        self.default = default or GrpcReply()
        self.taken: list[str] = []
        self.requests: list[dict[str, Any]] = []
        self.bodies: list[bytes] = []
        self._changed = threading.Condition()
        self._stopped = threading.Event()
        options = [] if max_bytes is None else [("grpc.max_receive_message_length", max_bytes)]
        self._pool = ThreadPoolExecutor(8)
        self._server = grpc.server(self._pool, options=[*options, ("grpc.so_reuseport", 0)])
        for service, path in SERVICES.items():
            self._server.add_generic_rpc_handlers((self._handler(service, path),))
        where = f"localhost:{port}"
        bound = (
            self._server.add_insecure_port(where)
            if credentials is None
            else self._server.add_secure_port(where, credentials)
        )
        self.target = f"localhost:{bound}"
        self.url = f"http://{self.target}"

    def _handler(self, service: str, path: str) -> Any:
        def export(body: bytes, context: Any) -> bytes:
            return self._answer(path, body, context)

        method = grpc.unary_unary_rpc_method_handler(export)
        return grpc.method_handlers_generic_handler(f"opentelemetry.proto.collector.{service}", {"Export": method})

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        self._stopped.set()
        self._server.stop(None).wait()
        self._pool.shutdown()

    def wait_for_requests(self, count: int, timeout_s: float = 10.0) -> bool:
        """Wait until so many requests have come."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.requests) >= count, timeout_s)

    def _answer(self, path: str, body: bytes, context: Any) -> bytes:
        names = item_names(path, body)
        metadata = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
        with self._changed:
            self.requests.append(metadata | {"": path, "time_left_s": context.time_remaining()})
            reply = self.script.pop(0) if self.script else self.default
            if reply.code == "OK":
                self.taken += names
                self.bodies.append(body)
            self._changed.notify_all()
        if reply.code == HANG:
            self._stopped.wait()
        elif reply.code != "OK":
            if reply.retry_after_s is not None:
                context.set_trailing_metadata((("grpc-status-details-bin", _retry_info(reply)),))
            context.abort(grpc.StatusCode[reply.code], reply.details)
        return reply.body


def _retry_info(reply: GrpcReply) -> bytes:
    seconds = reply.retry_after_s or 0.0
    delay = Duration(seconds=int(seconds), nanos=int(seconds % 1 * 1e9))
    detail = AnyMessage()
    detail.Pack(RetryInfo(retry_delay=delay))
    code = grpc.StatusCode[reply.code].value[0]
    message: bytes = Status(code=code, message=reply.details, details=[detail]).SerializeToString()
    return message
