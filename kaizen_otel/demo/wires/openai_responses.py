"""OpenAI: the Responses API."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from kaizen_otel.demo.wires.openai import OpenAiWire
from kaizen_otel.demo.wires.wire import JsonObject, sse, text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kaizen_otel.demo.script import ModelRequest, Reply, ReplyUsage

_CREATED = 1_750_000_000
_INCOMPLETE = frozenset({"max_output_tokens", "content_filter"})
_FAILED = "failed"


class OpenAiResponsesWire(OpenAiWire):
    """`POST /v1/responses`.

    A reply's `finish_reason` is `max_output_tokens` or `content_filter` for an answer that is incomplete, `failed` for
    a response that the provider gave up on.
    """

    def operation(self, path: str) -> str | None:
        """See `Wire`."""
        return "chat" if path.endswith("/responses") else None

    def messages(self, body: JsonObject) -> list[tuple[str, str]]:
        """See `Wire`."""
        given = body.get("input", "")
        items = given if isinstance(given, list) else [{"role": "user", "content": given}]
        told = [("tool", str(item.get("output"))) if "output" in item else _said(item) for item in items]
        instructions = body.get("instructions")
        return [("system", str(instructions)), *told] if instructions else told

    def tools(self, body: JsonObject) -> Iterable[str]:
        """See `Wire`. Tools of the provider's own have no name, and nobody but the provider calls them."""
        return [str(tool["name"]) for tool in body.get("tools") or [] if "name" in tool]

    def answer(self, request: ModelRequest, reply: Reply) -> JsonObject:
        """See `Wire`."""
        return _response(request, reply, _items(request, reply))

    def stream(self, request: ModelRequest, reply: Reply) -> Iterator[str]:
        """See `Wire`."""
        for number, event in enumerate(_events(request, reply)):
            yield sse(event | {"sequence_number": number}, event["type"])


def _said(item: JsonObject) -> tuple[str, str]:
    return str(item.get("role", "assistant")), text_of(item.get("content"))


def _events(request: ModelRequest, reply: Reply) -> Iterator[JsonObject]:
    begun = _response(request, reply, []) | {"status": "in_progress", "usage": None, "error": None}
    begun["incomplete_details"] = None
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    items = _items(request, reply)
    for index, item in enumerate(items):
        yield from _item_events(index, item, reply)
    last = _response(request, reply, items)
    yield {"type": f"response.{last['status']}", "response": last}


def _item_events(index: int, item: JsonObject, reply: Reply) -> Iterator[JsonObject]:
    where = {"output_index": index, "item_id": item["id"]}
    empty: JsonObject = {"content": []} if "content" in item else {"arguments": ""}
    opened = item | {"status": "in_progress"} | empty
    yield {"type": "response.output_item.added", "output_index": index, "item": opened}
    if "content" in item:
        where |= {"content_index": 0}
        (part,) = item["content"]
        yield {"type": "response.content_part.added", **where, "part": part | {"text": ""}}
        for word in reply.words:
            yield {"type": "response.output_text.delta", **where, "delta": word, "logprobs": []}
        yield {"type": "response.output_text.done", **where, "text": part["text"], "logprobs": []}
        yield {"type": "response.content_part.done", **where, "part": part}
    else:
        for piece in (item["arguments"][:4], item["arguments"][4:]):
            yield {"type": "response.function_call_arguments.delta", **where, "delta": piece}
        yield {"type": "response.function_call_arguments.done", **where, "arguments": item["arguments"]}
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def _items(request: ModelRequest, reply: Reply) -> list[JsonObject]:
    calls: list[JsonObject] = [
        {
            "id": f"fc_{request.number}_{index}",
            "type": "function_call",
            "status": "completed",
            "call_id": f"call_{request.number}_{index}",
            "name": call.name,
            "arguments": json.dumps(dict(call.arguments)),
        }
        for index, call in enumerate(reply.tool_calls, start=1)
    ]
    if reply.finish_reason == _FAILED or (calls and not reply.text):
        return calls
    part = {"type": "output_text", "text": reply.text, "annotations": [], "logprobs": []}
    status = "incomplete" if reply.finish_reason in _INCOMPLETE else "completed"
    message = {"id": f"msg_{request.number}", "type": "message", "role": "assistant", "status": status}
    return [message | {"content": [part]}, *calls]


def _response(request: ModelRequest, reply: Reply, items: list[JsonObject]) -> JsonObject:
    incomplete = reply.finish_reason in _INCOMPLETE
    failed = reply.finish_reason == _FAILED
    body: JsonObject = {
        "id": f"resp_{request.number}",
        "object": "response",
        "created_at": _CREATED + request.number,
        "status": "incomplete" if incomplete else _FAILED if failed else "completed",
        "error": {"code": "server_error", "message": "The model failed to respond."} if failed else None,
        "incomplete_details": {"reason": reply.finish_reason} if incomplete else None,
        "instructions": request.body.get("instructions"),
        "max_output_tokens": request.body.get("max_output_tokens"),
        "metadata": {},
        "model": reply.model or request.model,
        "output": items,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": True,
        "temperature": request.body.get("temperature"),
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": request.body.get("tools") or [],
        "top_p": 1.0,
        "truncation": "disabled",
    }
    return body | ({"usage": _usage(reply.usage)} if reply.usage else {"usage": None})


def _usage(usage: ReplyUsage) -> JsonObject:
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": usage.cache_read_tokens},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
