"""Attributes and the values in them: OTLP's `KeyValue` and `AnyValue`.

This is where the time goes, so what repeats is remembered: each key's own encoding, and with each key the whole
encoding of its first few short strings and integers. A key whose values never repeat (an id) soon has no room for
more, and costs one failed look-up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, TypeAlias, cast

from opentelemetry.attributes import BoundedAttributes

from kaizen_processors.export.otlp.official import official_value
from kaizen_processors.export.otlp.wire import (
    DOUBLE_BYTES,
    MAX_VARINT_BYTES,
    framed,
    pack_double,
    signed_varint,
    varint,
)

Attributes: TypeAlias = Mapping[str, Any]

_MAX_KEYS: Final = 512
_MAX_KEY_CHARS: Final = 128
_MAX_VALUES_PER_KEY: Final = 16
_MAX_VALUE_BYTES: Final = 80
_MAX_LENGTHS_PER_KEY: Final = 16
# With these the memory of all keys and values together stays below 5 MB.

MAX_DEPTH: Final = 93
"""Messages that a value may nest. Protobuf readers accept 100 by default; what holds a value takes up to 7 of them."""
ARRAY_DEPTH: Final = 2
MAPPING_DEPTH: Final = 3
MAX_ENTRIES: Final = 1 << 16
"""Entries of all containers in one value: a list of lists that share their entries grows without bound."""

_STRING, _INT, _DOUBLE, _ARRAY, _MAPPING, _BYTES = b"\x0a", b"\x18", b"\x21", b"\x2a", b"\x32", b"\x3a"
_ENTRY = b"\x0a"
_KEY = b"\x0a"
_VALUE = b"\x12"
_TRUE, _FALSE = b"\x10\x01", b"\x10\x00"


MAX_TEXT_CHARS: Final = 16 * 1024 * 1024
"""Characters of one text: each step of encoding holds it once more, and no Collector takes a request of 20 MiB."""


class TooLongError(ValueError):
    """A text is longer than any request may be."""


class TooDeepError(ValueError):
    """A value nests deeper, or holds more entries, than a receiver can be trusted to read."""


_Small: TypeAlias = str | int | tuple[str, ...]


class _Key(dict[_Small, bytes]):
    """A key: its encoding, and with its first values the encodings of both together, without the field's tag.

    Only real `str` and `int` objects and tuples of such strings are looked up here: a `True` or `1.0` would be found as
    the `1` that it equals.
    """

    __slots__ = ("_before_double", "_before_int", "_before_text", "_head", "_head_size", "false", "true")

    def __init__(self, key: str) -> None:
        super().__init__()
        self._head = text_head(key)
        self._head_size = len(self._head)
        self._before_text: dict[int, bytes] = {}
        self._before_int = [self._before(_INT, size) for size in range(MAX_VARINT_BYTES + 1)]
        self._before_double = self._before(_DOUBLE, DOUBLE_BYTES)
        self.true, self.false = self.with_value(_TRUE), self.with_value(_FALSE)

    def __missing__(self, value: _Small) -> bytes:
        kind = type(value)
        if kind is str:
            if len(value) > MAX_TEXT_CHARS:  # type: ignore[arg-type]  # a str
                raise TooLongError("a text is too long")
            encoded = value.encode()  # type: ignore[union-attr]  # a str
            before = self._before_text.get(len(encoded))
            field = (self._learn_length(len(encoded)) if before is None else before) + encoded
        elif kind is int:
            number = signed_varint(value)  # type: ignore[arg-type]  # an int
            field = self._before_int[len(number)] + number
        else:
            field = self.with_value(any_value(value))
        if len(self) < _MAX_VALUES_PER_KEY and len(field) <= self._head_size + _MAX_VALUE_BYTES:
            self[value] = field
        return field

    def _learn_length(self, size: int) -> bytes:
        """All of the field before a text of `size` bytes."""
        string = _STRING + varint(size)
        any_value_size = varint(len(string) + size)
        before = (
            varint(self._head_size + len(any_value_size) + len(string) + size) + self._head + any_value_size + string
        )
        if len(self._before_text) < _MAX_LENGTHS_PER_KEY:
            self._before_text[size] = before
        return before

    def double(self, value: float) -> bytes:
        return self._before_double + pack_double(value)

    def array(self, values: tuple[object, ...]) -> bytes:
        # A list of one text is the usual one: the finish reasons.
        if len(values) == 1 and type(values[0]) is str:
            return self[values]  # type: ignore[index]  # a tuple of strings
        return self.with_value(any_value(values))

    def with_value(self, value: bytes) -> bytes:
        """The field with an encoded AnyValue."""
        length = varint(len(value))
        return varint(self._head_size + len(length) + len(value)) + self._head + length + value

    def _before(self, tag: bytes, size: int) -> bytes:
        """All of the field before a number that takes `size` bytes."""
        any_value_size = len(tag) + size
        return varint(self._head_size + 1 + any_value_size) + self._head + varint(any_value_size) + tag


def text_head(key: str) -> bytes:
    """What stands before the value in a KeyValue: the key, and the value's tag."""
    # Unbound: a subclass may override `encode`. An empty string is not written.
    encoded = str.encode(key)
    return (_KEY + varint(len(encoded)) + encoded if encoded else b"") + _VALUE


