"""Payment card numbers: found by their shape, confirmed by their check digit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_RUN = re.compile("[0-9][0-9 \\-\u00a0]{11,}+")
"""Digits with separators between them, long enough for a card. Possessive: a hostile run is read once."""

_GROUP = re.compile("[0-9]+")
_MIN_DIGITS = 13
_MAX_DIGITS = 19
_FIRST_GROUP_DIGITS = 4
"""Cards are written in one piece or in groups of which the first has four digits (4-4-4-4, 4-6-5)."""

_ISSUER_DIGITS = frozenset("23456")
"""First digits of the card networks. It keeps timestamps of this century (`17…`) from looking like cards."""

_DOUBLED = str.maketrans("0123456789", "0246813579")
"""Twice a digit, its own digits added: Luhn's step (ISO/IEC 7812-1)."""


def luhn_valid(digits: str) -> bool:
    """Whether the last digit is the check digit of the others."""
    values = digits[-1::-2] + digits[-2::-2].translate(_DOUBLED)
    return (sum(values.encode()) - ord("0") * len(values)) % 10 == 0


def redact_cards(text: str, replacement: str) -> str:
    """Replace each payment card number in `text`; the time is linear in its length."""
    return _RUN.sub(lambda run: _redact_run(run.group(), replacement), text)


def _redact_run(run: str, replacement: str) -> str:
    pieces: list[str] = []
    done = 0
    for start, end in _cards(run):
        pieces += (run[done:start], replacement)
        done = end
    pieces.append(run[done:])
    return "".join(pieces)


def _cards(run: str) -> Iterator[tuple[int, int]]:
    """Give the places of whole digit groups that together make a card."""
    groups = [match.span() for match in _GROUP.finditer(run)]
    first = 0
    while first < len(groups):
        last = _card_from(run, groups, first)
        if last is None:
            first += 1
        else:
            yield groups[first][0], groups[last][1]
            first = last + 1


def _card_from(run: str, groups: list[tuple[int, int]], first: int) -> int | None:
    """Give the last group of the longest card that begins with group `first`."""
    start, end = groups[first]
    if end - start < _FIRST_GROUP_DIGITS or run[start] not in _ISSUER_DIGITS:
        return None
    found: int | None = None
    digits = ""
    for index in range(first, len(groups)):
        start, stop = groups[index]
        if index > first and start - groups[index - 1][1] > 1:
            break
        if len(digits) + stop - start > _MAX_DIGITS:
            break
        digits += run[start:stop]
        if len(digits) >= _MIN_DIGITS and luhn_valid(digits):
            found = index
    return found
