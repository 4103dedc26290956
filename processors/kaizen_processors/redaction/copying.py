"""A new, bounded, JSON-ready copy of whatever an application passed around.

Nothing of a foreign object is called (see `kaizen_processors.values`): no `str()`, no `repr()`, no overridden `items`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from kaizen_processors.values import (
    entries_of,
    is_bytes,
    is_mapping,
    is_sequence,
    number_of,
    pairs_of,
    size_of,
    text_of,
    type_name,
)

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"

_SURROGATES = re.compile("[\ud800-\udfff]")
_MAX_INT_BITS = 63
"""Larger integers do not fit OTLP's int64; they are written as text."""
_MAX_PRINTED_INT_BITS = 1024
_KEY_CHARS = 256


@dataclass(frozen=True, slots=True)
class CopyLimits:
    """How much of a value is copied; the rest is named, not copied."""

    max_depth: int = 12
    max_items: int = 512
    """Entries of all containers together."""
    max_chars: int = 65_536
    """Characters of all strings together."""


class TextPolicy(Protocol):
    """What the copier asks about strings. `Redactor` is one; `PLAIN` copies them as they are."""

    def text(self, text: str, max_chars: int | None = None) -> str:
        """Give the text that may leave, at most `max_chars` characters and a note of what is missing."""
        ...

    def is_secret(self, key: str) -> bool:
        """Whether the value under this key must not leave."""
        ...

    @property
    def secret(self) -> str:
        """What stands where the value of a secret key stood."""
        ...


class PlainText:
    """Copies strings as they are, made valid and cut to size."""

    __slots__ = ()
    secret = ""

    def text(self, text: str, max_chars: int | None = None) -> str:
        """Give the text itself, as long as it may be."""
        if max_chars is None or len(text) <= max_chars:
            return valid_unicode(str.__str__(text))
        return cut(valid_unicode(str.__str__(text)[:max_chars]), max_chars, len(text))

    def is_secret(self, key: str) -> bool:  # noqa: ARG002 - the protocol's signature
        """Nothing is secret here."""
        return False


PLAIN = PlainText()


def valid_unicode(text: str) -> str:
    """Replace lone surrogates, which no UTF-8 encoder takes."""
    if text.isascii() or not _SURROGATES.search(text):
        return text
    return _SURROGATES.sub("\ufffd", text)


_CUT_MARK: Final = re.compile(r"…\[truncated ([0-9]+) characters\]\Z")
CUT_MARK_CHARS: Final = 48
"""No note of a cut is longer."""


def cut(text: str, max_chars: int, original_chars: int) -> str:
    """Cut `text` to `max_chars` and say how much of the original is missing."""
    return f"{text[:max_chars]}…[truncated {original_chars - max_chars} characters]"


def cut_again(text: str, max_chars: int) -> str:
    """Cut `text` to `max_chars`, and say how much is missing of what there was before it was cut the first time."""
    mark = _CUT_MARK.search(text, max(0, len(text) - CUT_MARK_CHARS))
    original_chars = len(text) if mark is None else mark.start() + int(mark[1])
    return cut(text, max_chars, original_chars)


def bounded_copy(value: object, limits: CopyLimits | None = None, policy: TextPolicy = PLAIN) -> JsonValue:
    """Build a copy of `value` that `json.dumps` takes and that is no larger than `limits`.

    Unknown objects become `[object TypeName]`, bytes `[bytes 12]`, NaN and infinities null, integers beyond 64 bits
    their decimal text; cycles, depth and surplus entries are named where they are cut.
    """
    return Copier(limits or CopyLimits(), policy).copy(value)


class Copier:
    """Copies values, all of them together within one set of limits; see `bounded_copy`."""

    __slots__ = ("_ancestors", "_chars", "_items", "_max_depth", "_policy")

    def __init__(self, limits: CopyLimits, policy: TextPolicy) -> None:
        """Start with all of the limits left."""
        self._policy = policy
        self._items = limits.max_items
        self._chars = limits.max_chars
        self._max_depth = limits.max_depth
        self._ancestors: set[int] = set()

    def copy(self, value: object, depth: int = 0) -> JsonValue:
        """Copy a value that lies `depth` containers deep."""
        if value is None or value is True or value is False:
            return value
        text = text_of(value)
        if text is not None:
            return self.text(text)
        if is_mapping(value) or is_sequence(value):
            return self._container(value, depth)
        return _scalar(value)

    def text(self, text: str) -> str:
        """Copy a text, as much of it as there are characters left."""
        copied = self._policy.text(text, max(self._chars, 0))
        self._chars -= len(copied)
        return copied

    def _container(self, value: object, depth: int) -> JsonValue:
        if id(value) in self._ancestors:
            return "[circular]"
        if depth >= self._max_depth:
            return "[nested too deep]"
        self._ancestors.add(id(value))
        try:
            return self._mapping(value, depth) if is_mapping(value) else self._sequence(value, depth)
        finally:
            self._ancestors.discard(id(value))

    def _sequence(self, value: object, depth: int) -> list[JsonValue]:
        taken = entries_of(value, self._items)
        self._items -= len(taken)
        copied = [self.copy(entry, depth + 1) for entry in taken]
        left = (size_of(value) or 0) - len(taken)
        if left > 0:
            copied.append(f"…[{left} more]")
        return copied

    def _mapping(self, value: object, depth: int) -> dict[str, JsonValue]:
        taken = pairs_of(value, self._items)
        self._items -= len(taken)
        copied: dict[str, JsonValue] = {}
        for key, entry in taken:
            name = _key_text(key)
            unique = _unique(self.text(name), copied)
            secret = self._policy.is_secret(name) and _holds_something(entry)
            copied[unique] = self._policy.secret if secret else self.copy(entry, depth + 1)
        left = (size_of(value) or 0) - len(taken)
        if left > 0:
            copied["…"] = f"[{left} more]"
        return copied


def _scalar(value: object) -> JsonValue:
    number = number_of(value)
    if isinstance(number, int):
        return _integer(number)
    if number is not None:
        return number if math.isfinite(number) else None
    return f"[bytes {size_of(value)}]" if is_bytes(value) else f"[object {valid_unicode(type_name(value))}]"


def _integer(number: int) -> JsonValue:
    if number.bit_length() <= _MAX_INT_BITS:
        return number
    # Python refuses to print integers of more than 4,300 digits.
    return str(number) if number.bit_length() <= _MAX_PRINTED_INT_BITS else "[object int]"


def _key_text(key: object) -> str:
    text = text_of(key)
    if text is not None:
        return text[:_KEY_CHARS]
    if key is None or key is True or key is False:
        return str(key)
    return str(_scalar(key))


def _unique(name: str, taken: dict[str, JsonValue]) -> str:
    """Keep two keys apart that became one by redaction."""
    if name not in taken:
        return name
    number = len(taken) + 1
    while f"{name}#{number}" in taken:
        number += 1
    return f"{name}#{number}"


def _holds_something(value: object) -> bool:
    """Whether there is a secret at all: saying that a password is missing gives nothing away."""
    return not (value is None or value is True or value is False or (type(value) is str and not value))
