"""What the objects of the providers' SDKs say of a call, as the payloads that `wire_protocols` reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kaizen_otel.invocations.call import CallInvocation
from kaizen_otel.invocations.scope import attached_scope
from kaizen_otel.invocations.values import attribute_of, bounded_text, entry_of
from kaizen_otel.patches import wire_protocols
from kaizen_otel.patches.llm_client import MAX_COLLECTED_CHARS, expects_json, parameters_of
from kaizen_otel.patches.switch import active

if TYPE_CHECKING:
    from collections.abc import Callable


def current_call() -> CallInvocation | None:
    """The model call that the code that runs now belongs to."""
    scope = attached_scope()
    return scope if isinstance(scope, CallInvocation) and not scope.ended else None


def seeing(read: Callable[[CallInvocation, Any], None]) -> Callable[[Any], None]:
    """Show what an SDK gave to `read`, with the current call, behind the fence."""

    def see(item: Any) -> None:
        telemetry = active()
        if telemetry is not None:
            with telemetry.fence("call.payload"):
                call = current_call()
                if call is not None:
                    if call.request.streaming and call.first_chunk_ns is None:
                        call.first_chunk()
                    read(call, item)

    return see


def see_request(given: dict[str, Any]) -> None:
    """What is really asked of the SDK: the adapters have defaults, and leave out what a model does not take."""
    telemetry = active()
    if telemetry is not None:
        with telemetry.fence("call.request"):
            call = current_call()
            if call is not None:
                asked = {**given, "max_tokens": given.get("max_tokens", given.get("max_completion_tokens"))}
                asked["stop"] = given.get("stop", given.get("stop_sequences"))
                call.request.parameters = lambda: parameters_of(asked)
                call.request.expects_json = expects_json(asked)


_OPENAI_DETAILS = ("cached_tokens", "reasoning_tokens", "audio_tokens")
_ANTHROPIC_USAGE = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
_GOOGLE_USAGE = {
    "prompt_token_count": "promptTokenCount",
    "tool_use_prompt_token_count": "toolUsePromptTokenCount",
    "cached_content_token_count": "cachedContentTokenCount",
    "candidates_token_count": "candidatesTokenCount",
    "thoughts_token_count": "thoughtsTokenCount",
    "total_token_count": "totalTokenCount",
}
"""The SDK's names and the wire's."""


def openai(call: CallInvocation, answer: Any) -> None:
    """A `ChatCompletion`, or one chunk of a stream of them."""
    payload = fields_of(answer, "id", "model")
    payload["choices"] = [fields_of(choice, "finish_reason") for choice in listed(attribute_of(answer, "choices"))]
    usage = attribute_of(answer, "usage")
    if usage is not None:
        payload["usage"] = counts = fields_of(usage, "prompt_tokens", "completion_tokens")
        for details in ("prompt_tokens_details", "completion_tokens_details"):
            counts[details] = fields_of(attribute_of(usage, details), *_OPENAI_DETAILS)
    wire_protocols.openai(call, payload)
    _mark_read(call)


def openai_response(call: CallInvocation, answer: Any) -> None:
    """A `Response` of the Responses API, which also is in the last event of a stream of it."""
    items = listed(attribute_of(answer, "output"))
    calls = [item for item in items if attribute_of(item, "type") == "function_call"]
    payload = fields_of(answer, "id", "model", "status")
    usage = attribute_of(answer, "usage")
    if usage is not None:
        payload["usage"] = counts = fields_of(usage, "input_tokens", "output_tokens")
        for details in ("input_tokens_details", "output_tokens_details"):
            counts[details] = fields_of(attribute_of(usage, details), "cached_tokens", "reasoning_tokens")
    payload["asks_for_tools"] = bool(calls)
    payload["incomplete_details"] = fields_of(attribute_of(answer, "incomplete_details"), "reason")
    payload["error"] = fields_of(attribute_of(answer, "error"), "code", "message")
    wire_protocols.openai_responses(call, payload)
    if items and call.recorded.captures:
        call.output = {
            "text": _text_in(items),
            "tool_calls": [
                {"id": attribute_of(item, "call_id"), **fields_of(item, "name", "arguments")} for item in calls
            ],
        }
    _mark_read(call)


def _text_in(items: list[Any]) -> str:
    """What the messages among the items of a `Response` say."""
    parts = [part for item in items for part in listed(attribute_of(item, "content"))]
    said = [bounded_text(attribute_of(part, "text"), MAX_COLLECTED_CHARS) or "" for part in parts]
    return "".join(said)[:MAX_COLLECTED_CHARS]


def anthropic(call: CallInvocation, answer: Any) -> None:
    """A `Message`, or one event of a stream; the SDK's own events, which repeat the whole message, say nothing new."""
    kind = attribute_of(answer, "type")
    if kind == "message_start":
        wire_protocols.anthropic(call, {"message": _message(attribute_of(answer, "message"))})
    elif kind == "message_delta":
        delta = fields_of(attribute_of(answer, "delta"), "stop_reason")
        usage = fields_of(attribute_of(answer, "usage"), *_ANTHROPIC_USAGE)
        wire_protocols.anthropic(call, {"delta": delta, "usage": usage})
    elif kind == "message":
        wire_protocols.anthropic(call, _message(answer))
    _mark_read(call)


def _message(message: Any) -> dict[str, Any]:
    usage = fields_of(attribute_of(message, "usage"), *_ANTHROPIC_USAGE)
    return {**fields_of(message, "id", "model", "stop_reason"), "usage": usage}


def google(call: CallInvocation, answer: Any) -> None:
    """A `GenerateContentResponse`, or one chunk of a stream of them."""
    usage = attribute_of(answer, "usage_metadata")
    wire_protocols.google(
        call,
        {
            "responseId": attribute_of(answer, "response_id"),
            "modelVersion": attribute_of(answer, "model_version"),
            "candidates": [
                {"finishReason": attribute_of(attribute_of(candidate, "finish_reason"), "value")}
                for candidate in listed(attribute_of(answer, "candidates"))
            ],
            "usageMetadata": {wire: attribute_of(usage, name) for name, wire in _GOOGLE_USAGE.items()},
        },
    )
    _mark_read(call)


def fields_of(holder: Any, *names: str) -> dict[str, Any]:
    """Attributes of an SDK's object, as the wire's dictionary."""
    return {name: attribute_of(holder, name) for name in names}


def listed(value: Any) -> list[Any]:
    """`value` when it is exactly a list, else an empty one."""
    return value if type(value) is list else []


def _mark_read(call: CallInvocation) -> None:
    call.payload_read = call.payload_read or call.usage.output_tokens is not None


def counted(call: CallInvocation, usage: Any) -> None:
    """Take kaizen_agents' own sums, where the SDK's payload has not told them better."""
    if not call.payload_read:
        wire_protocols.openai(
            call,
            {
                "usage": {
                    "prompt_tokens": entry_of(usage, "prompt_tokens"),
                    "completion_tokens": entry_of(usage, "completion_tokens"),
                }
            },
        )
