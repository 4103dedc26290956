"""Reading other people's values without running their code.

What an application passes around may override `__str__`, `__class__`, `items` or `__iter__`, and any of them may raise.
Here types are told by `type(value)`, and contents are read by the built-in's own methods. Each function gives None for
a value of another type.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterable

_TYPE_NAME_CHARS = 64
_ERROR_CHARS = 200
_BYTES_TYPES = (bytes, bytearray, memoryview)
_SEQUENCE_TYPES = (list, tuple, set, frozenset)
_SIZED_TYPES = (dict, *_SEQUENCE_TYPES, *_BYTES_TYPES)
_type_name_of = type.__dict__["__name__"].__get__
"""A metaclass may override `__name__`: this reads the real one."""


def text_of(value: object) -> str | None:
    """Give a text as a plain `str`."""
    return str.__str__(value) if issubclass(type(value), str) else None


def number_of(value: object) -> int | float | None:
    """Give a number as a plain `int` or `float`; a boolean is none."""
    kind = type(value)
    if kind is bool:
        return None
    if issubclass(kind, int):
        return int.__int__(cast("int", value))
    return float.__float__(cast("float", value)) if issubclass(kind, float) else None


def entry_of(value: object, key: str) -> object:
    """Give what a dictionary holds under `key`, or None."""
    return dict.get(cast("dict[str, object]", value), key) if issubclass(type(value), dict) else None


def has_entry(value: object, key: str) -> bool:
    """Whether a value is a dictionary with this key."""
    return is_mapping(value) and dict.__contains__(cast("dict[str, object]", value), key)


def is_mapping(value: object) -> bool:
    """Whether a value is a dictionary."""
    return issubclass(type(value), dict)


def is_sequence(value: object) -> bool:
    """Whether a value is a list, a tuple or a set."""
    return issubclass(type(value), _SEQUENCE_TYPES)


def size_of(value: object) -> int | None:
    """Give the number of entries of a dictionary, list, tuple or set, or of bytes."""
    for base in _SIZED_TYPES:
        if issubclass(type(value), base):
            return base.__len__(cast("list[object]", value))  # type: ignore[arg-type]  # each base with its own kind
    return None


def is_bytes(value: object) -> bool:
    """Whether a value is `bytes`, a `bytearray` or a `memoryview`."""
    return issubclass(type(value), _BYTES_TYPES)


def pairs_of(value: object, limit: int) -> list[tuple[object, object]]:
    """Give the first `limit` entries of a dictionary; nothing of any other value."""
    if not is_mapping(value):
        return []
    # One C call that runs no Python code: another thread cannot change the dictionary half way.
    return list(islice(dict.items(cast("dict[object, object]", value)), max(limit, 0)))


def entries_of(value: object, limit: int) -> list[object]:
    """Give the first `limit` entries of a list, tuple or set; nothing of any other value."""
    for base in _SEQUENCE_TYPES:
        if issubclass(type(value), base):
            entries: Iterable[object] = base.__iter__(cast("list[object]", value))  # type: ignore[arg-type]  # as above
            return list(islice(entries, max(limit, 0)))
    return []


def type_name(value: object) -> str:
    """Give the name of a value's type, and touch nothing else of it."""
    return str.__str__(_type_name_of(type(value)))[:_TYPE_NAME_CHARS]


def encodable(name: str) -> str:
    """A text as every encoding takes it, SQLite's among them: without halves of characters."""
    return name if name.isascii() else name.encode(errors="replace").decode()


def text_of_error(error: BaseException) -> str:
    """What an exception says, as one line of at most 200 characters; empty where it says nothing, or raises itself."""
    try:
        said = text_of(str(error)) or ""
    except Exception:  # noqa: BLE001 - the application's own exception: whatever it raises, there is no text
        return ""
    line = " ".join(said[: 2 * _ERROR_CHARS].split())
    return "".join(char if char.isprintable() else "?" for char in line)[:_ERROR_CHARS]
