"""Durations as Prometheus writes them: `5m`, `1h30m`, `250ms`."""

from __future__ import annotations

import re
from typing import Final

_UNITS_MS: Final = {"w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_WORDS_S: Final = {"day": 86_400, "hour": 3_600, "minute": 60, "second": 1}
_MANY: Final = 100
"""Of a unit: so many are said in larger ones."""

_WHOLE: Final = re.compile(r"(?:[0-9]{1,9}(?:ms|[smhdw]))+")
_PART: Final = re.compile(r"([0-9]+)(ms|[smhdw])")


def parse_duration(given: object) -> float | None:
    """Give the seconds of `5m`, `1h30m` or a number of seconds; None for anything else."""
    if isinstance(given, bool):
        return None
    if isinstance(given, int | float):
        return float(given) if 0 <= given < float("inf") else None
    if not isinstance(given, str) or not _WHOLE.fullmatch(given.strip()):
        return None
    return sum(int(count) * _UNITS_MS[unit] for count, unit in _PART.findall(given)) / 1_000


def write_duration(seconds: float) -> str:
    """Write a duration in the fewest units, to the millisecond.

    >>> write_duration(5400), write_duration(86400), write_duration(0)
    ('1h30m', '1d', '0s')
    """
    rest = round(seconds * 1_000)
    parts = []
    for unit, size in _UNITS_MS.items():
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def duration_in_words(seconds: float) -> str:
    """Write whole seconds as people say them: in one unit where that is exact, days from two on.

    >>> duration_in_words(864000), duration_in_words(86400), duration_in_words(5400), duration_in_words(90061)
    ('10 days', '24 hours', '90 minutes', '25 hours 1 minute 1 second')
    """
    whole = round(seconds)
    units = {unit: size for unit, size in _WORDS_S.items() if unit != "day" or whole >= 2 * size}
    for unit, size in units.items():
        if whole >= size and whole % size == 0 and (unit == "day" or whole < _MANY * size):
            return _counted(whole // size, unit)
    said = []
    for unit, size in units.items():
        count, whole = divmod(whole, size)
        said += [_counted(count, unit)] if count else []
    return " ".join(said) or "0 seconds"


def _counted(count: int, unit: str) -> str:
    return f"{count} {unit}{'' if count == 1 else 's'}"
