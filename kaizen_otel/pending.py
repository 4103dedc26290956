"""What runs for long is told of before it ends (`pending_spans_s`): placeholders, sent on a tick.

A tick looks at the operations that run. One that has run for the interval is told of by a placeholder; an execution
again each time that the time it has run for has doubled, with what it has used by then. Nothing of this happens in a
user's call, and nothing passes the pipeline: placeholders go straight to our own ways out, and are never counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext

from kaizen_processors.chance import OwnIdGenerator
from kaizen_processors.export.placeholders import Placeholder
from kaizen_processors.forking import begin_anew_in_children

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kaizen_otel.invocations.base import Invocation
    from kaizen_otel.telemetry import Telemetry

    Destinations = Callable[[], Iterable[Callable[[ReadableSpan], object]]]

MAX_TOLD: Final = 1_000
"""Running operations that have placeholders at a time, and placeholders sent in one tick; the oldest come first."""

_NS_PER_S: Final = 1_000_000_000


class _Told:
    """The placeholder of one operation, and after how long it is told of again."""

    __slots__ = ("again_ns", "context", "depth")

    def __init__(self, context: SpanContext, depth: int, again_ns: int) -> None:
        self.context = context
        self.depth = depth
        self.again_ns = again_ns


class PendingSpans:
    """Tells of what runs.

    Args:
        telemetry: whose operations.
        interval_s: after how many seconds an operation is told of.
        destinations: gives the ways out, at each tick.
    """

    def __init__(self, telemetry: Telemetry, interval_s: float, destinations: Destinations) -> None:
        """Tell of nothing before the first tick."""
        self._telemetry = telemetry
        self._interval_ns = round(interval_s * _NS_PER_S)
        self._destinations = destinations
        self._ids = telemetry.settings.id_generator or OwnIdGenerator()
        self.sent = 0
        self.watchers: list[Callable[[ReadableSpan], object]] = []
        """Who else is given each placeholder: tests."""
        self.after_fork_in_child()
        begin_anew_in_children(self)

    def after_fork_in_child(self) -> None:
        """Begin with nothing told: what runs in the parent is the parent's to tell of."""
        self._told: dict[Invocation, _Told] = {}

    def wake(self) -> None:
        """See that ticks happen: an operation begins that may run for long."""
        if self._telemetry.settings.clock is None:
            self._telemetry.performance.ticker.start()

    def tick(self) -> None:
        """Tell of what has run for long enough. For the ticker."""
        telemetry = self._telemetry
        running = telemetry.running.oldest_first()
        self._forget(running)
        ways_out = [*self._destinations(), *self.watchers]
        if not ways_out:
            return
        now_ns = telemetry.clock.monotonic_ns()
        left = MAX_TOLD
        for invocation in running:
            elapsed_ns = now_ns - invocation.mono_ns
            if elapsed_ns < self._interval_ns or not left:
                return  # and so are all that began later
            with telemetry.fence("pending.tell"):
                placeholder = self._due(invocation, elapsed_ns)
                if placeholder is not None:
                    left -= 1
                    self._send(placeholder.made(), ways_out)

    def stats(self) -> dict[str, int]:
        """How many operations have placeholders now, and how many placeholders were sent."""
        return {"told": len(self._told), "sent": self.sent}

    def _forget(self, running: list[Invocation]) -> None:
        for ended in self._told.keys() - set(running):
            del self._told[ended]

    def _send(self, span: ReadableSpan, ways_out: list[Callable[[ReadableSpan], object]]) -> None:
        self.sent += 1
        for send in ways_out:
            with self._telemetry.fence("pending.send"):
                send(span)

    def _due(self, invocation: Invocation, elapsed_ns: int) -> Placeholder | None:
        span: Any = invocation.span
        # The span of another SDK, or one that the sampler dropped, cannot be told of.
        if not isinstance(span, ReadableSpan) or not invocation.is_sampled or invocation.ended:
            return None
        told = self._told.get(invocation)
        if told is None:
            return self._first(invocation, span, elapsed_ns)
        if elapsed_ns < told.again_ns or invocation.tally_so_far() is None:
            return None
        told.again_ns = self._after(elapsed_ns)
        return self._placeholder(invocation, span, told.context, told.depth + 1, elapsed_ns, started_ago_ns=0)

    def _first(self, invocation: Invocation, span: ReadableSpan, elapsed_ns: int) -> Placeholder | None:
        if len(self._told) >= MAX_TOLD:
            return None
        own = span.get_span_context()
        if own is None:
            return None
        above = self._told_above(invocation)
        parent, depth = (own, 0) if above is None else (above.context, above.depth + 1)
        placeholder = self._placeholder(invocation, span, parent, depth, elapsed_ns)
        context = SpanContext(own.trace_id, placeholder.span_id, is_remote=False, trace_flags=own.trace_flags)
        self._told[invocation] = _Told(context, depth, self._after(elapsed_ns))
        return placeholder

    def _placeholder(
        self,
        invocation: Invocation,
        span: ReadableSpan,
        parent: SpanContext,
        depth: int,
        elapsed_ns: int,
        started_ago_ns: int | None = None,
    ) -> Placeholder:
        tally = invocation.tally_so_far()
        return Placeholder(
            span,
            self._ids.generate_span_id(),
            parent,
            depth=depth,
            elapsed_ns=elapsed_ns,
            started_ago_ns=started_ago_ns,
            sums=None if tally is None else self._telemetry.ledger.snapshot_tallies(tally)[0],
        )

    def _told_above(self, invocation: Invocation) -> _Told | None:
        """The placeholder that this one's hangs below: of the nearest operation above, in its trace, that has one."""
        trace_id = invocation.span.get_span_context().trace_id
        above = invocation.timed
        while above is not None:
            told = self._told.get(above)
            if told is not None and told.context.trace_id == trace_id:
                return told
            above = above.timed
        return None

    def _after(self, elapsed_ns: int) -> int:
        """The next of the interval's doublings: 1, 2, 4, 8 … intervals."""
        again_ns = self._interval_ns
        while again_ns <= elapsed_ns:
            again_ns *= 2
        return again_ns
