"""Money: exact in, exact out, and readable."""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaizen_processors.money import UNITS_PER_USD, format_usd, from_decimal, to_decimal, to_float

if TYPE_CHECKING:
    import random

UNITS = st.integers(min_value=-(10**50), max_value=10**50)
AMOUNTS = st.decimals(min_value=Decimal("-1e20"), max_value=Decimal("1e20"), places=24, allow_nan=False)


@given(AMOUNTS)
def test_an_amount_with_24_decimals_converts_exactly(amount: Decimal) -> None:
    assert Fraction(from_decimal(amount), UNITS_PER_USD) == Fraction(amount)


@given(UNITS)
def test_units_survive_the_way_through_decimal(units: int) -> None:
    amount = to_decimal(units)
    assert Fraction(amount) == Fraction(units, UNITS_PER_USD)
    if abs(units) < 10**50:
        assert from_decimal(amount) == units


@given(UNITS)
def test_conversion_does_not_depend_on_the_decimal_context(units: int) -> None:
    with localcontext(prec=3):
        amount = to_decimal(units // 10)
        assert from_decimal(amount) == units // 10


@given(UNITS)
def test_the_float_is_the_nearest_double(units: int) -> None:
    assert to_float(units) == float(Fraction(units, UNITS_PER_USD))


@given(st.lists(UNITS, max_size=30), st.randoms(use_true_random=False))
def test_a_sum_is_the_same_in_any_order(amounts: list[int], rng: random.Random) -> None:
    shuffled = amounts.copy()
    rng.shuffle(shuffled)
    assert Fraction(to_decimal(sum(shuffled))) == sum((Fraction(to_decimal(amount)) for amount in amounts), Fraction(0))


@pytest.mark.parametrize(
    "text",
    [
        "1e-25",
        "0.0000000000000000000000015",
        "1.0000000000000000000000001",
        "NaN",
        "sNaN",
        "-Infinity",
        "1e30",
        "1e999999",
        "1e-999999",
    ],
)
def test_an_amount_that_would_be_rounded_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"decimals|no amount|too large"):
        from_decimal(Decimal(text))


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("0", 0),
        ("-0", 0),
        ("0e-999999", 0),
        ("0e99", 0),
        ("1e-24", 1),
        ("10e-25", 1),
        ("1.50", 15 * 10**23),
        ("-2", -2 * 10**24),
        ("0.000000000000000000000001000000000000", 1),
    ],
)
def test_equal_amounts_give_equal_units_however_they_are_written(text: str, units: int) -> None:
    assert from_decimal(Decimal(text)) == units


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "$0.00"),
        ("0.0123", "$0.0123"),
        ("0.01234", "$0.0123"),
        ("0.5", "$0.50"),
        ("0.125", "$0.125"),
        ("0.1", "$0.10"),
        ("0.0000015", "$0.0000015"),
        ("0.000000000000000000000001", "$0.000000000000000000000001"),
        ("0.09996", "$0.10"),
        ("0.9996", "$1.00"),
        ("1", "$1.00"),
        ("1.005", "$1.00"),
        ("1.239", "$1.24"),
        ("12.3456", "$12.35"),
        ("1234.5", "$1,234.50"),
        ("1234567890123456789.125", "$1,234,567,890,123,456,789.12"),
        ("-0.0123", "-$0.0123"),
        ("-1234.5", "-$1,234.50"),
    ],
)
def test_people_read_cents_or_three_significant_digits(amount: str, text: str) -> None:
    assert format_usd(from_decimal(Decimal(amount))) == text


@given(UNITS)
def test_what_people_read_is_within_half_a_unit_of_its_last_digit(units: int) -> None:
    text = format_usd(units)
    shown = Fraction(text.replace("$", "").replace(",", ""))
    exact = Fraction(units, UNITS_PER_USD)
    tolerance = Fraction(1, 200) if abs(exact) >= 1 else abs(exact) / 200
    assert abs(shown - exact) <= tolerance
    assert (shown == 0) == (units == 0)
