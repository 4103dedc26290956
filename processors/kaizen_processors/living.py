"""What is alive of a kind, without keeping it alive."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

Kind = TypeVar("Kind")


class Living(Generic[Kind]):
    """Objects held weakly, in the order in which they were added; to be read and changed by any thread, without a lock.

    A `weakref.WeakSet` cannot be read while another thread adds to it: it raises in the middle. Here whoever reads
    sees those that were there when it began.
    """

    def __init__(self) -> None:
        """Hold none."""
        self._references: dict[int, weakref.ref[Kind]] = {}

    def add(self, one: Kind) -> None:
        """Hold it for as long as it lives."""
        key, references = id(one), self._references
        references[key] = weakref.ref(one, lambda _: references.pop(key, None))

    def discard(self, one: Kind) -> None:
        """Hold it no more."""
        self._references.pop(id(one), None)

    def __iter__(self) -> Iterator[Kind]:
        for reference in list(self._references.values()):  # one step of the interpreter
            one = reference()
            if one is not None:
                yield one

    def __len__(self) -> int:
        return len(self._references)
