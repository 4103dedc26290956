"""A function of the application's own as a channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kaizen_processors.alerts.channels.channel import Channel

if TYPE_CHECKING:
    from collections.abc import Callable

    from kaizen_processors.alerts.alert import Alert


class CallbackChannel(Channel):
    """Calls a function with each alert as a dictionary (`Alert.as_dict`), on a thread of its own.

    What the function raises is counted, and logged once for each type; it is not called again for that alert.

    Args:
        name: by which rules choose it.
        handler: the function.
        resolved: whether it is also called, with `status: resolved`, when an alert is over.
    """

    def __init__(self, name: str, handler: Callable[[dict[str, Any]], object], *, resolved: bool = False) -> None:
        """Hold the function."""
        if not callable(handler):
            raise TypeError(f"an alert handler cannot be {type(handler).__name__}; allowed: a function of one argument")
        super().__init__(name)
        self._handler = handler
        self.sends_resolved = resolved

    def send(self, alert: Alert) -> None:
        """Call it."""
        self._handler(alert.as_dict())
