"""Price files written for a test, and what comes of reading them."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import pytest

from kaizen_processors.money import UNITS_PER_USD
from kaizen_processors.pricing import Price, PriceBook, PriceFileError

DOCS = Path(__file__).parents[2] / "docs" / "pricing.md"
SOME = "prices:\n  - {model: m, input: 1, output: 2}\n"


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


AT_NS = ns("2026-11-20T12:00:00")


def write(folder: Path, text: str) -> Path:
    path = folder / "prices.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def entry_book(folder: Path, entry: str) -> PriceBook:
    """Book of one entry for model `m`; `entry` is the rest of it, in flow style."""
    return PriceBook.from_file(write(folder, f"prices: [{{model: m, {entry}}}]"))


def amount(price: Price) -> Fraction:
    assert price.amount is not None
    assert price.source == "override"
    return Fraction(price.amount, UNITS_PER_USD)


def problems(folder: Path, text: str) -> list[str]:
    path = write(folder, text)
    with pytest.raises(PriceFileError) as caught:
        PriceBook.from_file(path)
    assert str(caught.value) == "\n".join(caught.value.problems)
    assert all(problem.startswith(f"{path}:") for problem in caught.value.problems)
    return [problem.removeprefix(f"{path}:") for problem in caught.value.problems]
