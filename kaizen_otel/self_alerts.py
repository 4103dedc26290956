"""Events about telemetry itself, so that nothing of it dies silently: an observer switched off, items given up.

Whoever notices may be a call of the application's, or a thread that holds a lock. So telling is only a note in a queue;
a thread, which lives no longer than there are notes, makes the events.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from opentelemetry.context import Context

from kaizen_processors.export.accounts import DropReason
from kaizen_processors.forking import begin_anew_in_children
from kaizen_processors.saying import say
from kaizen_semconv import attributes as k
from kaizen_semconv import events, gen_ai

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kaizen_otel.otel_logs import EventLog
    from kaizen_processors.clock import Clock
    from kaizen_processors.fence import Fence

_PATIENCE_S: Final = 5.0
_TELLS_ITSELF: Final = frozenset(DropReason) - {DropReason.QUEUE_FULL, DropReason.SHUTDOWN}
"""Reasons that whoever drops an item logs already."""


class _Note(NamedTuple):
    """One thing to be told."""

    event: str
    attributes: Mapping[str, Any]
    sentence: str
    logged: bool
    """Whether somebody else logs it."""


class SelfAlerts:
    """Makes the events, through the event log of this instrumentation.

    Args:
        event_log: gives the event log when it is needed.
        clock: times the events.
        fence: counts what fails.
    """

    def __init__(self, event_log: Callable[[], EventLog], clock: Clock, fence: Fence) -> None:
        """Nothing is to be told yet."""
        self._event_log = event_log
        self._clock = clock
        self._fence = fence
        self.after_fork_in_child()
        begin_anew_in_children(self)

    def after_fork_in_child(self) -> None:
        """Begin anew: what the parent noticed is the parent's to tell."""
        self._lock = threading.RLock()  # reentrant: a signal handler or the garbage collector may notice something, too
        self._idle = threading.Condition(self._lock)
        self._notes: deque[_Note] = deque()
        self._running = False
        self._told: set[tuple[str, str]] = set()

    def observer_disabled(self, name: str) -> None:
        """Tell that an observer of this type was switched off."""
        attributes = {k.KAIZEN_TELEMETRY_OBSERVER_NAME: name}
        sentence = f"{name} failed again and again and is switched off"
        self._tell(_Note(events.KAIZEN_TELEMETRY_OBSERVER_DISABLED, attributes, sentence, logged=True))

    def items_dropped(self, signal: str, reason: str) -> None:
        """Tell that items of a signal begin to be given up; further ones for the same reason are only counted.

        Not for the end of the process (`shutdown`): then nobody is left to take an event.
        """
        if reason == DropReason.SHUTDOWN:
            return
        with self._lock:
            if (signal, reason) in self._told:
                return
            self._told.add((signal, reason))
        attributes = {k.KAIZEN_TELEMETRY_SIGNAL: signal, gen_ai.ERROR_TYPE: reason}
        sentence = f"{signal} are dropped ({reason}); this is said once, the counts go on"
        self._tell(_Note(events.KAIZEN_TELEMETRY_ITEMS_DROPPED, attributes, sentence, logged=reason in _TELLS_ITSELF))

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was noticed is told; False when it is not within `timeout_s` seconds."""
        deadline_s = time.monotonic() + min(timeout_s, _PATIENCE_S)
        with self._idle:
            while self._running:
                left_s = deadline_s - time.monotonic()
                if left_s <= 0:
                    return False
                self._idle.wait(left_s)
            return True

    def _tell(self, note: _Note) -> None:
        with self._lock, self._fence("self_alerts.tell"):
            self._notes.append(note)
            if not self._running:
                threading.Thread(target=self._run, name="kaizen-otel-alerts", daemon=True).start()
                self._running = True

    def _run(self) -> None:
        while True:
            with self._idle:
                if not self._notes:
                    self._running = False
                    self._idle.notify_all()
                    return
                note = self._notes.popleft()
            with self._fence("self_alerts.emit"):
                if not note.logged:
                    say("%s", note.sentence)
                self._event_log().emit(
                    note.event,
                    note.attributes,
                    timestamp_ns=self._clock.time_ns(),
                    context=Context(),
                    severity="ERROR",
                    body=note.sentence,
                )
