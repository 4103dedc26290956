"""Texts of an alert with places for its numbers: `{agent} fails {value} of its runs`.

Only these places exist, so a text can neither reach into objects nor break. `{{` and `}}` stand for braces.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PLACES: Final = ("value", "threshold", "subject", "agent", "model", "window", "name", "severity")
_TOKEN: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


def problem_in(text: str) -> str | None:
    """Say what is wrong with a text; None when nothing is."""
    for token in _TOKEN.finditer(text):
        if token.group() in {"{", "}"}:
            return "a brace on its own: write {{ or }} for one"
        place = token.group(1)
        if place is not None and place not in PLACES:
            return f"unknown place {{{place}}}; allowed: {', '.join(f'{{{known}}}' for known in PLACES)}"
    return None


def places_in(text: str) -> frozenset[str]:
    """The places that a text has."""
    return frozenset(token.group(1) for token in _TOKEN.finditer(text) if token.group(1) is not None)


def segments(text: str) -> Iterator[tuple[bool, str]]:
    """The pieces of a text in order: True and the name of a place, or False and the text between two."""
    plain, end = "", 0
    for token in _TOKEN.finditer(text):
        plain += text[end : token.start()]
        end = token.end()
        place = token.group(1)
        if place is None:
            plain += token.group()[0]
            continue
        yield False, plain
        yield True, place
        plain = ""
    yield False, plain + text[end:]


def fill(text: str, places: Mapping[str, str]) -> str:
    """Put its value into each place."""
    return "".join(places[piece] if is_place else piece for is_place, piece in segments(text))
