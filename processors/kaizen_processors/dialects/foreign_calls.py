"""Model calls that another library watches: each is counted once, under the agent in whose run it began.

One call may have several spans: ours, and those of the libraries above and below. The rule: **ours counts; without
one, the innermost**. A span below an open call of ours is known at its start, by what the context says. A span above is
known because what is counted below tells every open span above it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kaizen_processors.dialects.model_call import UNKNOWN_PROVIDER
from kaizen_processors.dialects.reading import read_model_call
from kaizen_processors.dialects.recent import Recent
from kaizen_processors.execution import NO_AGENT, UNKNOWN_MODEL, CallRecord
from kaizen_processors.forking import begin_anew_in_children

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span
    from opentelemetry.trace import SpanContext

    from kaizen_processors.dialects.model_call import ModelCall
    from kaizen_processors.ledger import Ledger, Tally
    from kaizen_processors.pricing import PriceBook

MAX_OPEN: Final = 10_000
"""Spans remembered while they are open. One that is forgotten before it ends is accounted to agent `none`."""

MAX_DEPTH: Final = 256
"""Spans above a call that are asked; deeper traces are not followed further."""


_new: Final = object.__new__
"""Makes a record whose fields are set one by one: by keywords it takes seven times as long (1.5 µs)."""


class Attribution:
    """Whom a call is accounted to: an agent, its execution, and the sums of the scopes above."""

    __slots__ = ("agent_name", "execution_id", "tallies")

    def __init__(self, agent_name: str, execution_id: str | None = None, tallies: tuple[Tally, ...] = ()) -> None:
        """Hold the account."""
        self.agent_name = agent_name
        self.execution_id = execution_id
        self.tallies = tallies


NOBODY: Final = Attribution(NO_AGENT)
"""Whom calls without an agent above them are accounted to."""


def nobody(context: Context | None) -> Attribution | None:  # noqa: ARG001 - without Kaizen no context says anything
    """Account every call to agent `none`."""
    return NOBODY


class _Open:
    """A span that has not ended: what it hangs below, and whom it is accounted to (None: another one counts)."""

    __slots__ = ("attribution", "parent")

    def __init__(self, parent: SpanContext | None, attribution: Attribution | None) -> None:
        self.parent = parent
        self.attribution = attribution


class ForeignCalls:
    """Accounts for the model calls in other libraries' spans.

    Args:
        ledger: where they are counted.
        prices: what they cost.
        attribute: tells from the context in which a span starts (None: the current one) whom a call is accounted to;
            None when the call is already ours, or is not to be watched.
        own_scope: the instrumentation scope of our own spans, which hand their records over by themselves.
        max_open: open spans that are remembered.
    """

    def __init__(
        self,
        ledger: Ledger,
        prices: PriceBook,
        attribute: Callable[[Context | None], Attribution | None] = nobody,
        *,
        own_scope: str = "kaizen_otel",
        max_open: int = MAX_OPEN,
    ) -> None:
        """Start with no span open."""
        self._ledger = ledger
        self._prices = prices
        self._attribute = attribute
        self._own_scope = own_scope
        # Recognised by identity, since a tracer has only one; nobody's until the first is seen.
        self._seen_own_scope: object = object()
        self._open: Recent[_Open] = Recent(max_open)
        self._counted: Recent[bool] = Recent(max_open)
        begin_anew_in_children(self)

    def after_fork_in_child(self) -> None:
        """Forget the parent's open spans: they end there."""
        self._open.clear()
        self._counted.clear()

    def started(self, span: Span, context: Context | None) -> None:
        """Remember a span that starts in this context (None: the current one)."""
        opened_spans = self._open
        if not (span.instrumentation_scope is self._seen_own_scope or self._is_ours(span)):
            opened_spans.put(span.context.span_id, _Open(span.parent, self._attribute(context)))
        elif opened_spans.young or opened_spans.old:
            # Ours are links of the chain only where something of another library is above them.
            parent = span.parent
            if parent is not None and opened_spans.get(parent.span_id) is not None:
                opened_spans.put(span.context.span_id, _Open(parent, None))

    def ended(self, span: ReadableSpan) -> CallRecord | None:
        """Count an ended span when it is a model call that nobody else counts. Gives its record, else None."""
        opened_spans = self._open
        ours = span.instrumentation_scope is self._seen_own_scope
        if ours and not (opened_spans.young or opened_spans.old):
            return None
        span_id = span.context.span_id
        opened = opened_spans.pop(span_id)
        if opened is None:  # ours, or it started before we watched
            if ours or self._is_ours(span):
                return None
            opened = _Open(span.parent, NOBODY)
        attribution = opened.attribution
        if attribution is None:
            return None
        call = read_model_call(span)
        if call is None or self._counted_above(opened.parent):
            return None
        self._counted.put(span_id, True)
        if opened.parent is not None:
            self.claim(opened.parent.span_id)
        record = self._record(span, call, attribution)
        self._ledger.add_call(record, attribution.tallies)
        return record

    def claim(self, span_id: int) -> None:
        """Say that a call below this span is counted: no open span from here up is counted as well."""
        for _ in range(MAX_DEPTH):
            opened = self._open.get(span_id)
            if opened is None:
                return
            opened.attribution = None
            if opened.parent is None:
                return
            span_id = opened.parent.span_id

    @property
    def watching(self) -> bool:
        """Whether any span is open that a call of ours could be below."""
        return bool(self._open.young or self._open.old)

    def _is_ours(self, span: ReadableSpan) -> bool:
        scope = span.instrumentation_scope
        ours = scope is not None and scope.name == self._own_scope
        if ours:
            self._seen_own_scope = scope
        return ours

    def _counted_above(self, parent: SpanContext | None) -> bool:
        """Whether a span from here up has ended before the one below it, and was counted."""
        if not (self._counted.young or self._counted.old):
            return False
        for _ in range(MAX_DEPTH):
            if parent is None:
                return False
            span_id = parent.span_id
            if self._counted.get(span_id):
                return True
            opened = self._open.get(span_id)
            if opened is None:
                return False
            parent = opened.parent
        return False

    def _record(self, span: ReadableSpan, call: ModelCall, attribution: Attribution) -> CallRecord:
        start_ns = span.start_time or 0
        provider, requested = call.provider, call.request_model
        answered_by = call.response_model or requested
        context = span.context
        record = _new(CallRecord)
        record.operation = call.operation
        record.provider = provider or UNKNOWN_PROVIDER
        record.model = requested or answered_by or UNKNOWN_MODEL
        record.agent_name = attribution.agent_name
        record.usage = call.usage
        record.price = self._prices.price(provider, answered_by, call.usage, start_ns or None, requested)
        record.start_time_ns = start_ns
        record.duration_ns = max((span.end_time or start_ns) - start_ns, 0)
        record.error_type = call.error_type
        record.execution_id = attribution.execution_id
        record.trace_id = context.trace_id
        record.span_id = context.span_id
        return record
