"""Content of model calls: off by default, redacted and bounded before it enters a span or an event."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from kaizen_otel.invocations.values import mapping
from kaizen_processors.content.policy import ContentMode, ContentPolicy
from kaizen_processors.redaction import Redactor
from kaizen_semconv import events
from kaizen_semconv import gen_ai as g

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from kaizen_otel.invocations.base import Attributes
    from kaizen_otel.invocations.call import CallInvocation
    from kaizen_otel.invocations.workflow import ToolInvocation
    from kaizen_otel.settings import Settings
    from kaizen_otel.telemetry import Telemetry
    from kaizen_processors.content import ContentEncoder

TOTAL_BYTES = 65_536
"""Largest attribute that content may fill, unless one message may be larger."""

_ROOM = 2_048
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
        self.mode = ContentMode(settings.captured_content)
        self.captures = self.mode is not ContentMode.OFF  # whether content is recorded at all
        self._encoder: ContentEncoder | None = None
        if self.captures:
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
        content = encoder.request(request.messages, tools=request.tools)
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

    def describe_tool(self, tool: ToolInvocation, span: Span) -> None:
        """Put a tool's arguments and result on its span: they are structured content of the same call."""
        if self.mode is not ContentMode.SPAN:
            return
        for key, value in ((g.GEN_AI_TOOL_CALL_ARGUMENTS, tool.arguments), (g.GEN_AI_TOOL_CALL_RESULT, tool.result)):
            if value is not None:
                span.set_attribute(key, self._as_json(value))

    def _as_json(self, value: object) -> str:
        limit = self._telemetry.settings.content_max_bytes
        text = json.dumps(self._redactor.value(value), ensure_ascii=False, allow_nan=False)
        return text.encode()[:limit].decode(errors="ignore")

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
