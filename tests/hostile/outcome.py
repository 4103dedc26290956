"""What a call came to, in a form in which two runs can be compared without touching odd objects."""

from __future__ import annotations

import hashlib
import math
import re
from itertools import islice
from typing import TYPE_CHECKING, Any

from kaizen_processors.values import entries_of, size_of, type_name

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_DEPTH = 12
_MAX_ENTRIES = 60
_LONG_TEXT = 2_000
_HUGE_TEXT = 1_000_000

_VOLATILE = re.compile(r"input_value=.*?, input_type|0x[0-9a-fA-F]+|[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|[0-9a-f]{32}|\d+")
"""Addresses, ids, times, durations: what differs between two runs of the same code."""

_WHERE_THE_STACK_RAN_OUT = re.compile(r"(?<=recursion depth exceeded) (?:while|in) [a-zA-Z ]+")

_VOLATILE_KEYS = re.compile(r"(?i).*(time|duration|_at|_ms|timestamp|run_id|memory|elapsed|execution_id|cost).*")

_cause_of = BaseException.__dict__["__cause__"].__get__
_context_of = BaseException.__dict__["__context__"].__get__
_args_of = BaseException.__dict__["args"].__get__


def shape(thing: object, value: object) -> Any:
    """Describe `thing`; wherever `value` itself is in it, by identity, that is said."""
    return _shape(thing, value, 0, set())


def _shape(thing: object, value: object, depth: int, above: set[int]) -> Any:
    if thing is value and not _is_common(value):
        return "THE VALUE"
    kind = type(thing)
    if kind in _PLAIN:
        return _PLAIN[kind](thing)
    if depth > _MAX_DEPTH or id(thing) in above:
        return f"{type_name(thing)} ..."
    for base, describe in _CONTAINERS.items():
        if issubclass(kind, base):
            return describe(thing, value, depth, above | {id(thing)})
    return type_name(thing)


def _is_common(value: object) -> bool:
    # None, True or a small number is "the value" in a hundred places that have nothing to do with it.
    return type(value) in {type(None), bool, int, float, str, bytes, type(...)}


def _items(thing: Any, value: object, depth: int, inside: set[int]) -> Any:
    items = entries_of(thing, _MAX_ENTRIES)
    return [type_name(thing), size_of(thing), [_shape(item, value, depth + 1, inside) for item in items]]


def _entries(thing: Any, value: object, depth: int, inside: set[int]) -> Any:
    entries: list[Any] = []
    for key, entry in islice(dict.items(thing), _MAX_ENTRIES):
        known = _shape(key, value, depth + 1, inside)
        volatile = type(key) is str and _VOLATILE_KEYS.fullmatch(key)
        entries.append((known, "..." if volatile else _shape(entry, value, depth + 1, inside)))
    return [type_name(thing), dict.__len__(thing), entries]


def _error(thing: Any, value: object, depth: int, inside: set[int]) -> Any:
    try:
        message = _text(str(thing))
    except Exception as error:  # noqa: BLE001 - an odd exception cannot say
        message = f"<{type_name(error)}>"
    return [
        type_name(thing),
        message,
        _shape(_args_of(thing), value, depth + 1, inside),
        _shape(_cause_of(thing), value, depth + 1, inside),
        # Where exactly the stack ran out depends on how high it already was.
        None if issubclass(type(thing), RecursionError) else _shape(_context_of(thing), value, depth + 1, inside),
    ]


def _text(text: str) -> str:
    if len(text) > _HUGE_TEXT:
        return f"<{len(text)} characters, {text[:100]!a} ... {text[-100:]!a}>"
    text = _WHERE_THE_STACK_RAN_OUT.sub("", _VOLATILE.sub("#", text))
    if len(text) > _LONG_TEXT:
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
        return f"<{len(text)} characters, {digest}>"
    return text


def _itself(thing: Any) -> Any:
    return thing


_PLAIN: dict[type, Callable[[Any], Any]] = {
    **dict.fromkeys((type(None), bool, int, bytes, type(...)), _itself),
    float: lambda number: "nan" if math.isnan(number) else "a float",
    str: _text,
}
_CONTAINERS: dict[type, Callable[[Any, object, int, set[int]], Any]] = {
    dict: _entries,
    **dict.fromkeys((list, tuple, set, frozenset), _items),
    BaseException: _error,
}
