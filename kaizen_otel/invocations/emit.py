"""Names on the wire: one emitter for each pinned version of the GenAI conventions.

Invocations hold what happened; only this file says which attribute it becomes. A later snapshot of the conventions is
a subclass that overrides what moved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.trace import INVALID_SPAN

from kaizen_otel.invocations.emit_mcp import McpEmitter
from kaizen_otel.invocations.emit_store import StoreEmitter
from kaizen_otel.invocations.emit_task import TaskEmitter
from kaizen_processors.money import to_float
from kaizen_semconv import DEFAULT_VERSION
from kaizen_semconv import attributes as k
from kaizen_semconv import gen_ai as g
from kaizen_semconv import metrics as m

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from kaizen_otel.invocations.agent import AgentInvocation
    from kaizen_otel.invocations.base import Attributes, Invocation
    from kaizen_otel.invocations.call import CallInvocation, CallRequest
    from kaizen_otel.invocations.create_agent import CreateAgentInvocation
    from kaizen_otel.invocations.workflow import ToolInvocation, WorkflowInvocation
    from kaizen_otel.telemetry import Telemetry
    from kaizen_processors.execution import CallRecord, ExecutionRecord
    from kaizen_processors.meters import Recording
    from kaizen_processors.pricing import Price
    from kaizen_processors.resources import ResourceUsage
    from kaizen_processors.usage import Usage

_NS = 1e9
_TOKEN_USAGE = m.GEN_AI_CLIENT_TOKEN_USAGE.name
_OPERATION_DURATION = m.GEN_AI_CLIENT_OPERATION_DURATION.name


class Emitter(McpEmitter, StoreEmitter, TaskEmitter):
    """The tagged 1.41 set of the GenAI conventions: the default."""

    version = 41
    cache_write_key: str = g.GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS

    def __init__(self, telemetry: Telemetry) -> None:
        """Emit for this telemetry."""
        self._telemetry = telemetry

    # -- model calls ----------------------------------------------------------------------------------------------

    def call_start(self, call: CallInvocation) -> Attributes:
        """Operation, provider, model, agent, server."""
        attributes: Attributes = _identity(call.request)
        if call.execution is not None:
            attributes[g.GEN_AI_AGENT_NAME] = call.execution.agent_name
        return attributes

    def call_end(self, call: CallInvocation) -> Attributes:
        """Parameters, response, usage and price."""
        attributes = call.parameters()
        if call.request.streaming:
            attributes[g.GEN_AI_REQUEST_STREAM] = True
        if call.response_id is not None:
            attributes[g.GEN_AI_RESPONSE_ID] = call.response_id
        if call.response_model is not None:
            attributes[g.GEN_AI_RESPONSE_MODEL] = call.response_model
        if call.finish_reasons:
            attributes[g.GEN_AI_RESPONSE_FINISH_REASONS] = call.finish_reasons
        if call.first_chunk_ns is not None:
            attributes[g.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK] = call.first_chunk_ns / _NS
        if call.outcome is not None:
            attributes[k.KAIZEN_CALL_OUTCOME] = call.outcome
        self._describe_usage(call.usage, attributes)
        if call.price is not None:
            _describe_price(call.price, attributes)
        return attributes

    def _describe_usage(self, usage: Usage, attributes: Attributes) -> None:
        if usage.input_tokens is not None:
            attributes[g.GEN_AI_USAGE_INPUT_TOKENS] = usage.input_tokens
        if usage.output_tokens is not None:
            attributes[g.GEN_AI_USAGE_OUTPUT_TOKENS] = usage.output_tokens
        if usage.cache_read_tokens is not None:
            attributes[g.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS] = usage.cache_read_tokens
        if usage.cache_write_tokens is not None:
            attributes[self.cache_write_key] = usage.cache_write_tokens
        if usage.reasoning_tokens is not None:
            attributes[g.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS] = usage.reasoning_tokens

    def call_metrics(self, call: CallInvocation, record: CallRecord) -> None:
        """Duration, and tokens in and out: now, or when the recorder gets to it."""
        instruments = self._telemetry.metrics.instruments
        if instruments is not None:
            # Nothing that is handed over changes any more; the labels are made where they are used.
            self._telemetry.metrics.recorders.of(call.recorded).run(
                self._client_metrics, instruments.client, record, call.request, call.response_model, context_of(call)
            )

    def _client_metrics(
        self,
        client: dict[str, Recording],
        record: CallRecord,
        request: CallRequest,
        response_model: str | None,
        context: Context | None,
    ) -> None:
        usage = record.usage
        labels = _labels(request, response_model)
        record_tokens = client[_TOKEN_USAGE]
        if usage.input_tokens is not None:
            record_tokens(usage.input_tokens, {**labels, g.GEN_AI_TOKEN_TYPE: "input"}, context)
        if usage.output_tokens is not None:
            record_tokens(usage.output_tokens, {**labels, g.GEN_AI_TOKEN_TYPE: "output"}, context)
        self._operation_duration(client, record, labels, context)

    def _operation_duration(
        self, client: dict[str, Recording], record: CallRecord, labels: dict[str, Any], context: Context | None
    ) -> None:
        if self._telemetry.settings.durations:
            if record.error_type is not None:
                labels[g.ERROR_TYPE] = record.error_type
            client[_OPERATION_DURATION](record.duration_ns / _NS, labels, context)

    # -- executions -----------------------------------------------------------------------------------------------

    def agent_start(self, agent: AgentInvocation) -> Attributes:
        """Operation, agent, who it runs for."""
        attributes: Attributes = {
            g.GEN_AI_OPERATION_NAME: g.GenAiOperationName.INVOKE_AGENT.value,
            g.GEN_AI_AGENT_NAME: agent.agent_name,
            k.KAIZEN_EXECUTION_ID: agent.execution_id,
        }
        request = agent.request
        for key, value in (
            (g.USER_ID, request.user_id),
            (g.SESSION_ID, request.session_id),
            (g.GEN_AI_CONVERSATION_ID, request.conversation_id),
        ):
            if value is not None:
                attributes[key] = value
        if request.node_class is not None:
            attributes[k.KAIZEN_NODE_TYPE] = request.node_class
        if request.node_key is not None:
            attributes[k.KAIZEN_NODE_ID] = request.node_key
        return attributes

    def agent_end(self, agent: AgentInvocation) -> Attributes:
        """Sums, verdict, quality."""
        own, total = agent.own_sums, agent.total_sums
        attributes: Attributes = {k.KAIZEN_EXECUTION_STATUS: agent.status}
        if own is None or total is None:
            return attributes
        attributes |= {
            k.KAIZEN_EXECUTION_MODEL_CALLS: own.model_calls,
            k.KAIZEN_EXECUTION_TOOL_CALLS: own.tool_calls,
            k.KAIZEN_EXECUTION_OWN_INPUT_TOKENS: own.input_tokens,
            k.KAIZEN_EXECUTION_OWN_OUTPUT_TOKENS: own.output_tokens,
            k.KAIZEN_EXECUTION_OWN_COST_AMOUNT: to_float(own.cost_units),
            k.KAIZEN_EXECUTION_TOTAL_INPUT_TOKENS: total.input_tokens,
            k.KAIZEN_EXECUTION_TOTAL_OUTPUT_TOKENS: total.output_tokens,
            k.KAIZEN_EXECUTION_TOTAL_COST_AMOUNT: to_float(total.cost_units),
            k.KAIZEN_EXECUTION_COST_COMPLETE: total.complete,
            g.GEN_AI_USAGE_INPUT_TOKENS: own.input_tokens,
            g.GEN_AI_USAGE_OUTPUT_TOKENS: own.output_tokens,
        }
        if len(own.models) == 1:
            attributes[g.GEN_AI_REQUEST_MODEL] = own.models[0]
        if self.version == DEFAULT_VERSION and len(agent.providers) == 1:
            attributes[g.GEN_AI_PROVIDER_NAME] = next(iter(agent.providers))
        if agent.unseen is not None:
            attributes[k.KAIZEN_USAGE_MISSING_REASON] = agent.unseen
        if agent.late_calls:
            attributes[k.KAIZEN_EXECUTION_LATE_CALLS] = agent.late_calls
        if agent.quality_score is not None:
            attributes[k.KAIZEN_QUALITY_SCORE] = agent.quality_score
        if agent.confidence is not None:
            attributes[k.KAIZEN_CONFIDENCE] = agent.confidence
        for name, value in agent.business.items():
            attributes[BUSINESS_KEYS[name]] = value
        if agent.record is not None and agent.record.resources is not None:
            attributes |= _resources(agent.record.resources)
        return attributes

    def agent_metrics(self, agent: AgentInvocation, record: ExecutionRecord, duration_ns: int) -> None:
        """Duration of the execution, under our name and the conventions'."""
        instruments = self._telemetry.metrics.instruments
        if instruments is None or not self._telemetry.settings.durations:
            return
        seconds = duration_ns / _NS
        context = context_of(agent)
        ours = {k.AGENT_NAME: record.agent_name, k.MODEL: record.model}
        recorder = self._telemetry.metrics.recorders.of(agent.recorded)
        recorder.run(instruments.execution_duration.record, seconds, ours, context)
        labels: dict[str, str | int] = {g.GEN_AI_AGENT_NAME: record.agent_name}
        if agent.own_sums is not None and len(agent.own_sums.models) == 1:
            labels[g.GEN_AI_REQUEST_MODEL] = record.model
        if record.error_type is not None:
            labels[g.ERROR_TYPE] = record.error_type
        recorder.run(instruments.invoke_agent_duration.record, seconds, labels, context)

    def create_agent_start(self, making: CreateAgentInvocation) -> Attributes:
        """Which agent is made."""
        attributes: Attributes = {g.GEN_AI_OPERATION_NAME: g.GenAiOperationName.CREATE_AGENT.value}
        if making.agent_name is not None:
            attributes[g.GEN_AI_AGENT_NAME] = making.agent_name
        if making.model is not None:
            attributes[g.GEN_AI_REQUEST_MODEL] = making.model
        if making.provider is not None:
            attributes[g.GEN_AI_PROVIDER_NAME] = making.provider
        return attributes

    # -- workflows, nodes, tools ----------------------------------------------------------------------------------

    def workflow_start(self, workflow: WorkflowInvocation) -> Attributes:
        """Operation, the user's name for the workflow, the runtime."""
        attributes: Attributes = {
            g.GEN_AI_OPERATION_NAME: g.GenAiOperationName.INVOKE_WORKFLOW.value,
            k.KAIZEN_WORKFLOW_RUNTIME: workflow.runtime,
        }
        if workflow.name is not None:
            attributes[g.GEN_AI_WORKFLOW_NAME] = workflow.name
        return attributes

    def workflow_end(self, workflow: WorkflowInvocation) -> Attributes:
        """The runtime's id of the run; whether it went on from a checkpoint."""
        attributes: Attributes = {k.KAIZEN_WORKFLOW_RESUMED: True} if workflow.resumed else {}
        if workflow.run_id is not None:
            attributes[k.KAIZEN_WORKFLOW_RUN_ID] = workflow.run_id
        return attributes

    def workflow_metrics(self, workflow: WorkflowInvocation, duration_ns: int) -> None:
        """Duration of the workflow."""
        instruments = self._telemetry.metrics.instruments
        if instruments is None or not self._telemetry.settings.durations:
            return
        labels: dict[str, str | int] = {}
        if workflow.name is not None:
            labels[g.GEN_AI_WORKFLOW_NAME] = workflow.name
        if workflow.failure is not None:
            labels[g.ERROR_TYPE] = workflow.failure.error_type
        recorder = self._telemetry.metrics.recorders.of(workflow.recorded)
        recorder.run(instruments.invoke_workflow_duration.record, duration_ns / _NS, labels, context_of(workflow))

    def node_start(self, node_class: str, node_key: str) -> Attributes:
        """Which node."""
        attributes: Attributes = {k.KAIZEN_NODE_TYPE: node_class, k.KAIZEN_NODE_ID: node_key}
        return attributes

    def tool_start(self, tool: ToolInvocation) -> Attributes:
        """Which tool, called by whom."""
        attributes: Attributes = {
            g.GEN_AI_OPERATION_NAME: g.GenAiOperationName.EXECUTE_TOOL.value,
            g.GEN_AI_TOOL_NAME: tool.tool_name,
            g.GEN_AI_TOOL_TYPE: tool.tool_type,
        }
        if tool.call_id is not None:
            attributes[g.GEN_AI_TOOL_CALL_ID] = tool.call_id
        if tool.agent_name is not None:
            attributes[g.GEN_AI_AGENT_NAME] = tool.agent_name
        return attributes

    def tool_end(self, tool: ToolInvocation) -> Attributes:
        """Whether the answer was made up; what is known of the request to an MCP server."""
        attributes: Attributes = {k.KAIZEN_TOOL_SIMULATED: True} if tool.simulated else {}
        request = tool.mcp_request
        return attributes if request is None else attributes | self.mcp_start(request) | self.mcp_end(request)

    def tool_metrics(self, tool: ToolInvocation, duration_ns: int) -> None:
        """Duration of the tool call."""
        instruments = self._telemetry.metrics.instruments
        if instruments is None or not self._telemetry.settings.durations:
            return
        labels: dict[str, str | int] = {g.GEN_AI_TOOL_NAME: tool.tool_name, g.GEN_AI_TOOL_TYPE: tool.tool_type}
        if tool.agent_name is not None:
            labels[g.GEN_AI_AGENT_NAME] = tool.agent_name
        if tool.failure is not None:
            labels[g.ERROR_TYPE] = tool.failure.error_type
        recorder = self._telemetry.metrics.recorders.of(tool.recorded)
        recorder.run(instruments.execute_tool_duration.record, duration_ns / _NS, labels, context_of(tool))


