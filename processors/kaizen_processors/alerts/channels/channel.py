"""What a channel is: something that one alert can be sent to, now, on a thread of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kaizen_processors.alerts.alert import Alert


class DeliveryError(Exception):
    """An alert could not be delivered.

    Attributes:
        reason: for the counters: `refused`, `unreachable`, …
        retry: whether the same may work later.
        after_s: how long the other side asked to be left alone; None when it did not say.
    """

    def __init__(self, reason: str, what: str = "", *, retry: bool, after_s: float | None = None) -> None:
        """Hold the fields."""
        super().__init__(f"{reason}: {what}" if what else reason)
        self.reason = reason
        self.retry = retry
        self.after_s = after_s


class Channel:
    """Base of all channels. `send` may block: it never runs on the evaluator's thread.

    Attributes:
        name: by which rules choose it.
        repeat_s: seconds after which an alert that still fires is sent again; None: as the evaluator's options say.
        sends_resolved: whether it is told that an alert is over.
        shows_errors: whether what `send` raises may be logged with its text; not where that may hold an address.
    """

    repeat_s: float | None = None
    sends_resolved: bool = True
    shows_errors: bool = True

    def __init__(self, name: str) -> None:
        """Hold the name."""
        self.name = name

    def send(self, alert: Alert) -> None:
        """Deliver one alert.

        Raises:
            DeliveryError: it did not arrive. Anything else that is raised counts as one that must not be retried.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Let go of connections."""
