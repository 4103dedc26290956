"""Posts each alert as JSON to an address."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaizen_processors.alerts.channels.channel import Channel
from kaizen_processors.alerts.channels.http_post import JsonPost

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kaizen_processors.alerts.alert import Alert


class WebhookChannel(Channel):
    """Posts `Alert.as_dict()` as JSON.

    The header `Idempotency-Key` is the same for every attempt to deliver the same news, also after a restart.

    Args:
        name: by which rules choose it.
        url: where to; it may hold a secret and is not logged.
        headers: sent with each request, such as `Authorization`.
        timeout_s: the longest silence.
        resolved: whether it is also told that an alert is over.

    Raises:
        ValueError: an argument is not allowed.
    """

    shows_errors = False

    def __init__(
        self,
        name: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 10.0,
        resolved: bool = True,
    ) -> None:
        """Check; nothing is opened before the first alert."""
        super().__init__(name)
        self._post = JsonPost(url, headers or {}, timeout_s)
        self.sends_resolved = resolved

    def send(self, alert: Alert) -> None:
        """Post it."""
        self._post.post(alert.as_dict(), {"idempotency-key": f"{alert.id}-{alert.status}"})

    def close(self) -> None:
        """Close the connection."""
        self._post.close()
