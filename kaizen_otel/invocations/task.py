"""A workflow as a task in a queue: put there by one process, worked on by another."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NamedTuple

from opentelemetry.trace import SpanKind

from kaizen_otel.invocations.base import Attributes, Invocation
from kaizen_otel.invocations.origin import around_from, link_to
from kaizen_semconv.attributes import KaizenTaskOutcome
from kaizen_semconv.gen_ai import MessagingOperationType

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer

    from kaizen_otel.invocations.scope import Scope
    from kaizen_otel.telemetry import Telemetry


class Queue(NamedTuple):
    """Where tasks wait. Values are already safe (see `values`)."""

    name: str
    address: str | None = None
    port: int | None = None


class TaskInvocation(Invocation):
    """One operation on a task, span `{operation} {queue}`."""

    __slots__ = ("queue", "task_id")

    operation: ClassVar[MessagingOperationType]

    def __init__(self, telemetry: Telemetry, parent: Scope | None, queue: Queue, task_id: str | None) -> None:
        """Prepare."""
        super().__init__(telemetry, parent)
        self.queue = queue
        self.task_id = task_id

    def span_name(self) -> str:
        """`{operation} {queue}`."""
        return f"{self.operation.value} {self.queue.name}"

    def start_attributes(self) -> Attributes:
        """What is done, in which queue."""
        return self.telemetry.emitter.task_start(self)

    def end_attributes(self) -> Attributes:
        """Which task: its identity may be given while it is sent."""
        return self.telemetry.emitter.task_end(self)


class SendInvocation(TaskInvocation):
    """A task is put into a queue; what works on it goes on from here."""

    __slots__ = ()

    kind: ClassVar[str] = "send"
    span_kind: ClassVar[SpanKind] = SpanKind.PRODUCER
    operation: ClassVar[MessagingOperationType] = MessagingOperationType.SEND


class ProcessInvocation(TaskInvocation):
    """One attempt of a worker at a task."""

    __slots__ = ("attempt", "max_attempts", "origin", "settled")

    kind: ClassVar[str] = "process"
    span_kind: ClassVar[SpanKind] = SpanKind.CONSUMER
    operation: ClassVar[MessagingOperationType] = MessagingOperationType.PROCESS

    def __init__(  # noqa: PLR0913 - as the base, and the attempt
        self,
        telemetry: Telemetry,
        parent: Scope | None,
        queue: Queue,
        task_id: str | None,
        *,
        attempt: int,
        max_attempts: int | None,
        origin: Context | None,
    ) -> None:
        """Prepare; `origin` is the context that came with the task."""
        super().__init__(telemetry, parent, queue, task_id)
        self.attempt = attempt
        self.max_attempts = max_attempts
        self.origin = origin
        self.settled = False  # whether the worker told how the attempt ended

    def around(self) -> Context:
        """The sender's context, unless a span is current."""
        return around_from(self.origin)

    def _start_span(self, tracer: Tracer, around: Context) -> Span:
        span = super()._start_span(tracer, around)
        link_to(span, self.origin)
        return span

    @property
    def outcome(self) -> KaizenTaskOutcome | None:
        """What becomes of the task; None where the worker did not tell (before kailash 2.28), or was cut short."""
        if not self.settled:
            return None
        if self.failure is None:
            return KaizenTaskOutcome.COMPLETED
        if self.failure.cancelled or self.max_attempts is None:
            return None
        # The rule of the queue itself.
        given_up = self.attempt >= self.max_attempts
        return KaizenTaskOutcome.DEAD_LETTERED if given_up else KaizenTaskOutcome.REQUEUED
