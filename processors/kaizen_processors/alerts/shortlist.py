"""The worst executions of all processes that share a store: each leaves its own there, whoever judges reads them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from kaizen_processors.alerts.ranking import MOST, Finished, namable
from kaizen_processors.forking import begin_anew_in_children
from kaizen_processors.store.database import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kaizen_processors.clock import Clock
    from kaizen_processors.execution import ExecutionRecord
    from kaizen_processors.fence import Fence
    from kaizen_processors.recent import RecentExecutions
    from kaizen_processors.store import Store

KIND: Final = "worst"
"""Of the values that workers keep in the store."""


class Shortlist:
    """One process's executions that an alert may name, left in the store along with its slots.

    It is made when a slot is told, out of what ended since the last time: nothing is added to a user's call.

    Args:
        recent: the executions that this process keeps whole.
        store: what the processes share.
        clock: its wall clock says what has aged out.
        fence: counts what goes wrong in making it; the sums are told all the same.
        most: how many it has at most.
    """

    def __init__(self, recent: RecentExecutions, store: Store, clock: Clock, fence: Fence, most: int = MOST) -> None:
        """Leave nothing yet."""
        self._recent = recent
        self._store = store
        self._clock = clock
        self._fence = fence
        self._most = most
        self.after_fork_in_child()
        begin_anew_in_children(self)
        store.tell_with_slots(KIND, self.told)
        store.fold_blobs(KIND, self.fold)

    def after_fork_in_child(self) -> None:
        """Begin with none: what the parent did is the parent's to tell."""
        self._chosen: list[Finished] = []
        self._last: ExecutionRecord | None = None

    def told(self) -> bytes | None:
        """What this process leaves; None when it could not be made. One thread at a time: the store sees to it."""
        with self._fence("store.worst"):
            self._chosen = namable([*self._chosen, *self._fresh()], self._clock.time_ns(), self._most)
            return _packed(self._chosen)
        return None

    def fold(self, before: bytes | None, data: bytes) -> bytes:
        """Add what a worker that is gone left to what those before it did."""
        left = [*_unpacked(before or b""), *_unpacked(data)]
        return _packed(namable(left, self._clock.time_ns(), self._most))

    def of_all(self) -> list[Finished]:
        """What all processes left, living and gone; this process's own alone where the store cannot be read."""
        try:
            found, gone = self._store.blobs(KIND)
        except StoreError:
            return self._chosen
        return [one for data in (gone or b"", *(data for _, data in found)) for one in _unpacked(data)]

    def _fresh(self) -> list[Finished]:
        fresh = []
        records = self._recent.records()
        for record in reversed(records):
            if record is self._last:
                break
            fresh.append(Finished.of(record))
        self._last = records[-1] if records else None
        return fresh


def _packed(executions: Iterable[Finished]) -> bytes:
    return json.dumps([*executions], separators=(",", ":")).encode()


def _unpacked(data: bytes) -> list[Finished]:
    """Read what a worker left; nothing where it is of a kaizen-otel that leaves other things."""
    try:
        return [one for given in json.loads(data or b"[]") if _is_sound(one := Finished(*given))]
    except (ValueError, TypeError, RecursionError):
        return []


def _is_sound(one: Finished) -> bool:
    score = one.quality_score
    return (
        all(isinstance(text, str) for text in one[:5])
        and all(isinstance(number, int) for number in one[5:9])
        and (score is None or isinstance(score, (int, float)))
        and isinstance(one.cost_complete, bool)
    )
