"""One JSON request of a channel, and what its answer means."""

from __future__ import annotations

import json
import re
import threading
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from kaizen_processors.alerts.channels.channel import DeliveryError
from kaizen_processors.export.retry import retry_after_s
from kaizen_processors.forking import begin_anew_in_children
from kaizen_processors.values import type_name

if TYPE_CHECKING:
    from collections.abc import Mapping

_RETRYABLE: Final = frozenset({408, 429, 500, 502, 503, 504})
_OK: Final = range(200, 300)
_MAX_ANSWER_BYTES: Final = 16 * 1024
_USER_AGENT: Final = "kaizen-otel"
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_CONNECT_TIMEOUT_S: Final = 3.0


class JsonPost:
    """Posts JSON to one address over urllib3. Follows no redirect: credentials go nowhere else.

    Args:
        url: `http(s)://…`; it may hold a secret and is not shown.
        headers: sent with each request; the same.
        timeout_s: the longest silence while a request is written and its answer read.

    Raises:
        ValueError: one of them is not allowed.
    """

    def __init__(self, url: str, headers: Mapping[str, str], timeout_s: float) -> None:
        """Check; nothing is opened before the first request."""
        parts = urlsplit(url) if isinstance(url, str) and url.isprintable() and " " not in url else urlsplit("")
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("it is no address; allowed: http(s)://host…")
        for name, value in headers.items():
            if not _HEADER.fullmatch(name) or not isinstance(value, str) or not value.isprintable():
                raise ValueError(f"headers: {name!r:.60} is no header; allowed: a name, and one line of text")
        if isinstance(timeout_s, bool) or not isinstance(timeout_s, int | float) or not 0 < timeout_s <= 300:  # noqa: PLR2004
            raise ValueError(f"timeout_s cannot be {timeout_s!r}; allowed: more than 0, up to 300")
        self._url = url
        self._headers = {"user-agent": _USER_AGENT, **{name.lower(): value for name, value in headers.items()}}
        self._timeout_s = timeout_s
        self.after_fork_in_child()
        begin_anew_in_children(self)

    def after_fork_in_child(self) -> None:
        """Forget the parent's connections."""
        self._pool: Any = None
        self._lock = threading.Lock()

    def post(self, body: object, headers: Mapping[str, str] | None = None) -> None:
        """Send one request.

        Raises:
            DeliveryError: it was not taken.
        """
        from urllib3 import Timeout  # noqa: PLC0415 - 85 ms of import, on the sending thread
        from urllib3.exceptions import HTTPError  # noqa: PLC0415 - same

        limits = Timeout(connect=min(_CONNECT_TIMEOUT_S, self._timeout_s), read=self._timeout_s)
        try:
            response = self._connections().request(
                "POST",
                self._url,
                body=json.dumps(body).encode("ascii"),
                headers={**self._headers, **(headers or {}), "content-type": "application/json"},
                timeout=limits,
                retries=False,
                redirect=False,
                preload_content=False,
            )
            try:
                response.read(_MAX_ANSWER_BYTES)
            finally:
                # A connection whose answer was not read to its end cannot be used again.
                response.release_conn() if response.length_remaining in {0, None} else response.close()
        except (HTTPError, OSError) as error:
            raise DeliveryError("unreachable", type_name(error), retry=True) from error
        if response.status not in _OK:
            retry = response.status in _RETRYABLE
            after_s = retry_after_s(response.headers.get("retry-after"), time.time()) if retry else None
            raise DeliveryError(f"http_{response.status}", retry=retry, after_s=after_s)

    def close(self) -> None:
        """Close all connections; a later request opens new ones."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.clear()

    def _connections(self) -> Any:
        import urllib3  # noqa: PLC0415 - as above

        with self._lock:
            if self._pool is None:
                parts = urlsplit(self._url)
                proxy = getproxies().get(parts.scheme)
                direct = not proxy or proxy_bypass(parts.netloc.rpartition("@")[2])
                self._pool = urllib3.PoolManager(num_pools=1) if direct else urllib3.ProxyManager(str(proxy))
            return self._pool
