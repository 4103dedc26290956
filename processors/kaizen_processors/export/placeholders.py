"""Placeholders for spans that have not ended: how one is made, and the spans that leave so.

A placeholder is a finished span of its own, a few microseconds long, with what is known so far. It must never be taken
for the span that it stands for, nor added to it: its own id, its own name, no `gen_ai.operation.name`, no usage under
the names that are summed (docs/adr/0028-placeholders-with-ids-of-their-own.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, SpanKind, format_span_id

from kaizen_processors.money import to_float
from kaizen_semconv import attributes as k
from kaizen_semconv import gen_ai as g

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue

    from kaizen_processors.ledger import TallySnapshot

_RUNNING: Final = " (running)"
_NS_PER_US: Final = 1_000
_NS_PER_S: Final = 1e9
_SUMMED: Final = ("gen_ai.usage.", "kaizen.usage.", "kaizen.execution.own.", "kaizen.execution.total.")
"""What backends add up over spans: a placeholder has none of it, whoever put it on the span."""


class Placeholder:
    """What is known of a span that runs.

    Args:
        span: The span, as the SDK made it. It may end meanwhile.
        span_id: The placeholder's own id.
        parent: The placeholder of the operation above, or the span itself.
        depth: How many placeholders are above this one.
        elapsed_ns: How long the operation has run.
        started_ago_ns: How long ago the placeholder begins; by default when the operation began.
        sums: What the operation and everything below it have used so far, if somebody adds that up.
    """

    __slots__ = ("depth", "elapsed_ns", "parent", "span", "span_id", "started_ago_ns", "sums")

    def __init__(  # noqa: PLR0913 - a record: each argument is a field
        self,
        span: ReadableSpan,
        span_id: int,
        parent: SpanContext,
        *,
        depth: int,
        elapsed_ns: int,
        started_ago_ns: int | None = None,
        sums: TallySnapshot | None = None,
    ) -> None:
        """Hold what is known."""
        self.span = span
        self.span_id = span_id
        self.parent = parent
        self.depth = depth
        self.elapsed_ns = elapsed_ns
        self.started_ago_ns = elapsed_ns if started_ago_ns is None else started_ago_ns
        self.sums = sums

    def made(self) -> ReadableSpan:
        """The placeholder as a finished span.

        Raises:
            ValueError: The span has no identity.
        """
        span = self.span
        own = span.get_span_context()
        if own is None:
            raise ValueError("the span has no context")
        start_ns = (span.start_time or 0) + self.elapsed_ns - self.started_ago_ns
        return ReadableSpan(
            name=f"{span.name}{_RUNNING}",
            context=SpanContext(own.trace_id, self.span_id, is_remote=False, trace_flags=own.trace_flags),
            parent=self.parent,
            resource=span.resource,
            attributes=self._attributes(own.span_id),
            events=span.events,
            links=span.links,
            kind=SpanKind.INTERNAL,
            start_time=start_ns,
            # Jaeger takes a child that outlasts its parent for asynchronous, and warns of clocks only otherwise.
            end_time=start_ns + (self.depth + 1) * _NS_PER_US,
            instrumentation_scope=span.instrumentation_scope,
        )

    def _attributes(self, span_id: int) -> dict[str, AttributeValue]:
        span = self.span
        # The SDK's own copy: the operation may set an attribute on its thread at this moment.
        known = dict((span.attributes or {}).copy())  # type: ignore[attr-defined]  # a proxy of a mapping with `copy`
        operation = known.pop(g.GEN_AI_OPERATION_NAME, None)
        attributes: dict[str, AttributeValue] = {
            key: value for key, value in known.items() if not key.startswith(_SUMMED)
        }
        attributes |= {
            k.KAIZEN_SPAN_PENDING: True,
            k.KAIZEN_PENDING_SPAN_ID: format_span_id(span_id),
            k.KAIZEN_PENDING_SPAN_NAME: span.name,
            k.KAIZEN_PENDING_ELAPSED: self.elapsed_ns / _NS_PER_S,
        }
        if span.parent is not None:
            attributes[k.KAIZEN_PENDING_PARENT_SPAN_ID] = format_span_id(span.parent.span_id)
        if isinstance(operation, str):
            attributes[k.KAIZEN_PENDING_OPERATION] = operation
        if self.sums is not None:
            attributes |= _sums(self.sums)
        return attributes


def _sums(sums: TallySnapshot) -> dict[str, AttributeValue]:
    return {
        k.KAIZEN_PENDING_MODEL_CALLS: sums.model_calls,
        k.KAIZEN_PENDING_TOOL_CALLS: sums.tool_calls,
        k.KAIZEN_PENDING_INPUT_TOKENS: sums.input_tokens,
        k.KAIZEN_PENDING_OUTPUT_TOKENS: sums.output_tokens,
        k.KAIZEN_PENDING_COST_AMOUNT: to_float(sums.cost_units),
        k.KAIZEN_EXECUTION_COST_COMPLETE: not sums.incomplete_calls,
    }
