"""Ollama: chat and embed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from kaizen_otel.demo.wires.wire import JsonObject, Wire

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kaizen_otel.demo.script import ModelRequest, Reply, ReplyError

_CREATED_AT = "2025-06-15T15:06:40.000000Z"
_DURATIONS_NS = {
    "total_duration": 50_000_000,
    "load_duration": 5_000_000,
    "prompt_eval_duration": 10_000_000,
    "eval_duration": 35_000_000,
}


class OllamaWire(Wire):
    """`POST /api/chat` and `POST /api/embed`; no key, and streams are lines of JSON."""

    provider = "ollama"
    stream_content_type = "application/x-ndjson"

    def operation(self, path: str) -> str | None:
        """See `Wire`."""
        if path.endswith("/api/chat"):
            return "chat"
        return "embeddings" if path.endswith("/api/embed") else None

    def authorized(self, headers: Mapping[str, str]) -> bool:
        """See `Wire`."""
        del headers
        return True

    def wants_stream(self, path: str, body: JsonObject) -> bool:
        """See `Wire`. Ollama streams unless told not to."""
        return self.operation(path) == "chat" and body.get("stream", True) is not False

    def error(self, error: ReplyError, status: int) -> JsonObject:
        """See `Wire`."""
        del status
        return {"error": error.message}

    def answer(self, request: ModelRequest, reply: Reply) -> JsonObject:
        """See `Wire`."""
        if request.operation == "embeddings":
            texts = self.texts(dict(request.body))
            body: JsonObject = {
                "model": reply.model or request.model,
                "embeddings": [list(reply.vectors_of) for _ in texts],
                "total_duration": _DURATIONS_NS["total_duration"],
                "load_duration": _DURATIONS_NS["load_duration"],
            }
            return body | ({"prompt_eval_count": reply.usage.input_tokens} if reply.usage else {})
        return _chunk(request, reply, _message(reply, reply.text, with_calls=True)) | _last(reply)

    def stream(self, request: ModelRequest, reply: Reply) -> Iterator[str]:
        """See `Wire`."""
        if reply.tool_calls:
            yield _line(_chunk(request, reply, _message(reply, "", with_calls=True)) | {"done": False})
        for word in reply.words:
            yield _line(_chunk(request, reply, _message(reply, word)) | {"done": False})
        yield _line(_chunk(request, reply, _message(reply, "")) | _last(reply))


def _line(chunk: JsonObject) -> str:
    return json.dumps(chunk) + "\n"


def _chunk(request: ModelRequest, reply: Reply, message: JsonObject) -> JsonObject:
    return {"model": reply.model or request.model, "created_at": _CREATED_AT, "message": message}


def _message(reply: Reply, content: str, *, with_calls: bool = False) -> JsonObject:
    message: JsonObject = {"role": "assistant", "content": content}
    if with_calls and reply.tool_calls:
        message["tool_calls"] = [
            {"function": {"name": call.name, "arguments": dict(call.arguments)}} for call in reply.tool_calls
        ]
    return message


def _last(reply: Reply) -> JsonObject:
    end: JsonObject = {"done": True, "done_reason": reply.finish_reason or "stop", **_DURATIONS_NS}
    if reply.usage:
        end |= {"prompt_eval_count": reply.usage.input_tokens, "eval_count": reply.usage.output_tokens}
    return end
