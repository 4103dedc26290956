"""The protobuf wire format, as far as OTLP needs it: varints, and fields that say their length.

A field is a tag (its number and its kind of value, one byte below number 16) and a value. Messages, strings and bytes
are a varint with their length and then as many bytes. See https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

_TABLE_SIZE: Final = 4096
_UINT64_MASK: Final = (1 << 64) - 1

INT64_MIN: Final = -(1 << 63)
INT64_MAX: Final = (1 << 63) - 1
UINT64_MAX: Final = _UINT64_MASK
UINT32_MAX: Final = (1 << 32) - 1
MAX_VARINT_BYTES: Final = 10
DOUBLE_BYTES: Final = 8

pack_fixed64 = Struct("<BQ").pack
"""A tag and an unsigned integer of eight bytes."""
pack_two_fixed64 = Struct("<BQBQ").pack
pack_fixed32 = Struct("<BI").pack
pack_double = Struct("<d").pack


_ONE_BYTE: Final = tuple(bytes((group,)) for group in range(0x80))
_CONTINUED: Final = tuple(bytes((group | 0x80,)) for group in range(0x80))
"""Seven bits after which more follow."""

VARINTS: Final = _ONE_BYTE + tuple(
    _CONTINUED[number & 0x7F] + _ONE_BYTE[number >> 7] for number in range(0x80, _TABLE_SIZE)
)
"""The varints of small numbers; nearly every length of a field is one."""


def _long_varint(number: int) -> bytes:
    groups = b""
    while number >= _TABLE_SIZE:
        groups += _CONTINUED[number & 0x7F]
        number >>= 7
    return groups + VARINTS[number]


def varint(number: int) -> bytes:
    """Encode an integer from 0 to 2^64 - 1."""
    return VARINTS[number] if number < _TABLE_SIZE else _long_varint(number)


def signed_varint(number: int) -> bytes:
    """Encode an `int64`: a negative one as its two's complement, which takes ten bytes.

    Raises:
        OverflowError: The number does not fit.
    """
    if 0 <= number < _TABLE_SIZE:
        return VARINTS[number]
    if 0 < number < _TABLE_SIZE << 7:
        return _CONTINUED[number & 0x7F] + VARINTS[number >> 7]
    if not INT64_MIN <= number <= INT64_MAX:
        raise OverflowError("an integer beyond 64 bits")
    return _long_varint(number & _UINT64_MASK)


def framed(tag: bytes, payload: bytes) -> bytes:
    """A field with a length: a message, bytes or a string."""
    size = len(payload)
    return tag + (VARINTS[size] if size < _TABLE_SIZE else _long_varint(size)) + payload


def text_field(tag: bytes, text: str) -> bytes:
    """A field with a string; the empty string is what a missing field means, so it takes no bytes.

    Raises:
        TypeError: It is no string.
        UnicodeEncodeError: The string holds a lone surrogate.
    """
    # Unbound: a subclass may override `encode`.
    encoded = str.encode(text)
    return framed(tag, encoded) if encoded else b""


def count_field(tag: bytes, count: int) -> bytes:
    """A field with a `uint32`; zero takes no bytes.

    Raises:
        OverflowError: The count does not fit.
    """
    if not 0 <= count <= UINT32_MAX:
        raise OverflowError("a count beyond 32 bits")
    return tag + varint(count) if count else b""
