"""The confidence that an agent's own signature states: its output field `confidence`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from kaizen_processors.quality.answers import field_value
from kaizen_processors.values import number_of, text_of

if TYPE_CHECKING:
    from collections.abc import Callable

CONFIDENCE_FIELD: Final = "confidence"

_DECIMAL = re.compile(r"\s{0,8}(?:[0-9]{1,3}(?:\.[0-9]{0,32})?|\.[0-9]{1,32})\s{0,8}")
"""A plain decimal number. `90%`, `9/10` and `high` are not read: what they mean would be a guess."""

_MAX_TEXT_CHARS = 64


def confidence_of(output: object, on_invalid: Callable[[str], None] | None = None) -> float | None:
    """Read the confidence that an execution returned: a number from 0 to 1, or None.

    Kaizen's parsers often leave numbers as text, so a plain decimal text (`"0.9"`) counts as its number. Anything else
    gives None: booleans, percentages, words, NaN, infinities, and numbers outside 0 to 1.

    Args:
        output: What the execution returned.
        on_invalid: Called with a reason (`type`, `text`, `range`) when there is a confidence that is none.
    """
    given = field_value(output, CONFIDENCE_FIELD)
    if given is None:
        return None
    number, problem = _read(given)
    if problem is not None and on_invalid is not None:
        on_invalid(problem)
    return number


def _read(given: object) -> tuple[float | None, str | None]:
    text = text_of(given)
    if text is not None:
        if len(text) > _MAX_TEXT_CHARS or _DECIMAL.fullmatch(text) is None:
            return None, "text"
        return _in_range(float(text))
    number = number_of(given)
    return (None, "type") if number is None else _in_range(number)


def _in_range(number: float) -> tuple[float | None, str | None]:
    # NaN compares false with everything, so it is out of range too.
    return (float(number), None) if 0 <= number <= 1 else (None, "range")
