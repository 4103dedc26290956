"""A model call: chat or embeddings. The one place where tokens become money and are accounted for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from opentelemetry.trace import INVALID_SPAN, INVALID_SPAN_CONTEXT, SpanKind

from kaizen_otel.invocations.base import Attributes, Invocation
from kaizen_otel.invocations.scope import ExecutionScope
from kaizen_processors.execution import NO_AGENT, UNKNOWN_MODEL, CallRecord
from kaizen_processors.pricing.price import MISSING_PRICE, SOURCE_OVERRIDE
from kaizen_processors.usage import Usage
from kaizen_semconv.attributes import KaizenCallOutcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from kaizen_otel.invocations.scope import Scope
    from kaizen_otel.telemetry import Telemetry
    from kaizen_processors.pricing import Price
    from kaizen_semconv.attributes import KaizenSpanAbandoned

UNKNOWN_PROVIDER = "unknown"

_new: Final = object.__new__
"""Makes a record whose fields are set one by one: by keywords it takes seven times as long (1.5 µs)."""


class CallRequest:
    """What is known of a model call before it is made. Values are already safe (see `values`)."""

    __slots__ = (
        "expects_json",
        "instructions_apart",
        "messages",
        "model",
        "operation",
        "parameters",
        "provider",
        "server_address",
        "server_port",
        "streaming",
        "tools",
    )

    def __init__(  # noqa: PLR0913 - a record: each argument is a field
        self,
        operation: str,
        provider: str | None,
        model: str | None,
        *,
        server_address: str | None = None,
        server_port: int | None = None,
        streaming: bool = False,
        expects_json: bool = False,
        parameters: Callable[[], Attributes] | None = None,
        messages: object = None,
        tools: object = None,
        instructions_apart: Callable[[], bool] | None = None,
    ) -> None:
        """Hold the request.

        `parameters` are asked for by a span that records; `messages` stay untouched, and `instructions_apart` (whether
        the provider is sent the system messages apart from the others) is asked where they are recorded.
        """
        self.operation = operation
        self.provider = provider or UNKNOWN_PROVIDER
        self.model = model or None
        self.server_address = server_address
        self.server_port = server_port
        self.streaming = streaming
        self.parameters = parameters
        self.messages = messages
        self.expects_json = expects_json
        self.tools = tools
        self.instructions_apart = instructions_apart


class CallInvocation(Invocation):
    """One model call and its span `chat {model}` or `embeddings {model}`.

    A patch fills the response fields in as it sees them; what stays None was not reported.
    """

    __slots__ = (
        "execution",
        "finish_reasons",
        "first_chunk_ns",
        "outcome",
        "output",
        "payload_read",
        "price",
        "record",
        "reported_cost",
        "request",
        "response_id",
        "response_model",
        "usage",
    )

    kind: ClassVar[str] = "call"
    span_kind: ClassVar[SpanKind] = SpanKind.CLIENT

    def __init__(self, telemetry: Telemetry, parent: Scope | None, request: CallRequest) -> None:
        """Prepare the call."""
        super().__init__(telemetry, parent)
        account = self.account
        self.execution = account if isinstance(account, ExecutionScope) else None  # not an evaluator
        self.request = request
        self.usage = Usage()
        self.price: Price | None = None
        self.record: CallRecord | None = None
        self.response_id: str | None = None
        self.response_model: str | None = None
        self.finish_reasons: tuple[str, ...] = ()
        self.first_chunk_ns: int | None = None
        self.outcome: str | None = None
        self.output: object = None
        self.reported_cost: Any = None  # US dollars, as the provider put them into its answer
        self.payload_read = False  # whether the provider's own payload was read: it says more than Kaizen's answer

    def begin(self) -> Self:
        """Start the span and tell the scopes above that a call is open."""
        super().begin()
        self.telemetry.ledger.open_call(self.tallies)
        return self

    def span_name(self) -> str:
        """`{operation} {model}`."""
        request = self.request
        return f"{request.operation} {request.model}" if request.model else request.operation

    def parameters(self) -> Attributes:
        """The `gen_ai.request.*` attributes: read only now that a span asks, and apart, since they are the user's."""
        read = self.request.parameters
        if read is not None:
            try:
                return read()
            except Exception as error:  # noqa: BLE001 - the fence, as cheap as it gets
                self.telemetry.fence.caught("call.parameters", error)
        return {}

    def start_attributes(self) -> Attributes:
        """What samplers may want."""
        return self.telemetry.emitter.call_start(self)

    def first_chunk(self) -> None:
        """Note that the first chunk of the answer arrived now."""
        self.first_chunk_ns = self.telemetry.clock.monotonic_ns() - self.mono_ns

    def on_finish(self, duration_ns: int) -> None:
        """Price the call and count it in the ledger and in every scope above it."""
        telemetry = self.telemetry
        request, usage, failure, execution = self.request, self.usage, self.failure, self.execution
        answered_by = self.response_model or request.model
        try:
            price = telemetry.prices.price(request.provider, answered_by, usage, self.start_time_ns, request.model)
            if self.reported_cost is not None and price.source != SOURCE_OVERRIDE:
                reported = telemetry.prices.reported(self.reported_cost)
                price = price if reported.amount is None else reported
        except Exception as error:  # noqa: BLE001 - the fence
            telemetry.fence.caught("price", error)
            price = MISSING_PRICE
        self.price = price
        if failure is not None and failure.cancelled and self.outcome is None:
            self.outcome = KaizenCallOutcome.CANCELLED.value
        span_context = INVALID_SPAN_CONTEXT if self.span is INVALID_SPAN else self.span.get_span_context()
        self.record = record = _new(CallRecord)
        record.operation = request.operation
        record.provider = request.provider
        record.model = request.model or answered_by or UNKNOWN_MODEL
        record.agent_name = NO_AGENT if self.account is None else self.account.agent_name
        record.usage = usage
        record.price = price
        record.start_time_ns = self.start_time_ns
        record.duration_ns = duration_ns
        record.error_type = None if failure is None else failure.error_type
        record.execution_id = None if execution is None else execution.execution_id
        record.trace_id = span_context.trace_id
        record.span_id = span_context.span_id
        telemetry.ledger.add_call(record, self.tallies, opened=True)
        if execution is not None:
            execution.call_finished(self)

    def abandon(self, reason: KaizenSpanAbandoned) -> None:
        """End a call whose answer, or the rest of it, nobody waited for."""
        if self.outcome is None:
            self.outcome = KaizenCallOutcome.ABANDONED.value
        super().abandon(reason)

    def end_attributes(self) -> Attributes:
        """Response, usage, price."""
        telemetry = self.telemetry
        attributes = telemetry.emitter.call_end(self)
        if self.recorded.captures:
            with telemetry.fence("content"):
                telemetry.content.describe_call(self, self.span, attributes)
        return attributes

    def on_ended(self, duration_ns: int) -> None:  # noqa: ARG002 - the hook's signature
        """Record the client metrics and hand the record over."""
        telemetry = self.telemetry
        record = self.record
        if record is None:
            return
        try:
            telemetry.emitter.call_metrics(self, record)
        except Exception as error:  # noqa: BLE001 - the fence
            telemetry.fence.caught("metrics", error)
        telemetry.pipeline.call_finished(record)
        # A context that outlives the call (of a task started in it) must not keep a conversation in memory.
        request = self.request
        self.output = request.messages = request.tools = None
        request.parameters = request.instructions_apart = None
