"""Hands alerts to Alertmanager (API v2), which groups, silences, inhibits and tells people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kaizen_processors.alerts.alert import iso
from kaizen_processors.alerts.channels.channel import Channel, DeliveryError
from kaizen_processors.alerts.channels.http_post import JsonPost
from kaizen_processors.clock import SYSTEM_CLOCK

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kaizen_processors.alerts.alert import Alert
    from kaizen_processors.clock import Clock

_PATH: Final = "/api/v2/alerts"
_LIVES_FOR: Final = 4
"""As in Prometheus: an alert that was not sent again for four times the interval is over."""


class AlertmanagerChannel(Channel):
    """Sends each alert, again every `resend_s` while it fires, to every Alertmanager of a cluster.

    An alert carries the time at which it is over if nobody speaks of it again. So when this process dies its alerts
    end by themselves, and when it restarts within that time nobody notices.

    Args:
        name: by which rules choose it.
        urls: the base address of each Alertmanager, such as `http://localhost:9093`.
        headers: sent with each request, such as `Authorization`.
        timeout_s: the longest silence.
        resend_s: seconds between two sendings of an alert that goes on.
        clock: what time it is.

    Raises:
        ValueError: an argument is not allowed.
    """

    shows_errors = False

    def __init__(
        self,
        name: str,
        urls: str | Sequence[str],
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 10.0,
        resend_s: float = 60.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Check; nothing is opened before the first alert."""
        super().__init__(name)
        given = (urls,) if isinstance(urls, str) else tuple(urls)
        if not given:
            raise ValueError("urls is empty; allowed: one or more of http(s)://host…")
        if not 1 <= resend_s <= 3_600:  # noqa: PLR2004 - an hour
            raise ValueError(f"resend_s cannot be {resend_s!r}; allowed: 1 to 3600")
        self._posts = [JsonPost(f"{url.rstrip('/')}{_PATH}", headers or {}, timeout_s) for url in given]
        self._clock = clock
        self.repeat_s = resend_s

    def send(self, alert: Alert) -> None:
        """Send it to every Alertmanager; one that takes it is enough, they tell each other."""
        body = [self._as_posted(alert)]
        errors = []
        for post in self._posts:
            try:
                post.post(body)
            except DeliveryError as error:
                errors.append(error)
        if len(errors) == len(self._posts):
            raise next((error for error in errors if error.retry), errors[0])

    def close(self) -> None:
        """Close the connections."""
        for post in self._posts:
            post.close()

    def _as_posted(self, alert: Alert) -> dict[str, Any]:
        lives_ns = int(_LIVES_FOR * (self.repeat_s or 0) * 1e9)
        links = [one.url or one.trace_id or one.execution_id for one in alert.executions]
        annotations = {"message": alert.message, **({"executions": "\n".join(links)} if links else {})}
        urls = [one.url for one in alert.executions if one.url]
        return {
            "labels": dict(alert.labels),
            "annotations": annotations | dict(alert.annotations),
            "startsAt": iso(alert.starts_at_ns),
            "endsAt": iso(self._clock.time_ns() + lives_ns if alert.ends_at_ns is None else alert.ends_at_ns),
            **({"generatorURL": urls[0]} if urls else {}),
        }
