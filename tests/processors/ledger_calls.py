"""Finished calls for a ledger, and what it says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaizen_processors.execution import CallRecord
from kaizen_processors.pricing.price import Price
from kaizen_processors.usage import Usage

if TYPE_CHECKING:
    from kaizen_processors.ledger import Ledger


def call(
    agent: str = "ann", model: str = "m", tokens: tuple[int | None, int | None] = (10, 5), price: Price | None = None
) -> CallRecord:
    return CallRecord(
        operation="chat",
        provider="openai",
        model=model,
        agent_name=agent,
        usage=Usage(*tokens),
        price=Price(3) if price is None else price,
    )


def sums(ledger: Ledger) -> dict[tuple[str, str], tuple[int, int, int, int]]:
    return {
        key: (totals.calls, totals.input_tokens, totals.output_tokens, totals.cost_units)
        for key, totals in ledger.snapshot().calls.items()
    }