class SnapshotEmitter(Emitter):
    """The snapshot of the conventions' main that we call 42 (schema `gen-ai/1.42.0`)."""

    version = 42
    cache_write_key = g.GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS

    def call_end(self, call: CallInvocation) -> Attributes:
        """As before, but `top_k` is a whole number."""
        attributes = super().call_end(call)
        top_k: Any = attributes.pop(g.GEN_AI_REQUEST_TOP_K, None)
        if top_k is not None and top_k.is_integer():
            attributes[g.GEN_AI_REQUEST_TOP_K] = int(top_k)
        return attributes

    def _client_metrics(
        self,
        client: dict[str, Recording],
        record: CallRecord,
        request: CallRequest,
        response_model: str | None,
        context: Context | None,
    ) -> None:
        if record.operation == g.GenAiOperationName.EMBEDDINGS:
            self._operation_duration(client, record, _labels(request, response_model), context)
            return
        usage = record.usage
        labels = _labels(request, response_model)
        by_modality = {**labels, g.GEN_AI_TOKEN_MODALITY: g.GenAiTokenModality.UNKNOWN.value}
        if record.error_type is not None:
            labels[g.ERROR_TYPE] = record.error_type
        for histogram, counter, count in (
            (
                m.GEN_AI_CLIENT_INFERENCE_OPERATION_INPUT_TOKENS,
                m.GEN_AI_CLIENT_INFERENCE_USAGE_INPUT_TOKENS,
                usage.input_tokens,
            ),
            (
                m.GEN_AI_CLIENT_INFERENCE_OPERATION_OUTPUT_TOKENS,
                m.GEN_AI_CLIENT_INFERENCE_USAGE_OUTPUT_TOKENS,
                usage.output_tokens,
            ),
            (None, m.GEN_AI_CLIENT_INFERENCE_USAGE_CACHE_READ_INPUT_TOKENS, usage.cache_read_tokens),
            (None, m.GEN_AI_CLIENT_INFERENCE_USAGE_CACHE_WRITE_INPUT_TOKENS, usage.cache_write_tokens),
            (None, m.GEN_AI_CLIENT_INFERENCE_USAGE_REASONING_OUTPUT_TOKENS, usage.reasoning_tokens),
        ):
            if count is None:
                continue
            client[counter.name](count, by_modality, context)
            if histogram is not None:
                client[histogram.name](count, labels, context)
        if self._telemetry.settings.durations:
            client[m.GEN_AI_CLIENT_INFERENCE_DURATION.name](record.duration_ns / _NS, labels, context)


