"""The trace's context as it travels with somebody's message: what the application's propagators write and read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.propagate import extract, inject

from kaizen_otel.invocations.values import bounded_text, mapping

if TYPE_CHECKING:
    from opentelemetry.context import Context

MAX_FIELD = 8_192
"""Characters of one field that are read: what the baggage specification allows."""


def current_carrier() -> dict[str, str]:
    """The current context, as fields of a message; empty where there is nothing to carry."""
    carrier: dict[str, str] = {}
    inject(carrier)
    return carrier


def context_in(carrier: object) -> Context:
    """The context that came with a message; an empty one where none came."""
    fields = ((bounded_text(name), bounded_text(value, MAX_FIELD)) for name, value in mapping(carrier).items())
    return extract({name: value for name, value in fields if name is not None and value is not None})
