"""Who is to be told of an alert, and what of it has not arrived.

A channel is told once that an alert fires, again after the repeat interval while it does, and once that it is over when
it was told before. What it is to be told waits in the outbox, which outlives the process, until it is delivered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from kaizen_processors.alerts.channels.dispatch import Dispatcher
from kaizen_processors.alerts.evaluator_options import channels_by_name
from kaizen_processors.alerts.kept import Address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from kaizen_processors.alerts.alert import Alert
    from kaizen_processors.alerts.channels.channel import Channel
    from kaizen_processors.alerts.evaluator_options import EvaluatorOptions
    from kaizen_processors.alerts.standing import Standing

_NS: Final = 1_000_000_000
_FORGET_NEWS_NS: Final = 7 * 86_400 * _NS
"""News for a channel that does not come back is kept this long."""


class Letter(NamedTuple):
    """What a channel is to be told."""

    address: Address
    alert: Alert


class Notifier:
    """The channels of one evaluator.

    Not safe for threads by itself: the evaluator's lock is held around it, but for `hand_out`, `flush` and `close`.

    Args:
        channels: where alerts go; each name once.
        options: how they are told of.
        settled: told of each alert that was delivered or given up, with the channel's name, on a channel's thread.

    Attributes:
        channels: by name.
        outbox: what has not been delivered yet, nor given up.

    Raises:
        RuleError: two channels have one name.
    """

    def __init__(
        self, channels: Iterable[Channel], options: EvaluatorOptions, settled: Callable[[str, Alert], None]
    ) -> None:
        """Tell nobody of anything yet."""
        self._options = options
        self.channels: Mapping[str, Channel] = channels_by_name(channels)
        self._dispatcher = Dispatcher(self.channels.values(), settled, options.retry, options.leads)
        self.begin_anew()

    def begin_anew(self) -> None:
        """Have nothing to tell: another process has."""
        self.outbox: dict[Address, Alert] = {}

    def restore(self, outbox: Mapping[Address, Alert]) -> None:
        """Have to tell what another process had to, unless it is too old to be news."""
        forgotten_ns = self._options.clock.time_ns() - _FORGET_NEWS_NS
        self.outbox = {key: alert for key, alert in outbox.items() if alert.starts_at_ns > forgotten_ns}

    def lay_down(self) -> None:
        """Send nothing more of what was told: another process goes on with it."""
        self.begin_anew()
        self._dispatcher.forget()

    # Channels

    def add(self, channel: Channel) -> None:
        """Tell a further channel, too.

        Raises:
            RuleError: there is a channel with its name.
        """
        self.channels = channels_by_name((*self.channels.values(), channel))
        self._dispatcher.add(channel)

    def remove(self, name: str) -> bool:
        """Tell a channel no more; False when there is none with this name."""
        if name not in self.channels:
            return False
        self.channels = {other: one for other, one in self.channels.items() if other != name}
        self._dispatcher.remove(name)
        return True

    # What they are to be told

    def due(self, standing: Standing, wanted: Sequence[str], now_ns: int) -> list[str]:
        """Which of the wanted channels are to be told now that it fires; of all, where none of them is there."""
        targets = [name for name in wanted if name in self.channels] or self.channels
        return [name for name in targets if self._is_due(name, standing, now_ns)]

    def _is_due(self, channel: str, standing: Standing, now_ns: int) -> bool:
        told_ns = standing.told_ns.get(channel)
        repeat_s = self.channels[channel].repeat_s or self._options.repeat_interval_s
        return told_ns is None or now_ns - told_ns >= repeat_s * _NS

    def tell(self, channels: Iterable[str], standing: Standing, alert: Alert, now_ns: int) -> list[Letter]:
        """Post it to these channels, and note when each was told."""
        standing.told_ns.update(dict.fromkeys(channels, now_ns))
        return [self._post(name, alert) for name in channels]

    def tell_over(self, standing: Standing, alert: Alert) -> list[Letter]:
        """Post it to the channels that were told that it fires and want to hear that it is over."""
        return [self._post(name, alert) for name in standing.told_ns if self._wants_resolved(name)]

    def _wants_resolved(self, channel: str) -> bool:
        known = self.channels.get(channel)
        return known is not None and known.sends_resolved

    def _post(self, channel: str, alert: Alert) -> Letter:
        key = Address(channel, alert.id, alert.status)
        self.outbox[key] = alert
        return Letter(key, alert)

    # What has not arrived

    def waiting(self) -> list[Letter]:
        """Everything that was posted and has not been settled."""
        return [Letter(address, alert) for address, alert in self.outbox.items()]

    def settle(self, channel: str, alert: Alert) -> bool:
        """Take it out of the outbox; False when there is something newer, or nothing."""
        key = Address(channel, alert.id, alert.status)
        if self.outbox.get(key) is not alert:
            return False
        del self.outbox[key]
        return True

    def hand_out(self, told: Iterable[Letter]) -> None:
        """Queue letters for their channels; what is for one that may be added later waits in the outbox."""
        for address, alert in told:
            if address.channel in self.channels:
                self._dispatcher.tell(address.channel, alert)

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was handed out is delivered or given up; False when something is left."""
        return self._dispatcher.flush(timeout_s)

    def close(self, timeout_s: float) -> None:
        """Deliver within `timeout_s`, and stop."""
        self._dispatcher.close(timeout_s)

    def counts(self) -> dict[str, dict[str, Any]]:
        """For each channel what it was sent."""
        return self._dispatcher.counts()
