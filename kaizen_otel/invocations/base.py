"""The life of one operation: begin, become current, observe, finish exactly once.

An invocation knows OpenTelemetry and nothing of Kaizen; a patch knows Kaizen and nothing of OpenTelemetry. A patch
asks the `Telemetry` for an invocation, runs the user's call inside it, and hands over what it saw as lambdas, which
are evaluated behind the fence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, SpanKind, Status, StatusCode

from kaizen_otel.invocations.failure import Failure
from kaizen_otel.invocations.scope import ATTRIBUTES_KEY, Scope, attach, context_of, detach, with_scope
from kaizen_semconv import attributes as k
from kaizen_semconv import gen_ai as g

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from opentelemetry.trace import Span, Tracer
    from opentelemetry.util.types import AttributeValue

    from kaizen_otel.invocations.extent import Extent
    from kaizen_otel.invocations.scope import Attached
    from kaizen_otel.telemetry import Telemetry
    from kaizen_processors.ledger import Tally
    from kaizen_semconv.attributes import KaizenSpanAbandoned

Attributes = dict[str, "AttributeValue"]

_NOWHERE = Context()


class Invocation(Scope):
    """One operation with a span. Used as a context manager around the user's call; never swallows its exception.

    Times: the wall clock is read once at the top of a tree; everything below is that reading plus monotonic time, so
    that a clock step bends no duration and reorders no tree.
    """

    __slots__ = ("_attached", "_context", "_ended", "failure", "mono_ns", "span", "start_time_ns", "telemetry")

    is_operation: ClassVar[bool] = True
    kind: ClassVar[str] = "operation"
    span_kind: ClassVar[SpanKind] = SpanKind.INTERNAL

    def __init__(self, telemetry: Telemetry, parent: Scope | None) -> None:
        """Prepare; nothing is observable before `begin`."""
        super().__init__(parent)
        self.telemetry = telemetry
        self.span: Span = INVALID_SPAN
        self.failure: Failure | None = None
        self.start_time_ns = 0
        self.mono_ns = 0  # when it began, on the monotonic clock
        self._ended = False
        self._attached: Attached | None = None
        self._context: Context | None = None

    # -- what a subclass says -------------------------------------------------------------------------------------

    def span_name(self) -> str:
        """Low-cardinality name of the span."""
        raise NotImplementedError

    def start_attributes(self) -> Attributes:
        """Attributes that a sampler may want, set when the span starts."""
        return {}

    def end_attributes(self) -> Attributes:
        """Attributes set once, before the span ends."""
        return {}

    def tally_so_far(self) -> Tally | None:
        """Sums over this operation and everything below it, while it runs; None where nobody adds them up."""
        return None

    def on_finish(self, duration_ns: int) -> None:
        """Account for the finished operation; runs before the span's last attributes are set."""

    def on_ended(self, duration_ns: int) -> None:
        """Record metrics and hand records over, after the span has ended."""

    @property
    def recorded(self) -> Extent:
        """How much is recorded here: as the agent says that it belongs to, else as the settings say."""
        return self.extent or self.telemetry.extent

    # -- the life -------------------------------------------------------------------------------------------------

    def begin(self) -> Self:
        """Start the span. Called once, behind the fence."""
        telemetry = self.telemetry
        clock, providers = telemetry.clock, telemetry.providers
        self.mono_ns = now_ns = clock.monotonic_ns()
        above = self.timed
        if above is not None and above.mono_ns:
            self.start_time_ns = above.start_time_ns + (now_ns - above.mono_ns)
        else:
            above = None
            self.start_time_ns = clock.time_ns()
            if telemetry.pending is not None:
                telemetry.pending.wake()
        around = self.around()
        # A sampler, an id generator or a processor of the application's may raise: then there is no span, but the
        # operation is still accounted for.
        try:
            if above is None and not providers.settled:
                providers.look_again()
            if providers.tracer is not None:
                self.span = self._start_span(providers.tracer, around)
        except Exception as error:  # noqa: BLE001 - the fence, as cheap as it gets
            telemetry.fence.caught("span.start", error)
        self._context = context_of(self, self.span, around)
        telemetry.running.open[self] = True
        return self

    def around(self) -> Context:
        """The context that this operation begins in; its span is the parent."""
        return otel_context.get_current()

    def _start_span(self, tracer: Tracer, around: Context) -> Span:
        attributes = self.start_attributes()
        said: Any = around.get(ATTRIBUTES_KEY)  # an `InForce`, put there by nobody else
        if said is not None:
            said.add_to(attributes)
        return tracer.start_span(self.span_name(), around, self.span_kind, attributes, start_time=self.start_time_ns)

    def context(self) -> Context:
        """The context in which this operation is the current one, while it lasts."""
        return self._context or _NOWHERE

    def __enter__(self) -> Self:
        self._attached = attach(self._context or _NOWHERE, self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        attached, self._attached = self._attached, None
        try:
            self.finish(error)
        finally:
            if attached is not None:
                detach(attached)

    def observe(self, see: Callable[[Self], object]) -> None:
        """Let a patch report what it saw, behind the fence."""
        try:
            see(self)
        except Exception as error:  # noqa: BLE001 - the fence
            self.telemetry.fence.caught(f"{self.kind}.observe", error)

    def failed_with(self, error_type: str, message: str = "") -> None:
        """Note an error that Kaizen returned instead of raising."""
        self.failure = Failure(error_type, message)

    def failure_message(self) -> str | None:
        """What the error says, as it may leave the process: providers quote what they were sent."""
        failure = self.failure
        return None if failure is None or failure.cancelled else self.telemetry.content.redacted(failure.message)

    def finish(self, error: BaseException | None = None) -> None:
        """End the operation once; later calls do nothing. Never raises."""
        running = self.telemetry.running
        if self._ended or (not running.open.pop(self, False) and running.closing):
            return  # in the second case whoever closes what runs has it in hand
        self._end(error)

    def abandon(self, reason: KaizenSpanAbandoned) -> None:
        """End an operation that did not come to its end. Only for whoever took it out of those that run."""
        attached = attach(self.context(), self)
        try:
            self.failure = Failure.by_abandonment(reason.value, self.failure)
            self._end(None)
        finally:
            detach(attached)

    def _end(self, error: BaseException | None) -> None:
        self._ended = True
        fence = self.telemetry.fence
        duration_ns = 0
        # Each step stands alone: whichever fails, the operation is counted, its span ends, its record is handed over.
        try:
            duration_ns = self.telemetry.clock.monotonic_ns() - self.mono_ns
        except Exception as failed:  # noqa: BLE001 - the fence
            fence.caught("clock", failed)
        duration_ns = max(duration_ns, 0)
        try:
            if error is not None:
                self.failure = Failure.of(error)
            self.on_finish(duration_ns)
            if self.parent is not None:
                self.parent.child_finished(self)
        except Exception as failed:  # noqa: BLE001 - the fence
            fence.caught(f"{self.kind}.finish", failed)
        finally:
            if self.span is not INVALID_SPAN:
                self._end_span(self.span, duration_ns)
        try:
            self.on_ended(duration_ns)
        except Exception as failed:  # noqa: BLE001 - the fence
            fence.caught(f"{self.kind}.ended", failed)
        self._context = None  # it holds this very object

    @property
    def ended(self) -> bool:
        """Whether `finish` was called."""
        return self._ended

    @property
    def is_sampled(self) -> bool:
        """Whether it has a span that leaves the process."""
        return self.span is not INVALID_SPAN and self.span.get_span_context().trace_flags.sampled

    def _end_span(self, span: Span, duration_ns: int) -> None:
        try:
            try:
                if span.is_recording():
                    self._describe(span)
            finally:
                span.end(self.start_time_ns + duration_ns)
        except Exception as failed:  # noqa: BLE001 - the fence
            self.telemetry.fence.caught("span.end", failed)

    def _describe(self, span: Span) -> None:
        attributes = self.end_attributes()
        failure = self.failure
        if failure is not None:
            self._describe_failure(span, failure, attributes)
        if attributes:
            span.set_attributes(attributes)

    def _describe_failure(self, span: Span, failure: Failure, attributes: Attributes) -> None:
        if failure.abandoned is not None:
            attributes[k.KAIZEN_SPAN_ABANDONED] = failure.abandoned
        if failure.cancelled:
            return
        attributes[g.ERROR_TYPE] = failure.error_type
        if failure.http_status is not None:
            attributes[g.HTTP_RESPONSE_STATUS_CODE] = failure.http_status
        span.set_status(Status(StatusCode.ERROR, self.failure_message()))


class NullInvocation:
    """Stands in where an invocation could not begin, or where nothing is to be recorded: every step does nothing."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def observe(self, see: Callable[[Any], object]) -> None:
        """Ignore what was seen."""

    def finish(self, error: BaseException | None = None) -> None:
        """End nothing."""

    def context(self) -> Context | None:
        """The context that what runs below needs; None: the one that is current anyway."""
        return None


NULL_INVOCATION = NullInvocation()


class SilentInvocation(NullInvocation):
    """Records nothing, and lets nothing below it be recorded."""

    __slots__ = ("_attached", "_scope")

    def __init__(self, scope: Scope) -> None:
        """Hold the scope that says so."""
        self._scope = scope
        self._attached: Attached | None = None

    def context(self) -> Context:
        """A context in which nothing is recorded."""
        return with_scope(self._scope)

    def __enter__(self) -> Self:
        self._attached = attach(self.context(), self._scope)
        return self

    def __exit__(self, *_: object) -> None:
        attached, self._attached = self._attached, None
        if attached is not None:
            detach(attached)


class CarriedContext(NullInvocation):
    """Records nothing; what runs below finds the context of where it was asked for, whichever thread runs it."""

    __slots__ = ("_context",)

    def __init__(self, context: Context) -> None:
        """Carry this context."""
        self._context = context

    def context(self) -> Context:
        """The context that is carried."""
        return self._context
