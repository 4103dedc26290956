"""A model server on loopback that speaks the real providers' protocols with scripted answers.

Tests and the demo state exactly which tokens, tools and errors come back:

    with ModelServer() as server:
        server.script([Reply.rate_limited(), Rule(user="refund", replies=Reply(text="Refunded."))])
        ...
        assert server.requests[0].headers["traceparent"]
"""

from __future__ import annotations

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from kaizen_otel.demo.script import ModelRequest, Reply, ReplyError, ReplyToolCall, ReplyUsage, Rule, Script, Scripted
from kaizen_otel.demo.wires import WIRES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from urllib.parse import SplitResult

    from kaizen_otel.demo.wires.wire import Wire

_FIRST_ERROR_STATUS = 400


class ModelServer:
    """OpenAI, Anthropic, Ollama and Google on one free loopback port, from `start()` (or `with`) to `stop()`."""

    def __init__(self) -> None:
        """Prepare a server; it listens from `start()` on."""
        self._http: _HttpServer | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._requests: list[ModelRequest] = []
        self._received = 0
        self._script = Script(())
        self._stopping = threading.Event()

    @property
    def url(self) -> str:
        """The base URL, with the host name that Kaizen's URL check lets pass.

        Raises:
            RuntimeError: The server is not running.
        """
        if self._http is None:
            raise RuntimeError("the model server is not running: use `with ModelServer() as server`")
        return f"http://localhost:{self._http.server_address[1]}"

    @property
    def requests(self) -> list[ModelRequest]:
        """The requests received so far, in order of arrival (a copy)."""
        with self._lock:
            return list(self._requests)

    def script(self, scripted: Scripted) -> None:
        """Answer from now on by these rules (see `Script`); an empty list brings the default answers back."""
        script = Script(scripted)
        with self._lock:
            self._script = script

    def reset(self) -> None:
        """Forget the recorded requests and the script, and count ids from 1 again."""
        with self._lock:
            self._requests.clear()
            self._received = 0
            self._script = Script(())

    def start(self) -> Self:
        """Listen on a free port. Returns the server itself."""
        if self._http is None:
            self._stopping.clear()
            self._http = _HttpServer(self)
            self._thread = threading.Thread(
                target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, name="model-server", daemon=True
            )
            self._thread.start()
        return self

    def stop(self) -> None:
        """Close the port and every connection, also those that wait on a delayed answer. Safe to call twice."""
        http, thread = self._http, self._thread
        if http is None or thread is None:
            return
        http.shutdown()
        http.close_connections()
        self._stopping.set()  # after the connections are gone: a delayed answer ends unsent
        thread.join()
        http.server_close()
        self._http = self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def receive(
        self, wire: Wire, url: SplitResult, headers: Mapping[str, str], body: dict[str, Any]
    ) -> tuple[ModelRequest, Reply]:
        """Record a request and choose its reply (called by the connection's thread)."""
        with self._lock:
            self._received += 1
            request = wire.read(self._received, url, headers, body)
            self._requests.append(request)
            script = self._script
        if not wire.authorized(headers):
            return request, Reply.unauthorized()
        return request, script.reply_to(request)

    def wait(self, delay_s: float) -> None:
        """Let a scripted delay pass, or less when the server stops."""
        if delay_s > 0:
            self._stopping.wait(delay_s)


class _HttpServer(ThreadingHTTPServer):
    """Threads are joined on close, so that nothing outlives the test that started the server."""

    daemon_threads = False
    block_on_close = True
    request_queue_size = 64

    def __init__(self, owner: ModelServer) -> None:
        self.owner = owner
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        with self._open_lock:
            self._open.add(connection)
        return connection, address

    def close_request(self, request: Any) -> None:
        with self._open_lock:
            self._open.discard(request)
        super().close_request(request)

    def close_connections(self) -> None:
        with self._open_lock:
            connections = list(self._open)
        for connection in connections:
            _hang_up(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is its own business; the default would print a traceback."""


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # already gone, which is what was wanted


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _HttpServer

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Log nothing: requests are recorded."""

    def do_POST(self) -> None:
        """Answer one request of any wire."""
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        url = urlsplit(self.path)
        wire = next((wire for wire in WIRES if wire.operation(url.path)), None)
        if wire is None:
            self._send_json(
                404, {"error": {"message": f"Invalid URL (POST {url.path})", "type": "invalid_request_error"}}
            )
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            body = json.loads(raw)
        except ValueError:
            message = "We could not parse the JSON body of your request."
            self._send_json(400, wire.error(ReplyError(message, "invalid_request_error"), 400))
            return
        request, reply = self.server.owner.receive(wire, url, headers, body)
        self.server.owner.wait(reply.delay_s)
        self._reply(wire, request, reply)

    def _reply(self, wire: Wire, request: ModelRequest, reply: Reply) -> None:
        extra = {**wire.headers(request), **reply.headers}
        if reply.body is not None:
            self._send(reply.status, reply.body, extra)
        elif reply.status >= _FIRST_ERROR_STATUS:
            error = reply.error or ReplyError(f"HTTP {reply.status}", "server_error")
            self._send_json(reply.status, wire.error(error, reply.status), extra)
        elif reply.drop_after_chunks == 0 or (reply.drop_after_chunks is not None and not request.stream):
            self.close_connection = True
        elif request.stream:
            self._send_stream(wire, request, reply, extra)
        else:
            self._send_json(reply.status, wire.answer(request, reply), extra)

    def _send_json(self, status: int, body: dict[str, Any], headers: Mapping[str, str] | None = None) -> None:
        self._send(status, json.dumps(body).encode(), headers or {})

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self._send_head(status, {"content-type": "application/json", **headers, "content-length": str(len(body))})
        self.wfile.write(body)
        self.wfile.flush()

    def _send_stream(self, wire: Wire, request: ModelRequest, reply: Reply, headers: Mapping[str, str]) -> None:
        self._send_head(
            reply.status, {"content-type": wire.stream_content_type, **headers, "transfer-encoding": "chunked"}
        )
        for index, frame in enumerate(wire.stream(request, reply)):
            if index == reply.drop_after_chunks:
                self.wfile.flush()
                self.close_connection = True
                return
            if index:
                self.server.owner.wait(reply.chunk_delay_s)
            data = frame.encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def _send_head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


__all__ = ["ModelRequest", "ModelServer", "Reply", "ReplyError", "ReplyToolCall", "ReplyUsage", "Rule", "Scripted"]
