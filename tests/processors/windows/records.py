"""Records of finished work, as the instrumentation makes them."""

from __future__ import annotations

from typing import Any

from kaizen_processors.execution import CallRecord, ExecutionRecord, ReportedCall, ReportedExecution
from kaizen_processors.ledger import TallySnapshot
from kaizen_processors.money import UNITS_PER_USD
from kaizen_processors.pricing.price import Price
from kaizen_processors.usage import Usage

CENT = UNITS_PER_USD // 100


def execution(agent: str = "ann", model: str = "m", **given: Any) -> ExecutionRecord:
    """An execution; times in ms."""
    duration_ms = given.pop("duration_ms", 100)
    fields = {
        "execution_id": "0" * 32,
        "status": "success",
        "start_time_ns": 0,
        "own": TallySnapshot(),
        "total": TallySnapshot(),
        **given,
    }
    kind = ReportedExecution if "ended_ago_ns" in given else ExecutionRecord
    return kind(agent_name=agent, model=model, duration_ns=int(duration_ms * 1e6), **fields)


def call(
    agent: str = "ann",
    model: str = "m",
    tokens: tuple[int | None, int | None] = (10, 5),
    price: Price | None = None,
    **given: Any,
) -> CallRecord:
    """A model call that costs a cent."""
    kind = ReportedCall if given else CallRecord
    return kind(
        operation="chat",
        provider="openai",
        model=model,
        agent_name=agent,
        usage=Usage(*tokens),
        price=Price(CENT) if price is None else price,
        **given,
    )
