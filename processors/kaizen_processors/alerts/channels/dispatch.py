"""Delivers alerts: for each channel a bounded queue and a thread, so that none holds up the evaluator or another.

A newer state of the same alert takes the place of the older one in the queue, so an outage leaves at most one waiting
item for each alert.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kaizen_processors.alerts.channels.channel import DeliveryError
from kaizen_processors.chance import CHANCE
from kaizen_processors.forking import begin_anew_in_children
from kaizen_processors.values import text_of_error, type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kaizen_processors.alerts.alert import Alert
    from kaizen_processors.alerts.channels.channel import Channel

_logger = logging.getLogger("kaizen_otel")

MAX_QUEUED: Final = 1_000


_ASK_AGAIN_S: Final = 0.5


def always() -> bool:
    """The answer of a process that shares its rules with nobody."""
    return True


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How a delivery is tried again: waits double from `first_s` to `longest_s`, until `give_up_s` have passed."""

    first_s: float = 1.0
    longest_s: float = 60.0
    give_up_s: float = 3_600.0

    def wait_s(self, failures: int, asked_s: float | None) -> float:
        """Seconds to wait after so many failures in a row, no shorter than the other side asked for."""
        wait_s: float = min(self.first_s * 2.0 ** min(failures - 1, 30), self.longest_s)
        wait_s *= CHANCE.uniform(0.8, 1.2)  # to keep processes from knocking together
        return max(wait_s, asked_s or 0.0)


class Dispatcher:
    """The queues of all channels.

    Args:
        channels: where alerts go; each name once.
        settled: told of each alert that was delivered or given up, with the channel's name.
        retry: how often a delivery is tried again.
        may_send: whether this process is the one that tells of alerts just now; else they wait.
    """

    def __init__(
        self,
        channels: Iterable[Channel],
        settled: Callable[[str, Alert], None] | None = None,
        retry: RetryPolicy | None = None,
        may_send: Callable[[], bool] = always,
    ) -> None:
        """Start with empty queues and no thread."""
        self._settled = settled
        self._retry = retry or RetryPolicy()
        self._may_send = may_send
        self._lanes: dict[str, _Lane] = {}
        for channel in channels:
            self.add(channel)
        begin_anew_in_children(self)

    def after_fork_in_child(self) -> None:
        """Begin with empty queues: what the parent queued, the parent delivers."""
        for lane in self._lanes.values():
            lane.begin()

    def add(self, channel: Channel) -> None:
        """Give a further channel a queue."""
        self._lanes = {**self._lanes, channel.name: _Lane(channel, self._settled, self._retry, self._may_send)}

    def remove(self, name: str) -> None:
        """Stop sending to a channel. What is queued for it is not settled."""
        lane = self._lanes[name]
        self._lanes = {other: one for other, one in self._lanes.items() if other != name}
        lane.close()

    def forget(self) -> None:
        """Send nothing of what is queued, and do not settle it: it is another process's now."""
        for lane in self._lanes.values():
            lane.forget()

    def tell(self, channel: str, alert: Alert) -> None:
        """Queue an alert for a channel. Never blocks; a full queue drops it, counted."""
        lane = self._lanes.get(channel)
        if lane is not None:  # it may have been removed a moment ago
            lane.put(alert)

    def flush(self, timeout_s: float) -> bool:
        """Wait until every queue is empty; False when one is not in time."""
        deadline = time.monotonic() + timeout_s
        done = True
        for lane in self._lanes.values():
            done = lane.wait_empty(max(deadline - time.monotonic(), 0.0)) and done
        return done

    def close(self, timeout_s: float = 2.0) -> None:
        """Deliver what is queued within `timeout_s`, then stop. What is left is not settled."""
        self.flush(timeout_s)
        for lane in self._lanes.values():
            lane.close()

    def counts(self) -> dict[str, dict[str, Any]]:
        """For each channel: alerts `sent`, `queued`, and `dropped` by reason."""
        return {name: lane.counts() for name, lane in self._lanes.items()}


