"""Texts, attributes and bodies that cannot be encoded as they are, made so that they can; `mend` says by what rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from kaizen_processors.export.otlp.copies import OwnAttributes
from kaizen_processors.export.otlp.official import official_value
from kaizen_processors.export.otlp.values import (
    ARRAY_DEPTH,
    MAPPING_DEPTH,
    MAX_DEPTH,
    MAX_ENTRIES,
    MAX_TEXT_CHARS,
    Attributes,
    TooDeepError,
    any_value,
)
from kaizen_processors.export.otlp.wire import INT64_MAX, INT64_MIN, UINT32_MAX
from kaizen_processors.redaction.copying import CUT_MARK_CHARS, cut, valid_unicode
from kaizen_processors.values import text_of, type_name

_MAX_PRINTED_INT_BITS: Final = 1024
_KEPT_CHARS: Final = MAX_TEXT_CHARS - CUT_MARK_CHARS
"""With the note that it was cut, no longer than a text may be."""
_PLAIN: Final = (type(None), bool, float, bytes)


def mended_text(read: Callable[[], object]) -> str | None:
    """Give what is read as text that UTF-8 can hold; None for None, and for what raises when read."""
    try:
        value = read()
    except Exception:  # noqa: BLE001 - a text that raises when read is a text that is missing
        return None
    if value is None:
        return None
    text = _text(value)
    return _named(value) if text is None else text


def mended_attributes(read: Callable[[], Attributes | None], read_lost: Callable[[], object]) -> OwnAttributes:
    """Copy the attributes that can be encoded, and count those that cannot; all are one if not even they can be read.

    Args:
        read: Gives the attributes.
        read_lost: Gives the number of those that were lost before.
    """
    mended: dict[str, Any] = {}
    lost = 0
    try:
        pairs = list((read() or {}).items())
    except Exception:  # noqa: BLE001 - whatever their own code raises
        return OwnAttributes({}, total_lost(1, read_lost))
    for key, value in pairs:
        try:
            encodable = _encodable(value, named=False)
            mended[_free(_key(key), mended)] = encodable
        except Exception:  # noqa: BLE001 - one attribute must not cost the others
            lost += 1
    return OwnAttributes(mended, total_lost(lost, read_lost))


def total_lost(here: int, read_before: Callable[[], object]) -> int:
    """Add what was lost before, as far as that is a number, within the 32 bits that there are for it."""
    try:
        before = read_before()
    except Exception:  # noqa: BLE001 - a count that raises when read says nothing
        return here
    return min(here + max(before, 0), UINT32_MAX) if type(before) is int else here


def mended_body(body: object) -> object:
    """Give a log record's body as a value that can be encoded."""
    return _encodable(body, named=True)


def _encodable(value: object, *, named: bool) -> object:
    try:
        any_value(value)
    except Exception as error:
        if isinstance(error, TooDeepError) and not named:
            raise
        return _Mending(named=named).value(value, MAX_DEPTH)
    return value


class _Mending:
    """Copies one value with all that it holds; what is unknown is named, or else raises."""

    __slots__ = ("_entries", "_named")

    def __init__(self, *, named: bool) -> None:
        self._named = named
        self._entries = 0

    def value(self, value: object, depth: int) -> object:
        kind = type(value)
        text = text_of(value)
        if text is not None:
            return valid_unicode(text if len(text) <= MAX_TEXT_CHARS else cut(text, _KEPT_CHARS, len(text)))
        if issubclass(kind, _PLAIN):
            return value
        try:
            return self._other(value, depth)
        except Exception:
            if self._named:
                return _named(value)
            raise

    def _other(self, value: object, depth: int) -> object:
        # Not isinstance: a foreign object may override `__class__`, and raise there.
        kind = type(value)
        if issubclass(kind, int):
            return _integer(int.__int__(cast("int", value)))
        if issubclass(kind, Sequence):
            return self._array(cast("Sequence[object]", value), depth - ARRAY_DEPTH)
        if issubclass(kind, Mapping):
            return self._mapping(cast("Mapping[object, object]", value), depth - MAPPING_DEPTH)
        # It stays what it is if the official encoder takes it, and raises if not.
        official_value(value)
        return value

    def _array(self, values: Sequence[object], depth: int) -> list[object]:
        mended = []
        for value in values:
            self._enter(depth)
            mended.append(self.value(value, depth))
        return mended

    def _mapping(self, values: Mapping[object, object], depth: int) -> dict[str, object]:
        mended: dict[str, object] = {}
        for key, value in values.items():
            self._enter(depth)
            mended[_free(valid_unicode(str(key)), mended)] = self.value(value, depth)
        return mended

    def _enter(self, depth: int) -> None:
        self._entries += 1
        if depth < 0 or self._entries > MAX_ENTRIES:
            raise TooDeepError("a value nests too deep or holds too many entries")


def _text(value: object) -> str | None:
    text = text_of(value)
    if text is not None:
        return valid_unicode(text)
    # Protobuf takes bytes for a string.
    return bytes.decode(cast("bytes", value), errors="replace") if issubclass(type(value), bytes) else None


def _key(key: object) -> str:
    text = "" if key is None else _text(key)
    if text is None:
        raise TypeError("a key that is no text")
    return text


def _integer(number: int) -> int | str:
    if INT64_MIN <= number <= INT64_MAX:
        return number
    if number.bit_length() > _MAX_PRINTED_INT_BITS:
        raise OverflowError("an integer beyond 1024 bits")
    return str(number)


def _free(name: str, taken: Mapping[str, object]) -> str:
    """Keep two keys apart that became one when their surrogates were replaced."""
    while name in taken:
        name += "\ufffd"
    return name


def _named(value: object) -> str:
    return f"[object {valid_unicode(type_name(value))}]"
