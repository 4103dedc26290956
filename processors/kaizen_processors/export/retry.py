"""When to try again: exponential backoff with full jitter, unless the backend named a time itself."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from kaizen_processors.chance import CHANCE

if TYPE_CHECKING:
    from collections.abc import Callable


_CENTURY_S: Final = 100 * 365 * 86_400.0


class Backoff:
    """Delays between attempts: uniform between zero and a ceiling that doubles from 1 s to 30 s ("full jitter").

    Args:
        base_s: The first ceiling, in seconds.
        factor: By how much the ceiling grows after each failure.
        cap_s: The last ceiling, in seconds.
        uniform: Draws a number between its two arguments.
    """

    def __init__(
        self,
        base_s: float = 1.0,
        factor: float = 2.0,
        cap_s: float = 30.0,
        uniform: Callable[[float, float], float] = CHANCE.uniform,
    ) -> None:
        """Start with no failure seen."""
        self._base_s = base_s
        self._factor = factor
        self._cap_s = cap_s
        self._uniform = uniform
        self._ceiling_s = base_s

    def next_s(self) -> float:
        """Seconds to wait after one more failure."""
        ceiling_s = min(self._ceiling_s, self._cap_s)
        self._ceiling_s = min(ceiling_s * self._factor, self._cap_s)
        return self._uniform(0.0, ceiling_s)

    def succeeded(self) -> None:
        """Begin again at the first ceiling."""
        self._ceiling_s = self._base_s


def retry_after_s(header: str | None, now_s: float) -> float | None:
    """Seconds that a `Retry-After` header asks for (RFC 9110: seconds or an HTTP date); None without a usable one.

    None, too, for no time at all: zero, or a date that is past, as it is to us when the backend's clock is behind ours.
    Who took that at its word would ask again thousands of times a second. Beyond a century it is one century.

    Args:
        header: The header's value.
        now_s: The wall clock, in seconds since the epoch, that a date is compared with.
    """
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return min(float(text), _CENTURY_S) or None
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    left_s = (at - datetime.fromtimestamp(now_s, UTC)).total_seconds()
    return min(left_s, _CENTURY_S) if left_s > 0 else None
