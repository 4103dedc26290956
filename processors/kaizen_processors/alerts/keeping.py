"""Saves what an evaluator keeps, without holding up who only wants to change a rule or to look.

A state in a store may wait for another process. So it is saved without the evaluator's lock: what is to be saved is
put together under it, and saved afterwards, by one thread at a time, so that the newest is the last.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from kaizen_processors.alerts.standing import alert_record
from kaizen_processors.forking import begin_anew_in_children

if TYPE_CHECKING:
    from collections.abc import Callable

    from kaizen_processors.alerts.alert import Alert
    from kaizen_processors.alerts.kept import AlertState
    from kaizen_processors.clock import Clock
    from kaizen_processors.fence import Fence

SECTION: Final = "alerts"
_SAVE_EVERY_NS: Final = 30 * 10**9
"""While anything stands its age is saved this often, so that a killed process has not to wait for `for` anew."""

_MOST_NEWS: Final = 1_000
"""Alerts that wait to be written down while nothing can be saved."""


class Keeper:
    """The state of one evaluator.

    Args:
        state: where it is kept; None forgets.
        make: puts together what is to be saved, under the evaluator's lock; None when nothing may be saved now.
        clock: what time it is.
        fence: counts what cannot be saved: it is tried again the next time.

    Attributes:
        state: where it is kept.
    """

    def __init__(
        self,
        state: AlertState | None,
        make: Callable[[], dict[str, Any] | None],
        clock: Clock,
        fence: Fence,
    ) -> None:
        """Save nothing yet."""
        self.state = state
        self._make = make
        self._clock = clock
        self._fence = fence
        self._change = self._saved = object()  # another one for each change, so that none has to be taken back
        self._saved_ns: int | None = None
        self._news: dict[str, Alert] = {}
        self._make_locks()
        begin_anew_in_children(self)

    def _make_locks(self) -> None:
        self._one_at_a_time = threading.RLock()
        self._noting = threading.RLock()  # around `_news`, and never while anything waits

    def after_fork_in_child(self) -> None:
        """Leave the state to the parent."""
        self._news = {}
        self._make_locks()
        state, self.state = self.state, None
        if state is not None:
            state.after_fork_in_child()

    @property
    def may_wait(self) -> bool:
        """Whether saving may wait for other processes."""
        return self.state is not None and self.state.may_wait

    def log(self, alert: Alert) -> None:
        """Write an alert that began, or is over, down with what is saved next."""
        if self.state is not None:
            with self._noting:
                self._news[alert.id] = alert
                while len(self._news) > _MOST_NEWS:
                    del self._news[next(iter(self._news))]
            self._change = object()

    def note(self, *, soon: bool = False) -> None:
        """Something is to be saved; `soon`: a user's call has changed it, which a file can keep at once."""
        self._change = object()
        if soon and not self.may_wait:
            self.save()

    def save(self, *, aging: bool = False) -> None:
        """Save what has changed; `aging`: also ages, now and then. Not to be called with the evaluator's lock."""
        with self._one_at_a_time:
            state, now_ns, change = self.state, self._clock.monotonic_ns(), self._change
            aged = aging and (self._saved_ns is None or now_ns - self._saved_ns >= _SAVE_EVERY_NS)
            if state is None or (change is self._saved and not aged):
                return
            section = self._make()
            if section is None:
                return
            news = self._waiting()
            with self._fence("alerts.state"):
                state.save(SECTION, section, [alert_record(alert) for alert in news.values()])
                self._saved, self._saved_ns = change, now_ns
                self._forget(news)

    def _waiting(self) -> dict[str, Alert]:
        with self._noting:
            return dict(self._news)

    def _forget(self, news: dict[str, Alert]) -> None:
        """Forget what was written down, unless there is more to say of it meanwhile."""
        with self._noting:
            for alert_id, alert in news.items():
                if self._news.get(alert_id) is alert:
                    del self._news[alert_id]

    def lay_down(self) -> None:
        """Let another process have it."""
        with self._noting:
            self._news = {}
        state, self.state = self.state, None
        if state is not None:
            state.close()
