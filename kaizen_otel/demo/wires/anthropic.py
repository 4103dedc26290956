"""Anthropic: messages."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from kaizen_otel.demo.wires.wire import JsonObject, Wire, sse, text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kaizen_otel.demo.script import ModelRequest, Reply, ReplyError, ReplyUsage

_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class AnthropicWire(Wire):
    """`POST /v1/messages`."""

    provider = "anthropic"

    def operation(self, path: str) -> str | None:
        """See `Wire`."""
        return "chat" if path.endswith("/messages") else None

    def authorized(self, headers: Mapping[str, str]) -> bool:
        """See `Wire`."""
        return "x-api-key" in headers or headers.get("authorization", "").startswith("Bearer ")

    def headers(self, request: ModelRequest) -> Mapping[str, str]:
        """See `Wire`."""
        return {"request-id": f"req_{request.number}"}

    def messages(self, body: JsonObject) -> list[tuple[str, str]]:
        """See `Wire`. Tool results come inside a user message; the system prompt has its own key."""
        found: list[tuple[str, str]] = []
        if body.get("system"):
            found.append(("system", text_of(body["system"])))
        for message in body.get("messages", []):
            content = message.get("content")
            parts = content if isinstance(content, list) else []
            results = [part for part in parts if isinstance(part, dict) and part.get("type") == "tool_result"]
            if results:
                found.extend(("tool", text_of(result.get("content"))) for result in results)
            else:
                found.append((str(message.get("role")), text_of(content)))
        return found

    def tools(self, body: JsonObject) -> Iterable[str]:
        """See `Wire`."""
        return [str(tool.get("name")) for tool in body.get("tools", [])]

    def error(self, error: ReplyError, status: int) -> JsonObject:
        """See `Wire`."""
        return {"type": "error", "error": {"type": _ERROR_TYPES.get(status, "api_error"), "message": error.message}}

    def answer(self, request: ModelRequest, reply: Reply) -> JsonObject:
        """See `Wire`."""
        blocks = _blocks(request, reply)
        body = _message(request, reply, blocks) | {"stop_reason": _stop_reason(reply)}
        return body | ({"usage": _usage(reply.usage)} if reply.usage else {})

    def stream(self, request: ModelRequest, reply: Reply) -> Iterator[str]:
        """See `Wire`. Input tokens come in the first event, output tokens in the last but one."""
        message = _message(request, reply, [])
        if reply.usage:
            message["usage"] = _usage(reply.usage) | {"output_tokens": 1}
        yield _event("message_start", message=message)
        for index, block in enumerate(_blocks(request, reply)):
            is_text = block["type"] == "text"
            yield _event("content_block_start", index=index, content_block=block | _EMPTY[block["type"]])
            if index == 0:
                yield _event("ping")
            deltas = (
                [{"type": "text_delta", "text": word} for word in reply.words]
                if is_text
                else [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}]
            )
            for delta in deltas:
                yield _event("content_block_delta", index=index, delta=delta)
            yield _event("content_block_stop", index=index)
        end: JsonObject = {"stop_reason": _stop_reason(reply), "stop_sequence": None}
        usage = {"usage": {"output_tokens": reply.usage.output_tokens}} if reply.usage else {}
        yield _event("message_delta", delta=end, **usage)
        yield _event("message_stop")


_EMPTY: Mapping[str, JsonObject] = {"text": {"text": ""}, "tool_use": {"input": {}}}


def _event(kind: str, **fields: object) -> str:
    return sse({"type": kind, **fields}, event=kind)


def _message(request: ModelRequest, reply: Reply, blocks: list[JsonObject]) -> JsonObject:
    return {
        "id": f"msg_{request.number}",
        "type": "message",
        "role": "assistant",
        "model": reply.model or request.model,
        "content": blocks,
        "stop_reason": None,
        "stop_sequence": None,
    }


def _blocks(request: ModelRequest, reply: Reply) -> list[JsonObject]:
    texts: list[JsonObject] = [{"type": "text", "text": reply.text}] if reply.text else []
    calls = [
        {"type": "tool_use", "id": f"toolu_{request.number}_{index}", "name": call.name, "input": dict(call.arguments)}
        for index, call in enumerate(reply.tool_calls, start=1)
    ]
    return texts + calls


def _stop_reason(reply: Reply) -> str:
    return reply.finish_reason or ("tool_use" if reply.tool_calls else "end_turn")


def _usage(usage: ReplyUsage) -> JsonObject:
    # The provider's input_tokens leave the cached ones out.
    return {
        "input_tokens": usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "output_tokens": usage.output_tokens,
        "service_tier": "standard",
    }
