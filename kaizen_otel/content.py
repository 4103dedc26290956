"""Content of model calls: off by default, redacted and bounded before it enters a span or an event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaizen_otel.invocations.values import mapping
from kaizen_processors.content.policy import ContentMode, ContentPolicy
from kaizen_processors.redaction import Redactor
from kaizen_processors.values import entries_of, entry_of, is_mapping, is_sequence, pairs_of, size_of, text_of
from kaizen_semconv import events
from kaizen_semconv import gen_ai as g

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from kaizen_otel.invocations.agent import AgentInvocation
    from kaizen_otel.invocations.base import Attributes
    from kaizen_otel.invocations.call import CallInvocation
    from kaizen_otel.invocations.mcp_server import McpServerInvocation
    from kaizen_otel.invocations.workflow import ToolInvocation
    from kaizen_otel.settings import Settings
    from kaizen_otel.telemetry import Telemetry
    from kaizen_processors.content import ContentEncoder

TOTAL_BYTES = 65_536
"""Largest attribute that content may fill, unless one message may be larger."""

_ROOM = 2_048
_SYSTEM = "system"
_EVENT_ATTRIBUTES = (
    g.GEN_AI_RESPONSE_ID,
    g.GEN_AI_RESPONSE_MODEL,
    g.GEN_AI_RESPONSE_FINISH_REASONS,
    g.GEN_AI_USAGE_INPUT_TOKENS,
    g.GEN_AI_USAGE_OUTPUT_TOKENS,
)


class ContentWriter:
    """Writes the content of calls as the settings say."""

    def __init__(self, telemetry: Telemetry) -> None:
        """Write for this telemetry."""
        self._telemetry = telemetry
        self.configure(telemetry.settings)

    def configure(self, settings: Settings) -> None:
        """Take new settings. Raises `RedactionError` or `ContentError` for what cannot be used."""
        patterns = {f"pattern_{number}": pattern for number, pattern in enumerate(settings.redact_patterns, 1)}
        self._redactor = Redactor(keys=settings.redact_keys, patterns=patterns)
        self.mode = ContentMode(settings.content)  # whose content is recorded, their extents say
        self._encoder: ContentEncoder | None = None
        if self.mode is not ContentMode.OFF:
            from kaizen_processors.content import ContentEncoder  # noqa: PLC0415 - off by default

            one = settings.content_max_bytes
            self._encoder = ContentEncoder(
                ContentPolicy(self.mode, max(TOTAL_BYTES, 2 * one + _ROOM), one, self._redactor)
            )

    def redacted(self, text: str) -> str:
        """A text as it may leave the process."""
        return self._redactor.text(text)

    def describe_call(self, call: CallInvocation, span: Span, attributes: Attributes) -> None:
        """Put a call's messages where the settings say; `attributes` are those that the span ends with."""
        encoder = self._encoder
        if encoder is None:
            return
        request = call.request
        messages, system = request.messages, None
        if request.instructions_apart is not None and request.instructions_apart():
            messages, system = _apart(messages)
        content = encoder.request(messages, system=system, tools=request.tools)
        answer = mapping(call.output)
        content |= encoder.response(
            text=answer.get("text") or answer.get("content"),
            tool_calls=answer.get("tool_calls"),
            finish_reason=call.finish_reasons[0] if call.finish_reasons else None,
        )
        if self.mode is ContentMode.SPAN:
            span.set_attributes(content)
            return
        self._telemetry.providers.events.emit(
            events.GEN_AI_CLIENT_INFERENCE_OPERATION_DETAILS,
            {**self._identity(call, attributes), **content},
            timestamp_ns=self._telemetry.clock.time_ns(),
            context=call.context(),
        )

    def describe_tool(self, tool: ToolInvocation | McpServerInvocation, span: Span) -> None:
        """Put a tool's arguments and result on its span: they are structured content of the same call."""
        encoder = self._encoder
        if encoder is None or self.mode is not ContentMode.SPAN:
            return
        for key, value in ((g.GEN_AI_TOOL_CALL_ARGUMENTS, tool.arguments), (g.GEN_AI_TOOL_CALL_RESULT, tool.result)):
            text = None if value is None else encoder.structured(value)
            if text is not None:
                span.set_attribute(key, text)

    def describe_agent(self, agent: AgentInvocation, span: Span) -> None:
        """Put on an agent's span what it was told, what it was asked, and what it gave its caller.

        No event: the conventions have one for model calls only, and those below have theirs.
        """
        encoder = self._encoder
        if encoder is None or self.mode is not ContentMode.SPAN:
            return
        request = agent.request
        content = encoder.request(_as_messages(encoder, request.inputs), system=request.instructions)
        if agent.has_returned:
            message = entry_of(agent.output, "response")
            content |= encoder.response(
                text=entry_of(message, "content") if is_mapping(message) else _as_text(encoder, agent.output),
                tool_calls=entry_of(message, "tool_calls"),
                finish_reason=agent.finish_reasons[0] if agent.finish_reasons else None,
            )
        span.set_attributes(content)

    def _identity(self, call: CallInvocation, attributes: Attributes) -> Attributes:
        found = {key: attributes[key] for key in _EVENT_ATTRIBUTES if key in attributes}
        found[g.GEN_AI_OPERATION_NAME] = call.request.operation
        if call.request.model is not None:
            found[g.GEN_AI_REQUEST_MODEL] = call.request.model
        if call.execution is not None:
            found[g.GEN_AI_AGENT_NAME] = call.execution.agent_name
        if call.failure is not None and not call.failure.cancelled:
            found[g.ERROR_TYPE] = call.failure.error_type
        return found


def _apart(messages: object) -> tuple[list[object], list[object]]:
    """Conversation and instructions: what the system messages say, wherever they stand, as Kaizen sends them."""
    conversation: list[object] = []
    instructions: list[object] = []
    for message in entries_of(messages, size_of(messages) or 0):
        if text_of(entry_of(message, "role")) != _SYSTEM:
            conversation.append(message)
            continue
        said = entry_of(message, "content")
        instructions += entries_of(said, size_of(said) or 0) if is_sequence(said) else [said]
    return conversation, instructions


def _as_messages(encoder: ContentEncoder, inputs: object) -> object:
    """What an agent was asked, as messages: they are some already, or they are its named inputs."""
    if inputs is None or is_sequence(inputs):
        return inputs
    text = _as_text(encoder, inputs)
    return [{"role": "user", "content": text}] if text else None


def _as_text(encoder: ContentEncoder, value: object) -> str | None:
    """A text, or the one text of a dictionary, as it is; all else as JSON."""
    pairs = pairs_of(value, 2)
    text = text_of(pairs[0][1] if len(pairs) == 1 else value)
    if text is not None or value is None or size_of(value) == 0:
        return text
    return encoder.structured(value)
