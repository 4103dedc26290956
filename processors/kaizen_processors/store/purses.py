"""What this process has spent of budgets, told to a store, and the sums of all processes, learned from it.

What is told has a number, which the file keeps in the transaction that adds it up. Until it is known that it was
committed the same is told again, under the same number, and added once.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

from kaizen_processors.store import spent

if TYPE_CHECKING:
    from collections.abc import Mapping
    from sqlite3 import Connection

    from kaizen_processors.shared_spending import Part, Purse, SpentKey

Sums = tuple[dict["SpentKey", int], ...]


class Telling(NamedTuple):
    """What is told at once: of each purse its parts. `left` are purses of before that have nothing more to tell."""

    number: int
    told: tuple[tuple[Purse, Mapping[SpentKey, Part]], ...]
    left: tuple[Purse, ...]


class Purses:
    """The purse that counts now, and those of before until they are emptied.

    Which it is may be said from any thread; all else is of one thread, the beat's.

    Attributes:
        refused: how often there was no room for the sum of an agent, a user or a session.
    """

    def __init__(self) -> None:
        """Have none."""
        self._current: Purse | None = None
        self._purses: tuple[Purse, ...] = ()
        self._learned: Purse | None = None
        self.begin_anew()

    def begin_anew(self) -> None:
        """Have told and learned nothing."""
        self._telling: Telling | None = None
        self._number = 0
        self._change = 0
        self.refused = 0
        self._lock = threading.RLock()  # around which purses there are: a user's call changes them beside the beat

    def share(self, purse: Purse | None) -> None:
        """Count by this one from now on; that of before is emptied once more."""
        with self._lock:
            self._current = purse
            if purse is not None and purse not in self._purses:
                self._purses = (*self._purses, purse)

    def stop_sharing(self, purse: Purse) -> None:
        """Count by none, unless another one has taken the place of this; it is emptied once more."""
        with self._lock:
            if purse is self._current:
                self._current = None

    def in_another_file(self) -> None:
        """Tell everything that is known, and learn all that is there."""
        self._change = 0
        current = self._current
        if current is not None:
            current.retell()

    @property
    def is_pending(self) -> bool:
        """Whether nobody has heard that what was told last arrived."""
        return self._telling is not None

    def telling(self) -> Telling | None:
        """What is to be told: what was told last, as long as nobody heard that it arrived."""
        if self._telling is None:
            with self._lock:
                purses, current = self._purses, self._current
            try:
                told = tuple((purse, parts) for purse in purses if (parts := purse.parts()))
                left = tuple(purse for purse in purses if purse is not current)
                if told or left:
                    self._number += 1
                    self._telling = Telling(self._number, told, left)
            except BaseException:
                for purse in purses:
                    purse.retell()
                raise
        return self._telling

    def write(self, connection: Connection, telling: Telling, known: int, max_bytes: int) -> Sums:
        """Add up what is told, within the caller's transaction, unless the file knows it; gives the sums."""
        if known >= telling.number:
            return tuple(spent.sums_of(connection, parts) for _, parts in telling.told)
        return tuple(spent.add(connection, parts, max_bytes) for _, parts in telling.told)

    def arrived(self, telling: Telling, sums: Sums) -> None:
        """Let the purses know the sums of all processes."""
        for (purse, parts), total in zip(telling.told, sums, strict=True):
            purse.settle(total, parts)
            self.refused += len(parts.keys() - total.keys())
        with self._lock:
            left = [one for one in telling.left if one is not self._current]
            self._purses = tuple(one for one in self._purses if one not in left)
        self._telling = None

    @property
    def has_news(self) -> bool:
        """Whether the purse is one that has learned nothing yet."""
        current = self._current
        return current is not None and current is not self._learned

    def learn(self, connection: Connection) -> None:
        """Learn what others told since the last time; a purse that is new learns all sums."""
        current = self._current
        if current is None:
            return
        known = 0 if current is not self._learned else self._change
        sums, self._change = spent.changed_since(connection, known)
        self._learned = current
        if sums:
            current.settle(sums, {})
