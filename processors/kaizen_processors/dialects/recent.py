"""A dictionary with a bound: what was put in long ago is forgotten, in constant time and without a search."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

V = TypeVar("V")


class Recent(Generic[V]):
    """Remembers at least the last `limit` entries, and never more than twice as many.

    Two generations: when the young one is full it becomes the old one, and what was old is forgotten. Reading and
    removing take no lock.
    """

    __slots__ = ("_limit", "_lock", "old", "young")

    # Public to be asked `recent.young or recent.old` where every span passes: `bool(recent)` is a call of Python's.
    old: dict[int, V]
    young: dict[int, V]

    def __init__(self, limit: int) -> None:
        """Start empty."""
        self._limit = limit
        self.clear()

    def clear(self) -> None:
        """Forget everything, with a lock that nobody holds (also in a forked child)."""
        # Reentrant: the garbage collector may end a span in the middle of this.
        self._lock = threading.RLock()
        self.young = {}
        self.old = {}

    def __bool__(self) -> bool:
        return bool(self.young or self.old)

    def __len__(self) -> int:
        return len(self.young) + len(self.old)

    def put(self, key: int, value: V) -> None:
        """Remember an entry."""
        self.young[key] = value
        if len(self.young) >= self._limit:
            with self._lock:
                if len(self.young) >= self._limit:  # else another thread was here first
                    self.old, self.young = self.young, {}

    def get(self, key: int) -> V | None:
        """Look an entry up."""
        found = self.young.get(key)
        return self.old.get(key) if found is None else found

    def pop(self, key: int) -> V | None:
        """Take an entry out."""
        found = self.young.pop(key, None)
        return self.old.pop(key, None) if found is None else found
