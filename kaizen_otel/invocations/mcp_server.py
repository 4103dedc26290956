"""Kailash as an MCP server: one request that came from a client, and whose trace goes on here.

A call of a tool is a server span `tools/call {tool}`; what the tool does, an agent's run for one, hangs below it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from opentelemetry import context as otel_context
from opentelemetry.propagate import extract
from opentelemetry.trace import INVALID_SPAN, SpanKind, get_current_span

from kaizen_otel.invocations.base import Attributes, Invocation
from kaizen_otel.invocations.failure import Failure
from kaizen_otel.invocations.origin import link_to
from kaizen_otel.invocations.workflow import records_nodes

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer

    from kaizen_otel.invocations.mcp import McpRequest
    from kaizen_otel.telemetry import Telemetry

UNANSWERED = "unanswered"
"""In place of an exception's class: the client called the request off, and nobody answered it."""


class McpServerInvocation(Invocation):
    """One request of a client, from its arrival to its answer. It belongs to no execution of this process."""

    __slots__ = ("_carrier", "answered", "arguments", "request", "result")

    kind: ClassVar[str] = "mcp_server"
    span_kind: ClassVar[SpanKind] = SpanKind.SERVER

    def __init__(self, telemetry: Telemetry, request: McpRequest, carrier: dict[str, str]) -> None:
        """Prepare; `carrier` holds what the client's propagators wrote into the message."""
        super().__init__(telemetry, None)
        self.request = request
        self.arguments: object = None
        self.result: object = None
        self.answered = False
        self._carrier = carrier

    def around(self) -> Context:
        """The client's context on top of the one that is current: without a span of its own this one's stays."""
        here = otel_context.get_current()
        return extract(self._carrier, here) if self._carrier else here

    def _start_span(self, tracer: Tracer, around: Context) -> Span:
        if not records_nodes(self):
            return INVALID_SPAN
        span = super()._start_span(tracer, around)
        here = otel_context.get_current()
        if get_current_span(here) is not get_current_span(around):
            link_to(span, here)  # what received the message, as a server of HTTP
        return span

    def span_name(self) -> str:
        """`{method} {target}`: a tool or a prompt; never a URI, of which there may be any number."""
        request = self.request
        target = request.tool or request.prompt
        return f"{request.method} {target}" if target else request.method

    def start_attributes(self) -> Attributes:
        """What is asked for."""
        return self.telemetry.emitter.mcp_server_start(self.request)

    def end_attributes(self) -> Attributes:
        """What came of the request; arguments and result of a tool, where content is recorded."""
        telemetry = self.telemetry
        if self.request.tool is not None and self.recorded.captures:
            with telemetry.fence("content"):
                telemetry.content.describe_tool(self, self.span)
        return telemetry.emitter.mcp_end(self.request)

    def refused(self, code: int, message: str) -> None:
        """Note the JSON-RPC error that is the answer."""
        self.request.status_code = str(code)
        self.failed_with(self.request.status_code, message)

    def on_finish(self, duration_ns: int) -> None:  # noqa: ARG002 - the hook's signature
        """A request that ends without an answer was called off."""
        if not self.answered and self.failure is None:
            self.failure = Failure(UNANSWERED, cancelled=True)

    def on_ended(self, duration_ns: int) -> None:
        """Record the duration."""
        self.telemetry.emitter.mcp_server_metrics(self, duration_ns)
        self.arguments = self.result = None
