"""Numbers as people read them: durations, tokens, money, and text that may hold anything."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

from kaizen_processors.trace_totals import USD

if TYPE_CHECKING:
    from kaizen_processors.trace_totals import Cost

_NS_PER_US: Final = 1_000
_NS_PER_MS: Final = 1_000_000
_NS_PER_S: Final = 1_000_000_000
_S_PER_MINUTE: Final = 60
_S_PER_HOUR: Final = 3_600

_EXACT_TOKENS: Final = 100_000
"""From here on tokens are shown in thousands or millions: six digits say no more in a tree, and take the room."""

_SIGNIFICANT_DIGITS: Final = 3
_SMALLEST_SHOWN: Final = Decimal("0.0000001")


class Glyphs(NamedTuple):
    """The characters that draw a tree."""

    branch: str
    last: str
    pipe: str
    blank: str
    bar: str
    bar_start: str
    bar_end: str
    wait: str
    rule: str
    arrow: str
    at_least: str
    dot: str
    cross: str
    stop: str
    ellipsis: str
    micro: str
    sigma: str


UNICODE: Final = Glyphs(
    branch="├─ ", last="└─ ", pipe="│  ", blank="   ", bar="━", bar_start="╺", bar_end="╸", wait="┄", rule="─",
    arrow="→", at_least="≥", dot=" · ", cross="✗", stop="⊘", ellipsis="…", micro="µs", sigma="Σ ",
)  # fmt: skip
ASCII: Final = Glyphs(
    branch="|- ", last="`- ", pipe="|  ", blank="   ", bar="=", bar_start="=", bar_end="=", wait="-", rule="-",
    arrow="->", at_least=">=", dot=", ", cross="x", stop="!", ellipsis="...", micro="us", sigma="= ",
)  # fmt: skip


def glyphs_for(encoding: str | None) -> Glyphs:
    """`UNICODE` where the encoding can express all of it, else `ASCII`."""
    try:
        "".join(UNICODE).encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return UNICODE


def duration(nanos: int | None, glyphs: Glyphs) -> str:
    """`412µs`, `12ms`, `1.24s`, `12.4s`, `2m03s`, `1h02m`; empty when unknown."""
    if nanos is None:
        return ""
    if nanos < _NS_PER_S:
        return f"{nanos // _NS_PER_US}{glyphs.micro}" if nanos < _NS_PER_MS else f"{nanos // _NS_PER_MS}ms"
    seconds = nanos // _NS_PER_S
    if seconds < _S_PER_MINUTE:
        return f"{nanos / _NS_PER_S:.{2 if seconds < 10 else 1}f}s"  # noqa: PLR2004 - three digits in all
    minutes, rest = divmod(seconds, 60)
    return f"{minutes}m{rest:02d}s" if seconds < _S_PER_HOUR else f"{minutes // 60}h{minutes % 60:02d}m"


def tokens(number: int) -> str:
    """`5,120`, `123.4k`, `1.2M`."""
    if number < _EXACT_TOKENS:
        return f"{number:,}"
    thousands = Decimal(number) / 1000
    return f"{thousands:.1f}k" if thousands < 999.95 else f"{thousands / 1000:.1f}M"  # noqa: PLR2004 - rounds to 1000.0k


def money(amount: Decimal, currency: str = USD) -> str:
    """`$12.35`, `$0.0123`, `$0.000420`: cents from one dollar on, below it three significant digits; `0.05 EUR`."""
    if amount and abs(amount) < _SMALLEST_SHOWN:
        figure = f"{_SMALLEST_SHOWN:f}"
        return f"<${figure}" if currency == USD else f"<{figure} {currency}"
    decimals = 2
    if amount and abs(amount) < 1:
        decimals = max(2, _SIGNIFICANT_DIGITS - 1 - amount.adjusted())
    figure = f"{amount:,.{decimals}f}" if amount else "0"
    figure = figure[: 2 - decimals or None] + figure[2 - decimals :].rstrip("0") if decimals > 2 else figure  # noqa: PLR2004
    return f"${figure}" if currency == USD else f"{figure} {currency}"


def cost(value: Cost, glyphs: Glyphs) -> str:
    """The amounts of a cost, empty when nothing was spent; `≥` before it, or `?` alone, when a part is not known."""
    amounts = " + ".join(
        money(amount, currency) for currency, amount in sorted(value.amounts.items(), key=_dollars_first)
    )
    if value.complete:
        return amounts
    return f"{glyphs.at_least}{amounts}" if any(value.amounts.values()) else "?"


def _dollars_first(item: tuple[str, Decimal]) -> tuple[bool, str]:
    return item[0] != USD, item[0]


def printable(text: str, limit: int = 500) -> str:
    """One line of text that cannot steer a terminal: no control, format or surrogate characters.

    Names and messages come from models, tools and users; an escape sequence in them must not reach the terminal.
    """
    line = text[:limit]
    if line.isprintable():
        return line
    return "".join(c if c.isprintable() else " " if c.isspace() else "?" for c in line)