EMITTERS: dict[int, type[Emitter]] = {41: Emitter, 42: SnapshotEmitter}

BUSINESS_KEYS = {
    "user_satisfaction": k.KAIZEN_USER_SATISFACTION,
    "task_completion_rate": k.KAIZEN_TASK_COMPLETION_RATE,
    "business_value_score": k.KAIZEN_BUSINESS_VALUE_SCORE,
}


def _resources(used: ResourceUsage) -> Attributes:
    known = {
        k.KAIZEN_EXECUTION_RESOURCES_CPU_USAGE_PERCENT: used.cpu_usage_percent,
        k.KAIZEN_EXECUTION_RESOURCES_MEMORY_USAGE_MB: used.memory_usage_mb,
        k.KAIZEN_EXECUTION_RESOURCES_NETWORK_IO_BYTES: used.network_io_bytes,
        k.KAIZEN_EXECUTION_RESOURCES_ALONE: used.alone,
    }
    return {name: value for name, value in known.items() if value is not None}


def context_of(invocation: Invocation) -> Context | None:
    """The context that makes a histogram's exemplar point at the span of an operation that just ended."""
    return None if invocation.span is INVALID_SPAN else invocation.context()


def _identity(request: CallRequest) -> dict[str, Any]:
    """What both the span and the metrics of a call say of its request."""
    identity: dict[str, Any] = {
        g.GEN_AI_OPERATION_NAME: request.operation,
        g.GEN_AI_PROVIDER_NAME: request.provider,
    }
    if request.model is not None:
        identity[g.GEN_AI_REQUEST_MODEL] = request.model
    if request.server_address is not None:
        identity[g.SERVER_ADDRESS] = request.server_address
        if request.server_port is not None:
            identity[g.SERVER_PORT] = request.server_port
    return identity


def _describe_price(price: Price, attributes: Attributes) -> None:
    attributes[k.KAIZEN_USAGE_COST_SOURCE] = price.source
    if price.amount is not None:
        attributes[k.KAIZEN_USAGE_COST_AMOUNT] = to_float(price.amount)
        attributes[k.KAIZEN_USAGE_COST_CURRENCY] = price.currency
        if price.version is not None:
            attributes[k.KAIZEN_USAGE_COST_PRICE_VERSION] = price.version
    if price.missing is not None:
        attributes[k.KAIZEN_USAGE_MISSING_REASON] = price.missing


def _labels(request: CallRequest, response_model: str | None) -> dict[str, str | int]:
    """What each client metric of a call says of it."""
    labels = _identity(request)
    if response_model is not None:
        labels[g.GEN_AI_RESPONSE_MODEL] = response_model
    return labels
