"""Names on the wire for requests to MCP servers, at both ends: the same in every pinned version of the conventions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.trace import INVALID_SPAN

from kaizen_semconv import gen_ai as g

if TYPE_CHECKING:
    from kaizen_otel.invocations.base import Attributes, Invocation
    from kaizen_otel.invocations.failure import Failure
    from kaizen_otel.invocations.mcp import McpInvocation, McpRequest
    from kaizen_otel.invocations.mcp_server import McpServerInvocation
    from kaizen_otel.telemetry import Telemetry

_NS = 1e9


class McpEmitter:
    """The part of an emitter that is about the Model Context Protocol."""

    _telemetry: Telemetry

    def mcp_start(self, request: McpRequest) -> Attributes:
        """Which method, of which server."""
        return {**self._target(request)}

    def _target(self, request: McpRequest) -> dict[str, str | int]:
        server = request.server
        known: dict[str, str | int | None] = {
            g.MCP_METHOD_NAME: request.method,
            g.GEN_AI_PROMPT_NAME: request.prompt,
            g.NETWORK_TRANSPORT: server.transport,
            g.NETWORK_PROTOCOL_NAME: server.protocol,
            g.SERVER_ADDRESS: server.address,
            g.SERVER_PORT: server.port,
        }
        return {name: value for name, value in known.items() if value is not None}

    def mcp_end(self, request: McpRequest) -> Attributes:
        """Which request of which session, the server's error code, and the URI, which is content of a kind."""
        uri = request.resource_uri
        known = {
            g.JSONRPC_REQUEST_ID: request.request_id,
            g.MCP_SESSION_ID: request.session_id,
            g.MCP_PROTOCOL_VERSION: request.protocol_version,
            g.RPC_RESPONSE_STATUS_CODE: request.status_code,
            g.MCP_RESOURCE_URI: None if uri is None else self._telemetry.content.redacted(uri),
        }
        return {name: value for name, value in known.items() if value is not None}

    def mcp_server_start(self, request: McpRequest) -> Attributes:
        """Which method, and of which tool."""
        return {**self._target(request), **_tool(request)}

    def mcp_metrics(self, call: McpInvocation, duration_ns: int) -> None:
        """Duration of the request; of a tool call, too, whose span is the tool's."""
        instruments = self._telemetry.metrics.instruments
        if instruments is not None:
            spanned = call.tool if call.tool is not None else call
            self._record(instruments.mcp_client_duration, call, spanned, duration_ns)

    def mcp_server_metrics(self, call: McpServerInvocation, duration_ns: int) -> None:
        """Duration of the request, from its arrival."""
        instruments = self._telemetry.metrics.instruments
        if instruments is not None:
            self._record(instruments.mcp_server_duration, call, call, duration_ns)

    def _record(
        self, histogram: Any, call: McpInvocation | McpServerInvocation, spanned: Invocation, duration_ns: int
    ) -> None:
        if not self._telemetry.settings.durations:
            return
        context = None if spanned.span is INVALID_SPAN else call.context()
        labels = self._labels(call.request, call.failure)
        recorder = self._telemetry.metrics.recorders.of(call.recorded)
        recorder.run(histogram.record, duration_ns / _NS, labels, context)

    def _labels(self, request: McpRequest, failure: Failure | None) -> dict[str, str | int]:
        labels = {**self._target(request), **_tool(request)}
        if request.protocol_version is not None:
            labels[g.MCP_PROTOCOL_VERSION] = request.protocol_version
        if request.status_code is not None:
            labels[g.RPC_RESPONSE_STATUS_CODE] = request.status_code
        if failure is not None and not failure.cancelled:
            labels[g.ERROR_TYPE] = failure.error_type
        return labels


def _tool(request: McpRequest) -> dict[str, str]:
    if request.tool is None:
        return {}
    return {g.GEN_AI_OPERATION_NAME: g.GenAiOperationName.EXECUTE_TOOL.value, g.GEN_AI_TOOL_NAME: request.tool}
