"""Kaizen as a client of MCP servers: one request to a server, and the scope in which such requests are made.

A request that calls a tool has no span of its own: the `execute_tool` span around it carries what is known of it, as
the conventions ask. Every other request is a client span `{method} {prompt}`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NamedTuple

from opentelemetry.trace import INVALID_SPAN, SpanKind

from kaizen_otel.invocations.base import Attributes, Invocation
from kaizen_otel.invocations.failure import Failure, is_cancellation
from kaizen_otel.invocations.scope import Scope
from kaizen_otel.invocations.workflow import records_nodes

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer

    from kaizen_otel.invocations.workflow import ToolInvocation
    from kaizen_otel.telemetry import Telemetry

    ReadError = Callable[[BaseException], "tuple[int, str] | None"]


class McpServer(NamedTuple):
    """Where requests go, as the conventions tell it: `network.transport`, `network.protocol.name`, `server.*`."""

    transport: str | None = None
    protocol: str | None = None
    address: str | None = None
    port: int | None = None


class McpClientScope(Scope):
    """Kaizen at work as the client of one MCP server.

    Only requests made right inside such a scope are watched: an application's own use of the MCP SDK is none of ours.
    """

    __slots__ = ("asked", "connects", "cut", "read_session_id", "server", "tool")

    def __init__(self, parent: Scope | None, server: McpServer, tool: ToolInvocation | None = None) -> None:
        """Talk to this server; `tool` is the call of a tool that a `tools/call` in here is the transport of."""
        super().__init__(parent)
        self.server = server
        self.tool = tool
        self.read_session_id: Callable[[], object] | None = None
        """Where the transport keeps the identity of its session, for those that have one."""
        self.connects = False
        """Whether somebody waits to tell what is raised while the client connects."""
        self.asked = False
        """Whether there was a request, which tells by itself what becomes of it."""
        self.cut: McpInvocation | None = None
        """A request that was cut short, and may be so because its transport broke: whoever waits ends it."""

    def wait(self) -> bool:
        """Wait for what is raised while the client connects, from now on; whether somebody did already."""
        before = self.connects
        self.connects, self.asked, self.cut = True, False, None
        return before


class McpRequest:
    """What is known of one JSON-RPC request. Values are already safe (see `values`)."""

    __slots__ = (
        "method",
        "prompt",
        "protocol_version",
        "request_id",
        "resource_uri",
        "server",
        "session_id",
        "status_code",
        "tool",
    )

    def __init__(  # noqa: PLR0913 - a record: each argument is a field
        self,
        method: str,
        server: McpServer,
        *,
        request_id: str | None = None,
        tool: str | None = None,
        prompt: str | None = None,
        resource_uri: str | None = None,
        protocol_version: str | None = None,
    ) -> None:
        """Hold the request; what comes with its answer is not known yet."""
        self.method = method
        self.server = server
        self.request_id = request_id
        self.tool = tool
        self.prompt = prompt
        self.resource_uri = resource_uri
        self.protocol_version = protocol_version
        self.session_id: str | None = None
        self.status_code: str | None = None


class McpInvocation(Invocation):
    """One request to an MCP server, from its sending to its answer."""

    __slots__ = ("_read_error", "request", "tool")

    kind: ClassVar[str] = "mcp"
    span_kind: ClassVar[SpanKind] = SpanKind.CLIENT

    def __init__(self, telemetry: Telemetry, scope: McpClientScope, request: McpRequest, read_error: ReadError) -> None:
        """Prepare; `read_error` tells code and message of the JSON-RPC error that an exception stands for, or None."""
        super().__init__(telemetry, scope)
        self.request = request
        self.tool = scope.tool if request.tool is not None else None
        self._read_error = read_error

    def _start_span(self, tracer: Tracer, around: Context) -> Span:
        if self.tool is not None or not records_nodes(self):
            return INVALID_SPAN
        return super()._start_span(tracer, around)

    def span_name(self) -> str:
        """`{method} {prompt}`; never with a URI, of which there may be any number."""
        request = self.request
        return f"{request.method} {request.prompt}" if request.prompt else request.method

    def start_attributes(self) -> Attributes:
        """What is asked of which server."""
        return self.telemetry.emitter.mcp_start(self.request)

    def end_attributes(self) -> Attributes:
        """What came with the answer, and the URI, which is content of a kind."""
        return self.telemetry.emitter.mcp_end(self.request)

    def finish(self, error: BaseException | None = None) -> None:
        """Read the server's own error out of the exception, then end as every operation does."""
        scope = self.parent
        cut = error is not None and is_cancellation(error)
        if cut and isinstance(scope, McpClientScope) and scope.connects and scope.cut is None:
            scope.cut = self
            return
        if error is not None and not self.ended:
            with self.telemetry.fence("mcp.error"):
                found = self._read_error(error)
                if found is not None:
                    self.request.status_code = str(found[0])
                    self.failed_with(self.request.status_code, found[1])
                    error = None
        super().finish(error)

    def on_finish(self, duration_ns: int) -> None:  # noqa: ARG002 - the hook's signature
        """Tell the tool that this was the transport of: the last attempt counts."""
        tool, failure = self.tool, self.failure
        if tool is not None:
            tool.mcp_request = self.request
            tool.request_failure = None if failure is None or failure.cancelled else failure

    def on_ended(self, duration_ns: int) -> None:
        """Record the duration."""
        self.telemetry.emitter.mcp_metrics(self, duration_ns)


class McpUnreached(McpInvocation):
    """The `initialize` that a client did not come to send: it could not start its server, or not connect to it."""

    __slots__ = ("_waited_since",)

    def __init__(self, telemetry: Telemetry, scope: McpClientScope, waited_since: int) -> None:
        """Begin where the client began to connect, on the monotonic clock; 0: it is not known."""
        super().__init__(telemetry, scope, McpRequest("initialize", scope.server), lambda _error: None)
        self._waited_since = waited_since

    def _start_span(self, tracer: Tracer, around: Context) -> Span:
        waited = self.mono_ns - self._waited_since if self._waited_since else 0
        self.mono_ns -= waited
        self.start_time_ns -= waited
        return super()._start_span(tracer, around)


def attempt_failed(tool: ToolInvocation, error: BaseException) -> None:
    """Note why an attempt to call a tool failed, unless its request has told: the client swallows the exception."""
    if tool.request_failure is None:
        failure = Failure.of(error)
        tool.request_failure = None if failure.cancelled else failure