class _Keys(dict[str, _Key]):
    def __missing__(self, key: str) -> _Key:
        learned = _Key(key)
        if len(key) <= _MAX_KEY_CHARS:
            if len(self) >= _MAX_KEYS:
                self.clear()
            self[str.__str__(key)] = learned
        return learned


_keys = _Keys()
_LOCKED: Final = frozenset({MappingProxyType, BoundedAttributes})


def attribute_fields(tag: bytes, attributes: Attributes | None) -> bytes:
    """Encode attributes as repeated fields, each with `tag` before it.

    Raises:
        Exception: Whatever a key or value raises that cannot be encoded; `mend` knows what to do.
    """
    if not attributes:
        return b""
    if type(attributes) in _LOCKED:
        # The SDK's mapping takes a lock for each key: its copy is read three times faster (seen in 1.43 to 1.45).
        attributes = attributes.copy()  # type: ignore[attr-defined]  # both kinds have it
    fields: list[bytes] = []
    add = fields.append
    keys = _keys
    for key, value in attributes.items():
        kind = type(value)
        if kind is str or kind is int:
            add(keys[key][value])
        elif kind is float:
            add(keys[key].double(value))
        elif kind is tuple:
            add(keys[key].array(value))
        elif kind is bool:
            add(keys[key].true if value else keys[key].false)
        else:
            add(keys[key].with_value(any_value(value)))
    # The tag stands before each field: before the first, and between each two.
    return tag + tag.join(fields)


def any_value(value: object) -> bytes:
    """Encode a value as an AnyValue, by the same rules and in the same order as the official encoder.

    Raises:
        Exception: What cannot be encoded: a lone surrogate, an integer beyond 64 bits, a type that the official
            encoder does not know either, a container that nests too deep or raises when read.
    """
    return _Descent().any_value(value, MAX_DEPTH)


class _Descent:
    """Encodes one value with all that it holds, and counts the entries."""

    __slots__ = ("_entries",)

    def __init__(self) -> None:
        self._entries = 0

    def any_value(self, value: object, depth: int) -> bytes:
        kind = type(value)
        encode = _SCALARS.get(kind)
        if encode is not None:
            return encode(value)
        # Not isinstance: what another type's `__class__` says of it is not what protobuf reads.
        for base, encode in _SCALARS.items():
            if issubclass(kind, base):
                return encode(value)
        if issubclass(kind, Sequence):
            return self._array(cast("Sequence[object]", value), depth - ARRAY_DEPTH)
        if issubclass(kind, Mapping):
            return self._mapping(cast("Mapping[object, object]", value), depth - MAPPING_DEPTH)
        return official_value(value)

    def _array(self, values: Sequence[object], depth: int) -> bytes:
        if depth < 0:
            raise TooDeepError("a value nests too deep")
        parts = []
        for value in values:
            self._count()
            parts.append(framed(_ENTRY, self.any_value(value, depth)))
        return framed(_ARRAY, b"".join(parts))

    def _mapping(self, values: Mapping[object, object], depth: int) -> bytes:
        if depth < 0:
            raise TooDeepError("a value nests too deep")
        parts = []
        for key, value in values.items():
            self._count()
            head = text_head(key if type(key) is str else str(key))
            parts.append(framed(_ENTRY, head + framed(b"", self.any_value(value, depth))))
        return framed(_MAPPING, b"".join(parts))

    def _count(self) -> None:
        self._entries += 1
        if self._entries > MAX_ENTRIES:
            raise TooDeepError("a value holds too many entries")


def _text(text: str) -> bytes:
    if str.__len__(text) > MAX_TEXT_CHARS:
        raise TooLongError("a text is too long")
    return framed(_STRING, str.encode(text))


_SCALARS: Final[dict[type, Callable[[Any], bytes]]] = {
    type(None): lambda _: b"",
    bool: lambda value: _TRUE if value else _FALSE,
    str: _text,
    int: lambda number: _INT + signed_varint(int.__int__(number)),
    float: lambda number: _DOUBLE + pack_double(number),
    bytes: lambda data: framed(_BYTES, bytes.__getitem__(data, slice(None))),
}
"""In the order in which the official encoder asks for them: a bool is an int, too."""
