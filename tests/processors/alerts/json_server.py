"""A server on loopback that takes JSON, answers as a test says, and remembers."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Answer = tuple[int, dict[str, str]]


class JsonServer:
    """`script` answers the first requests, 200 the others."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.script: list[Answer] = []
        self.bodies: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self._changed = threading.Condition()

    def wait_for(self, wanted: Callable[[], bool], timeout_s: float = 30.0) -> bool:
        with self._changed:
            return self._changed.wait_for(wanted, timeout_s)

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> Answer:
        with self._changed:
            self.paths.append(path)
            self.headers.append(headers)
            self.bodies.append(json.loads(body))
            self._changed.notify_all()
            return self.script.pop(0) if self.script else (200, {})


@contextmanager
def json_server() -> Iterator[JsonServer]:
    """A server for the length of a block."""
    made: list[JsonServer] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, extra = made[0].answer(self.path, headers, body)
            self.send_response(status)
            for name, value in extra.items():
                self.send_header(name, value)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made.append(JsonServer(server.server_port))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield made[0]
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10.0)
