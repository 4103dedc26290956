"""The port that Prometheus scrapes, of all workers that share a store: one of them listens, any of them could.

Who holds it tells who asks (`OPTIONS`) which store it serves, so that a worker which finds the port taken knows whether
by a sibling, and need not warn.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import socket
import threading
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

from kaizen_processors.forking import begin_anew_in_children

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kaizen_processors.fence import Fence

STORE_HEADER: Final = "X-Kaizen-Otel-Store"

_ASK_TIMEOUT_S: Final = 5.0
_STRANGER: Final = ""
_TRIES: Final = 3
"""How often a port is tried that is taken while nobody answers there."""


def store_id(path: Path) -> str:
    """Name a store to whoever asks for it, without its path."""
    return hashlib.sha256(str(path.resolve()).encode(errors="surrogateescape")).hexdigest()[:16]


class HostEndpoint:
    """Listens, or lets a sibling listen until that one is gone.

    Args:
        host: address to listen on.
        port: 0 for any free one; then every worker listens.
        collector: what is served.
        store_id: names the store, to the other workers.
        fence: counts what collecting raises; who asked is told 503.
    """

    def __init__(self, host: str, port: int, collector: Any, store_id: str, fence: Fence) -> None:
        """Do not listen yet."""
        self._fence = fence
        self._host = host
        self._wanted = port
        self._store_id = store_id
        registry = CollectorRegistry()
        registry.register(collector)
        self._application = make_wsgi_app(registry)
        self._server: WSGIServer | None = None
        self._closed = False
        self._begin()
        begin_anew_in_children(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()

    def after_fork_in_child(self) -> None:
        """Let go of the parent's socket: nobody would answer here, and the port would stay taken when it is gone."""
        self._begin()
        server, self._server = self._server, None
        if server is not None:
            server.socket.close()

    @property
    def port(self) -> int | None:
        """The port that this process listens on; None while it does not."""
        server = self._server
        return None if server is None else int(server.server_port)

    def open(self) -> None:
        """Listen, unless a sibling does.

        Raises:
            OSError: it cannot listen there, and no worker of the same store does.
        """
        for _ in range(_TRIES):
            try:
                self._listen()
            except OSError as error:
                failed = error
            else:
                return
            holder = self._store_of_holder() if failed.errno == errno.EADDRINUSE else _STRANGER
            if holder == self._store_id:
                return
            if holder == _STRANGER:
                break
        raise failed

    def tick(self) -> None:
        """Listen when nobody does any more."""
        if self._server is None and not self._closed:
            try:
                self._listen()
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise

    def close(self) -> None:
        """Listen no more."""
        with self._lock:
            self._closed = True
            server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def _listen(self) -> None:
        with self._lock:
            if self._server is not None or self._closed:
                return
            family, address = _best_family(self._host, self._wanted)
            kind = type("_Server", (_Server,), {"address_family": family})
            server: WSGIServer = make_server(address, self._wanted, self._serve, kind, _SilentHandler)
            thread = threading.Thread(target=server.serve_forever, name="kaizen-otel-metrics", daemon=True)
            thread.start()
            self._server = server

    def _serve(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            return start_response(status, [*headers, (STORE_HEADER, self._store_id)], *rest)

        try:
            return self._application(environ, start)
        except Exception as error:  # noqa: BLE001 - a fence: the server would print a traceback
            self._fence.caught("host_metrics.serve", error)
            start("503 Service Unavailable", [("Content-Type", "text/plain; charset=utf-8")])
            return [b"the metrics of this host are not known: a part of them would look like counters that went down\n"]

    def _store_of_holder(self) -> str | None:
        """Which store is served by who listens there; None when nobody answers: who did is gone, or not there yet."""
        connection = http.client.HTTPConnection(self._host, self._wanted, timeout=_ASK_TIMEOUT_S)
        try:
            connection.request("OPTIONS", "/metrics")
            return connection.getresponse().getheader(STORE_HEADER, _STRANGER)
        except ConnectionRefusedError:
            return None
        except (OSError, http.client.HTTPException):
            return _STRANGER
        finally:
            connection.close()


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _SilentHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Log no request."""


def _best_family(host: str, port: int) -> tuple[int, str]:
    """The family and address that a name stands for: the server itself would take it for IPv4."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    return family, str(address[0])
