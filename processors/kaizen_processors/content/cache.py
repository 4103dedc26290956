"""A small cache of encoded messages, keyed by what they say.

The key is made of the message's own texts, whose hashes Python remembers, so finding a message that was seen before
costs well under a microsecond for the common shape and never serves a message that was changed since: texts cannot
change, and everything else is part of the key by its value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

from kaizen_processors.redaction.redactor import MARGIN_CHARS
from kaizen_processors.values import (
    entries_of,
    is_mapping,
    is_sequence,
    number_of,
    pairs_of,
    size_of,
    text_of,
    type_name,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

_MAX_NODES = 256
_MAX_DEPTH = 12
_GENERATION_ENTRIES = 1_024
_GENERATION_CHARS = 4_194_304

Key: TypeAlias = "tuple[Hashable, int]"
"""A hashable stand-in for a value, and the characters it keeps in memory."""

T = TypeVar("T")


class FragmentCache(Generic[T]):
    """Keeps what was made lately, in two generations; what is not asked for during one is forgotten.

    It takes no lock: a lost entry is made again, and a lock held during a fork would stop the child for ever.
    """

    __slots__ = ("_chars", "_old", "_young")

    def __init__(self) -> None:
        """Start empty."""
        self._young: dict[Hashable, T] = {}
        self._old: dict[Hashable, T] = {}
        self._chars = 0

    def get_or_make(self, key: Key | None, make: Callable[[], T]) -> T:
        """Give what was made for this key, or make it; without a key always make it."""
        if key is None:
            return make()
        name, chars = key
        found = self._young.get(name)
        if found is not None:
            return found
        found = self._old.get(name)
        if found is None:
            found = make()
        self._keep(name, found, chars)
        return found

    def _keep(self, name: Hashable, made: T, chars: int) -> None:
        if len(self._young) >= _GENERATION_ENTRIES or self._chars > _GENERATION_CHARS:
            self._old, self._young, self._chars = self._young, {}, 0
        self._young[name] = made
        self._chars += chars


def fingerprint(kind: str, value: object, max_chars: int) -> Key | None:
    """Give a key that is equal for two values only if they are encoded alike; None for a value too large to compare.

    Args:
        kind: What the value is encoded as.
        value: A message, part or tool.
        max_chars: Characters of a text that encoding looks at, beside the redactor's margin.
    """
    window = max_chars + MARGIN_CHARS
    if type(value) is dict:
        entries = tuple(value.items())
        chars = 0
        for key, entry in entries:
            if type(key) is not str or type(entry) is not str:
                break
            chars += len(entry)
        else:
            if chars <= window:
                return (kind, entries), chars
    reading = _Reading(window)
    try:
        return (kind, reading.read(value, 0)), reading.chars
    except _TooLargeError:
        return None


class _TooLargeError(Exception):
    """A value has more nodes than are worth comparing."""


class _Reading:
    __slots__ = ("_nodes", "_window", "chars")

    def __init__(self, window: int) -> None:
        self._window = window
        self._nodes = _MAX_NODES
        self.chars = 0

    def read(self, value: object, depth: int) -> Hashable:
        self._nodes -= 1
        if self._nodes < 0 or depth > _MAX_DEPTH:
            raise _TooLargeError
        # Exact types first: they are nearly everything, and need no question asked.
        kind = type(value)
        if kind is str:
            return self._text(value)  # type: ignore[arg-type]  # told by type()
        if kind is dict or is_mapping(value):
            return "mapping", size_of(value), *self._pairs(value, depth)
        if kind is list or is_sequence(value):
            return "sequence", size_of(value), *self._entries(value, depth)
        text = text_of(value)
        return (type_name(value), self._scalar(value)) if text is None else self._text(text)

    def _text(self, text: str) -> Hashable:
        if len(text) <= self._window:
            self.chars += len(text)
            return text
        self.chars += self._window
        return text[: self._window], len(text)

    def _pairs(self, value: object, depth: int) -> list[Hashable]:
        read: list[Hashable] = []
        for key, entry in pairs_of(value, self._nodes + 1):
            read += (self.read(key, depth + 1), self.read(entry, depth + 1))
        return read

    def _entries(self, value: object, depth: int) -> list[Hashable]:
        return [self.read(entry, depth + 1) for entry in entries_of(value, self._nodes + 1)]

    def _scalar(self, value: object) -> Hashable:
        if value is True or value is False:
            return value
        number = number_of(value)
        return size_of(value) if number is None else number
