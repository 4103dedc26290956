"""What was begun elsewhere and goes on here: at the sender of a message, or in a run that was cut off."""

from __future__ import annotations

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import Span, get_current_span


def around_from(origin: Context | None) -> Context:
    """The context that an operation begins in.

    Where a span is current, that is its parent; else it is the one that the message came from, whose baggage is then in
    force as well. The messaging conventions allow a message's creation context as the parent only there.
    """
    here = otel_context.get_current()
    if origin is None or get_current_span(here).get_span_context().is_valid:
        return here
    return Context({**here, **origin})


def link_to(span: Span, origin: Context | None) -> None:
    """Let a span point at the one that the message, or the earlier run, came from."""
    if origin is not None:
        context = get_current_span(origin).get_span_context()
        if context.is_valid:
            span.add_link(context)
