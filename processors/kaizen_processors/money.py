"""Money as integers of 1e-24 of a currency unit, so that sums are exact whatever their order.

Of the published token rates a fifth is no whole number of nano-dollars and some have 17 decimals; in this unit all of
them are integers. Convert at the edges only: `to_float` for attributes and metrics, `format_usd` for people.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

DECIMALS: Final = 24
"""How many decimals of a currency unit one integer step has."""

UNITS_PER_USD: Final = 10**DECIMALS
"""Integer steps in one US dollar (or in one of any other currency)."""

MAX_MAGNITUDE: Final = 30
"""`from_decimal` takes amounts below ten to this power: no money is near it, and `1e999999` would fill the memory."""

_SIGNIFICANT_DIGITS: Final = 3
_CENT_DECIMALS: Final = 2


def from_decimal(amount: Decimal) -> int:
    """Convert an amount of a currency unit exactly.

    Raises `ValueError` when the amount is not finite, is 1e30 or more, or has a part smaller than 1e-24: it could not
    be held without rounding.
    """
    if not amount.is_finite():
        raise ValueError(f"{amount} is no amount of money")
    if not amount:
        return 0
    if amount.adjusted() >= MAX_MAGNITUDE:
        raise ValueError(f"{amount} is too large: the limit is 1e{MAX_MAGNITUDE}")
    if amount.adjusted() >= -DECIMALS:
        numerator, denominator = amount.as_integer_ratio()
        units, rest = divmod(numerator * UNITS_PER_USD, denominator)
        if not rest:
            return units
    raise ValueError(f"{amount} has more than {DECIMALS} decimals")


def to_decimal(units: int) -> Decimal:
    """Convert to an amount of the currency unit, exactly, whatever the decimal context, without trailing zeros.

    >>> to_decimal(27 * 10**18), to_decimal(0)
    (Decimal('0.000027'), Decimal('0'))
    """
    whole, part = divmod(abs(units), UNITS_PER_USD)
    decimals = f"{part:0{DECIMALS}d}".rstrip("0")
    sign = "-" if units < 0 else ""
    return Decimal(f"{sign}{whole}.{decimals}" if decimals else f"{sign}{whole}")


def to_float(units: int) -> float:
    """Convert to the nearest double: the division of two integers rounds once, correctly."""
    return units / UNITS_PER_USD


def format_usd(units: int) -> str:
    """Write an amount for people: cents from one dollar up, three significant digits below.

    >>> format_usd(from_decimal(Decimal("1234.5")))
    '$1,234.50'
    >>> format_usd(from_decimal(Decimal("0.01234")))
    '$0.0123'
    >>> format_usd(from_decimal(Decimal("0.0000015")))
    '$0.0000015'
    """
    amount = to_decimal(abs(units))
    sign = "-" if units < 0 else ""
    decimals = max(_CENT_DECIMALS, _SIGNIFICANT_DIGITS - 1 - amount.adjusted()) if amount else _CENT_DECIMALS
    if amount >= 1:
        decimals = _CENT_DECIMALS
    rounded = _round(amount, decimals)
    whole, _, fraction = f"{rounded:,f}".partition(".")
    return f"{sign}${whole}.{fraction.rstrip('0').ljust(_CENT_DECIMALS, '0')}"


def _round(amount: Decimal, decimals: int) -> Decimal:
    digits = max(amount.adjusted(), 0) + decimals + 2
    return amount.quantize(Decimal(1).scaleb(-decimals), context=Context(prec=digits, rounding=ROUND_HALF_EVEN))
