"""The making of an agent, span `create_agent {name}`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from opentelemetry.trace import Span, SpanKind

from kaizen_otel.invocations.base import Attributes, Invocation

if TYPE_CHECKING:
    from kaizen_otel.invocations.scope import Scope
    from kaizen_otel.telemetry import Telemetry


class CreateAgentInvocation(Invocation):
    """One agent being made; not an execution."""

    __slots__ = ("agent_name", "model", "provider")

    kind: ClassVar[str] = "create_agent"
    span_kind: ClassVar[SpanKind] = SpanKind.INTERNAL

    def __init__(
        self,
        telemetry: Telemetry,
        parent: Scope | None,
        *,
        agent_name: str | None,
        model: str | None,
        provider: str | None = None,
    ) -> None:
        """Prepare; the name may only be known once the agent is made."""
        super().__init__(telemetry, parent)
        self.agent_name = agent_name or None
        self.model = model or None
        self.provider = provider

    def span_name(self) -> str:
        """`create_agent {agent}`."""
        return f"create_agent {self.agent_name}" if self.agent_name else "create_agent"

    def start_attributes(self) -> Attributes:
        """Which agent."""
        return self.telemetry.emitter.create_agent_start(self)

    def made(self, agent_name: str | None) -> None:
        """Take the name that the framework gave."""
        self.agent_name = agent_name or self.agent_name

    def _describe(self, span: Span) -> None:
        span.update_name(self.span_name())
        super()._describe(span)

    def end_attributes(self) -> Attributes:
        """The final name."""
        return self.telemetry.emitter.create_agent_start(self)
