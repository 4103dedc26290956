"""Sums that are exact in any order: what a worker counted may be added today, and folded away tomorrow.

Sums of floats depend on their order, by the last digit. A counter that lost its last digit would have gone down, and
to Prometheus a counter that goes down began anew: it would count everything twice.
"""

from __future__ import annotations

import math
from fractions import Fraction

Number = int | Fraction | float
"""A whole number stays one; a float is the fraction that it stands for. `float` is left for what is not finite."""


def exact(value: float) -> Number:
    """The number that a float stands for; a whole number as it is."""
    if isinstance(value, int):
        return value
    return Fraction(value) if math.isfinite(value) else value


def rounded(number: Number) -> int | float:
    """The float nearest to a fraction; a whole number as it is."""
    if isinstance(number, int):
        return number
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def to_text(number: Number) -> int | str:
    """Write a number so that JSON keeps it exactly."""
    if isinstance(number, int):
        return number
    return str(number)


def from_text(text: int | str) -> Number:
    """Read what `to_text` wrote.

    Raises:
        ValueError: it is none of that.
    """
    if isinstance(text, bool):
        raise ValueError("not a number: a truth value")  # noqa: TRY004 - what a reader of bytes has to expect
    if isinstance(text, int):
        return text
    if isinstance(text, str):
        return float(text) if text in {"inf", "-inf", "nan"} else Fraction(text)
    raise ValueError(f"not a number: {type(text).__name__}")
