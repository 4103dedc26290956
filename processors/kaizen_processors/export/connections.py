"""Connections to an OTLP/HTTP endpoint: by urllib3, whose import takes 85 ms, so this is imported when it is used.

An answer is over in time here, and its status counts whatever follows it. `http.client` alone bounds the silence
between two bytes, so an answer that drips may take days; it gives up an answer for a header that it does not take; and
it takes an interim answer (`103 Early Hints`) for the last one. `urllib3` alone lets a request be written for as long
as connecting may take, or, on a connection that is used again, as the last answer left.
"""

from __future__ import annotations

import time
from http.client import HTTPException, HTTPMessage, HTTPResponse, parse_headers
from io import BufferedReader, RawIOBase
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager, ProxyManager
from urllib3.connection import HTTPConnection, HTTPSConnection

if TYPE_CHECKING:
    from collections.abc import Callable

    from kaizen_processors.export.endpoint import OtlpEndpoint


def pool_for(endpoint: OtlpEndpoint) -> PoolManager:
    """Connections to an endpoint, through its proxy and with its certificates."""
    options: dict[str, Any] = {"num_pools": 1, "maxsize": 1}
    parts = urlsplit(endpoint.url)
    if parts.scheme == "https":
        options |= {
            "ca_certs": endpoint.certificate,
            "cert_file": endpoint.client_certificate,
            "key_file": endpoint.client_key,
        }
    proxy = getproxies().get(parts.scheme)
    if proxy and proxy_bypass(parts.netloc.rpartition("@")[2]):
        proxy = None
    pool = ProxyManager(proxy, **options) if proxy else PoolManager(**options)
    pool.pool_classes_by_scheme = _POOLS
    return pool


_INTERIM: Final = range(102, 200)
"""Statuses that another one follows, like 100, which `http.client` knows."""


class _UntilDeadline(RawIOBase):
    """What a socket gives within its timeout, all of it together."""

    def __init__(self, raw: Any, sock: Any) -> None:
        self._raw = raw
        self._sock = sock
        # What pyOpenSSL puts in the place of a socket cannot tell (urllib3 2.8): then only silence is bounded.
        tell: Callable[[], float | None] | None = getattr(sock, "gettimeout", None)
        timeout_s = None if tell is None else tell()
        self._until_s = None if timeout_s is None else time.monotonic() + timeout_s

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._until_s is not None:
            left_s = self._until_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError("the answer takes too long")
            self._sock.settimeout(left_s)
        read: int | None = self._raw.readinto(buffer)
        return read

    def close(self) -> None:
        try:
            self._raw.close()
        finally:
            super().close()


class _Answer(HTTPResponse):
    """An answer that is read within the timeout of its socket. Without a readable head it has its status alone."""

    def __init__(self, sock: Any, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp: BufferedReader = BufferedReader(_UntilDeadline(self.fp.detach(), sock))

    def _read_status(self) -> tuple[str, int, str]:
        told: tuple[str, int, str] = super()._read_status()  # type: ignore[misc]  # not in the stubs
        while told[1] in _INTERIM:
            parse_headers(self.fp)
            told = super()._read_status()  # type: ignore[misc]  # as above
        return told

    def begin(self) -> None:
        try:
            super().begin()
        except (HTTPException, OSError):
            if not isinstance(self.status, int):  # no status came
                raise
            # More than 100 headers, one that is too long, one that never ends: the backend has said what it did.
            self.headers = self.msg = HTTPMessage()
            self.chunked, self.length, self.will_close = False, 0, True
            self.close()


class _InTime:
    """A connection whose requests have a time of their own to be written in."""

    sock: Any
    write_timeout_s: float | None = None

    def endheaders(self, *args: Any, **options: Any) -> None:
        self._begin_writing()
        super().endheaders(*args, **options)  # type: ignore[misc]  # the connection's; connects where that is to be done
        self._begin_writing()

    def _begin_writing(self) -> None:
        if self.sock is not None and self.write_timeout_s is not None:
            self.sock.settimeout(self.write_timeout_s)


class _Connection(_InTime, HTTPConnection):
    response_class = _Answer


class _TlsConnection(_InTime, HTTPSConnection):
    response_class = _Answer


class _TimedRequests(HTTPConnectionPool):
    def _make_request(self, conn: Any, *args: Any, **options: Any) -> Any:
        conn.write_timeout_s = options["timeout"].read_timeout
        return super()._make_request(conn, *args, **options)


class _Pool(_TimedRequests):
    ConnectionCls = _Connection


class _TlsPool(_TimedRequests, HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


_POOLS: Final = {"http": _Pool, "https": _TlsPool}
