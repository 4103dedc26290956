"""What we know of an application's object, without putting anything on it."""

from __future__ import annotations

import weakref
from typing import Any, Generic, TypeVar

Known = TypeVar("Known")


class ByIdentity(Generic[Known]):
    """Values by object, as long as the object lives; it need be neither hashable nor changeable."""

    def __init__(self) -> None:
        """Know nothing."""
        self._known: dict[int, tuple[weakref.ref[Any], Known]] = {}

    def put(self, thing: Any, known: Known) -> None:
        """Remember this of `thing`.

        Raises:
            TypeError: nothing can refer weakly to it.
        """
        key = id(thing)
        self._known[key] = (weakref.ref(thing, lambda gone: self._forget(key, gone)), known)

    def get(self, thing: Any) -> Known | None:
        """What was remembered of `thing`."""
        found = self._known.get(id(thing))
        return found[1] if found is not None and found[0]() is thing else None

    def _forget(self, key: int, gone: weakref.ref[Any]) -> None:
        found = self._known.get(key)
        if found is not None and found[0] is gone:  # and not of another object at the same place
            del self._known[key]
