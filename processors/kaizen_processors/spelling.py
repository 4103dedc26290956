"""What somebody may have meant by a name that does not exist."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_LIKE: Final = 0.6
_FEWEST: Final = 3
_MOST: Final = 200
"""Characters of a word that may stand for a longer name, and beyond which it is none: comparing takes time."""


def closest(word: object, names: Iterable[str], *, like: float = _LIKE) -> str | None:
    """Give the name that looks most like a word, or the only one that begins with it; None when none is near.

    Args:
        word: what was written; anything but a text is near nothing.
        names: what exists.
        like: how alike they must be, from 0 to 1.

    Example:
        >>> closest("producton", ["development", "production"])
        'production'
        >>> closest("prom", ["console", "prometheus"])
        'prometheus'
    """
    from difflib import get_close_matches  # noqa: PLC0415 - only a failure pays for its import

    if not isinstance(word, str) or len(word) > _MOST:
        return None
    known = sorted(names)
    close = get_close_matches(word.strip().lower(), known, n=1, cutoff=like) or get_close_matches(
        word, known, n=1, cutoff=like
    )
    if close:
        return close[0]
    longer = [name for name in known if len(word) >= _FEWEST and name.startswith(word.lower())]
    return longer[0] if len(longer) == 1 else None


def meant(word: object, names: Iterable[str]) -> str:
    """Say which name a word may have been meant for, to stand behind it; empty when none is near."""
    close = closest(word, names)
    return "" if close is None else f" (did you mean {close}?)"
