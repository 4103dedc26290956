"""Foreign values made safe for attributes: exact built-in types, bounded, valid Unicode, nothing called on them."""

from __future__ import annotations

import math
from itertools import islice
from typing import Any, cast

MAX_NAME = 256
"""Characters of a name or id that we keep."""

MAX_TOKENS = 1 << 40
"""No call uses a million million tokens; a provider that says so is broken. Sums of the rest stay below 2**63, above
which an OTLP exporter loses the whole batch."""


def bounded_text(value: object, limit: int = MAX_NAME) -> str | None:
    """A plain `str` of at most `limit` characters that encodes as UTF-8; None when `value` is no text.

    A subclass of `str` is copied by `str` itself, so no method of the subclass runs. Lone surrogates, which would
    cost the exporter the span or even the batch, become `?`.
    """
    if type(value) is str:
        text = value
    elif issubclass(type(value), str):
        text = str.__str__(cast("str", value))
    else:
        return None
    if len(text) > limit:
        text = text[:limit]
    if text.isascii():
        return text
    return text.encode("utf-8", "replace").decode("utf-8")


def whole_number(value: object) -> int | None:
    """An exact, non-negative 63-bit `int`; None for all else (also `True`)."""
    return value if type(value) is int and 0 <= value < 1 << 63 else None


def token_count(value: object) -> int | None:
    """A number of tokens that can be one: see `MAX_TOKENS`; None for all else (also `True`)."""
    return value if type(value) is int and 0 <= value < MAX_TOKENS else None


def finite_number(value: object) -> float | None:
    """A finite real number as `float`; None for all else (also `True`, NaN and infinities)."""
    if type(value) is float:
        return value if math.isfinite(value) else None
    return float(value) if type(value) is int and abs(value) < 1 << 53 else None


def mapping(value: object) -> dict[Any, Any]:
    """`value` when it is exactly a `dict`, else an empty one."""
    return value if type(value) is dict else {}


def entry_of(value: object, key: str) -> Any:
    """What exactly a `dict` holds under a key; None for all else, and where comparing with a foreign key raises."""
    try:
        return mapping(value).get(key)
    except Exception:  # noqa: BLE001 - as below
        return None


def attribute_of(value: object, name: str) -> Any:
    """A foreign attribute; None where there is none, and where reading it raises."""
    try:
        return getattr(value, name, None)
    except Exception:  # noqa: BLE001 - a property of the application's: what it cannot give is not known
        return None


def text_tuple(value: object, limit: int = 16) -> tuple[str, ...]:
    """The texts of a list or tuple, at most `limit` of them; a single text stands for itself."""
    if issubclass(type(value), str):
        text = bounded_text(value)
        return () if text is None else (text,)
    if type(value) not in {list, tuple}:
        return ()
    found: list[str] = []
    items: Any = value
    for item in islice(items, limit):
        text = bounded_text(item)
        if text is not None:
            found.append(text)
    return tuple(found)
