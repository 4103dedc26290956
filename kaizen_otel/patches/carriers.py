"""The trace's context as it travels with somebody's message: what the application's propagators write and read."""

from __future__ import annotations

import json
from typing import Final

from opentelemetry.context import Context
from opentelemetry.propagate import extract, inject

from kaizen_otel.invocations.values import bounded_text, mapping

Carrier = dict[str, str]

FIELD: Final = "otel"
"""Under which name a task, or a checkpoint, carries it: one field that whoever does not know it leaves alone."""

MAX_FIELD = 8_192
"""Characters of one field that are read: what the baggage specification allows."""


_TRACE: Final = frozenset({"traceparent", "tracestate"})
_MAX_TRACE: Final = 512
"""Longer ones are none, of which OpenTelemetry's propagator would warn the application, each time."""


def current_carrier(context: Context | None = None) -> Carrier:
    """A context, the current one by default, as fields of a message; empty where there is nothing to carry."""
    carrier: Carrier = {}
    inject(carrier, context)
    return carrier


def carrier_in(found: object) -> Carrier:
    """What came with a message, made safe."""
    fields = ((bounded_text(name), bounded_text(value, MAX_FIELD)) for name, value in mapping(found).items())
    return {
        name: value
        for name, value in fields
        if name is not None and value is not None and not (name in _TRACE and len(value) > _MAX_TRACE)
    }


def context_in(carrier: Carrier) -> Context:
    """The context that came with a message; an empty one where none came."""
    return extract(carrier, Context())


def with_carrier(text: str, carrier: Carrier) -> str:
    """A JSON object as text, with one field more and else as it was."""
    if not carrier or len(text) < len('{"":0}') or text[-1] != "}":
        return text
    return f"{text[:-1]}, {json.dumps(FIELD)}: {json.dumps(carrier)}}}"
