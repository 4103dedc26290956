"""What an agent asks of a store: the turns of a conversation, or documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from opentelemetry.trace import INVALID_SPAN

from kaizen_otel.invocations.base import Attributes, Invocation
from kaizen_otel.invocations.workflow import records_nodes

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer

    from kaizen_otel.invocations.scope import Scope
    from kaizen_otel.telemetry import Telemetry
    from kaizen_semconv.attributes import KaizenMemoryOperation


class StoreInvocation(Invocation):
    """One access: span `memory load`, `memory save`, or `retrieval` where documents are searched."""

    __slots__ = ("memory_operation", "results", "session_id", "store_type")

    kind: ClassVar[str] = "store"

    def __init__(
        self,
        telemetry: Telemetry,
        parent: Scope | None,
        *,
        store_type: str,
        memory_operation: KaizenMemoryOperation | None = None,
        session_id: str | None = None,
    ) -> None:
        """Prepare; without a `memory_operation` it is a search."""
        super().__init__(telemetry, parent)
        self.store_type = store_type
        self.memory_operation = memory_operation
        self.session_id = session_id
        self.results: int | None = None

    def _start_span(self, tracer: Tracer, around: Context) -> Span:
        """Stores have spans from monitoring level `standard` up."""
        return super()._start_span(tracer, around) if records_nodes(self) else INVALID_SPAN

    def span_name(self) -> str:
        """`memory {operation}` or `retrieval`; the class of the store is an attribute."""
        return self.telemetry.emitter.store_name(self)

    def start_attributes(self) -> Attributes:
        """Which store."""
        return self.telemetry.emitter.store_start(self)

    def end_attributes(self) -> Attributes:
        """How much was found."""
        return self.telemetry.emitter.store_end(self)