class _Lane:
    """One channel's queue and thread."""

    def __init__(
        self,
        channel: Channel,
        settled: Callable[[str, Alert], None] | None,
        retry: RetryPolicy,
        may_send: Callable[[], bool],
    ) -> None:
        self._channel = channel
        self._settled = settled
        self._retry = retry
        self._may_send = may_send
        self.begin()

    def begin(self) -> None:
        self._changed = threading.Condition()
        self._queue: OrderedDict[tuple[str, str], Alert] = OrderedDict()
        self._busy = False
        self._closed = False
        self._forgotten = 0
        self._sent = 0
        self._warned = False
        self._dropped: Counter[str] = Counter()
        self._thread: threading.Thread | None = None

    def put(self, alert: Alert) -> None:
        key = (alert.id, alert.status)
        with self._changed:
            full = key not in self._queue and len(self._queue) >= MAX_QUEUED
            if not full and not self._closed:
                self._queue[key] = alert
                with contextlib.suppress(RuntimeError):  # no thread can start any more: the process ends
                    self._ensure_thread()
                self._changed.notify_all()
                return
        self._drop(alert, "queue_full" if full else "closed")

    def wait_empty(self, timeout_s: float) -> bool:
        with self._changed:
            stranded = self._queue and self._thread is None
        if stranded:
            self._deliver_here()
        with self._changed:
            self._changed.wait_for(self._is_at_rest, timeout_s)
            return not self._queue and not self._busy

    def _is_at_rest(self) -> bool:
        return self._closed or not (self._queue or self._busy)

    def _deliver_here(self) -> None:
        """Try everything once, on the caller's thread: at the interpreter's exit no other can be started (3.12)."""
        with self._changed:
            alerts = list(self._queue.values())
            self._queue.clear()
        for alert in alerts if self._may_send() else ():
            try:
                self._channel.send(alert)
            except Exception as error:  # noqa: BLE001 - the channel may be the user's
                self._drop_for(alert, error)
            else:
                self._sent += 1
                self._settle(alert)

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._channel.close()

    def forget(self) -> None:
        with self._changed:
            self._queue.clear()
            self._forgotten += 1  # what is being tried, too
            self._changed.notify_all()

    def counts(self) -> dict[str, Any]:
        with self._changed:
            return {"sent": self._sent, "queued": len(self._queue) + self._busy, "dropped": dict(self._dropped)}

    def _ensure_thread(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = None
            thread = threading.Thread(target=self._run, name=f"alerts-{self._channel.name}", daemon=True)
            thread.start()
            self._thread = thread

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closed)
                if self._closed:
                    return
                _, alert = self._queue.popitem(last=False)
                self._busy = True
                forgotten = self._forgotten
            try:
                self._deliver(alert, forgotten)
            finally:
                with self._changed:
                    self._busy = False
                    self._changed.notify_all()

    def _deliver(self, alert: Alert, forgotten: int) -> None:
        began = time.monotonic()
        failures = 0
        while not self._closed and forgotten == self._forgotten:
            if not self._may_send():
                with self._changed:
                    self._changed.wait(_ASK_AGAIN_S)
                continue
            try:
                self._channel.send(alert)
            except DeliveryError as error:
                failures += 1
                if failures == 1 and error.retry:
                    self._warn(alert, error)
                wait_s = self._retry.wait_s(failures, error.after_s)
                if not error.retry:
                    return self._drop_for(alert, error)
                if time.monotonic() - began + wait_s > self._retry.give_up_s:
                    return self._drop(alert, f"{error.reason}_too_long")
                with self._changed:
                    self._changed.wait_for(lambda: self._closed or forgotten != self._forgotten, wait_s)
            except Exception as error:  # noqa: BLE001 - the channel may be the user's; the thread must live on
                return self._drop_for(alert, error)
            else:
                with self._changed:
                    self._sent += 1
                    self._warned = False
                return self._settle(alert)
        return None

    def _warn(self, alert: Alert, error: DeliveryError) -> None:
        """Say once that a channel does not answer: what waits for it may be news of something that burns."""
        if not self._warned:
            self._warned = True
            _logger.warning(
                "alert %s waits: %s cannot be reached (%s); it is tried again for up to %g s",
                alert.type,
                self._channel.name,
                error,
                self._retry.give_up_s,
            )

    def _drop_for(self, alert: Alert, error: Exception) -> None:
        if isinstance(error, DeliveryError):
            self._drop(alert, error.reason)
        else:  # of the application's own function or channel: only its text helps to mend it
            self._drop(alert, type_name(error), text_of_error(error) if self._channel.shows_errors else "")

    def _drop(self, alert: Alert, reason: str, why: str = "") -> None:
        with self._changed:
            seen = self._dropped[reason]
            self._dropped[reason] += 1
        if not seen:
            _logger.error(
                "alert %s could not be sent to %s: %s%s; further ones are only counted",
                alert.type,
                self._channel.name,
                reason,
                f" ({why})" if why else "",
            )
        self._settle(alert)

    def _settle(self, alert: Alert) -> None:
        if self._settled is not None:
            self._settled(self._channel.name, alert)
