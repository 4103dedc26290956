"""OpenAI: chat completions and embeddings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from kaizen_otel.demo.wires.wire import JsonObject, Wire, sse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kaizen_otel.demo.script import ModelRequest, Reply, ReplyError, ReplyUsage

_CREATED = 1_750_000_000
_FINGERPRINT = "fp_local"


class OpenAiWire(Wire):
    """`POST /v1/chat/completions` and `POST /v1/embeddings`."""

    provider = "openai"

    def operation(self, path: str) -> str | None:
        """See `Wire`."""
        if path.endswith("/chat/completions"):
            return "chat"
        return "embeddings" if path.endswith("/embeddings") else None

    def authorized(self, headers: Mapping[str, str]) -> bool:
        """See `Wire`."""
        return headers.get("authorization", "").startswith("Bearer ")

    def headers(self, request: ModelRequest) -> Mapping[str, str]:
        """See `Wire`."""
        return {"x-request-id": f"req_{request.number}", "openai-processing-ms": "5", "openai-version": "2020-10-01"}

    def error(self, error: ReplyError, status: int) -> JsonObject:
        """See `Wire`."""
        del status
        return {"error": {"message": error.message, "type": error.type, "param": error.param, "code": error.code}}

    def answer(self, request: ModelRequest, reply: Reply) -> JsonObject:
        """See `Wire`."""
        if request.operation == "embeddings":
            return self._embeddings(request, reply)
        message: JsonObject = {"role": "assistant", "content": reply.text or None, "refusal": None, "annotations": []}
        if reply.tool_calls:
            message["tool_calls"] = _tool_calls(request, reply)
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish_reason(reply)}
        body = _head(request, reply, "chat.completion") | {"choices": [choice]}
        return body | ({"usage": _usage(reply.usage)} if reply.usage else {})

    def stream(self, request: ModelRequest, reply: Reply) -> Iterator[str]:
        """See `Wire`. Usage comes only on request, in a last chunk without choices, as the provider does it."""
        include_usage = bool((request.body.get("stream_options") or {}).get("include_usage"))
        base = _head(request, reply, "chat.completion.chunk") | ({"usage": None} if include_usage else {})

        def chunk(delta: JsonObject, finish_reason: str | None = None) -> str:
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
            return sse(base | {"choices": [choice]})

        yield chunk({"role": "assistant", "content": None if reply.tool_calls else "", "refusal": None})
        for index, call in enumerate(_tool_calls(request, reply)):
            arguments = call["function"]["arguments"]
            opened = call | {"index": index, "function": {"name": call["function"]["name"], "arguments": ""}}
            yield chunk({"tool_calls": [opened]})
            for part in (arguments[:4], arguments[4:]):
                yield chunk({"tool_calls": [{"index": index, "function": {"arguments": part}}]})
        for word in reply.words:
            yield chunk({"content": word})
        yield chunk({}, _finish_reason(reply))
        if include_usage and reply.usage:
            yield sse(base | {"choices": [], "usage": _usage(reply.usage)})
        yield "data: [DONE]\n\n"

    def _embeddings(self, request: ModelRequest, reply: Reply) -> JsonObject:
        vector = list(reply.vectors_of)
        body: JsonObject = {
            "object": "list",
            "data": [
                {"object": "embedding", "index": index, "embedding": vector}
                for index, _ in enumerate(self.texts(dict(request.body)))
            ],
            "model": reply.model or request.model,
        }
        if reply.usage:
            body["usage"] = {"prompt_tokens": reply.usage.input_tokens, "total_tokens": reply.usage.input_tokens}
        return body


def _head(request: ModelRequest, reply: Reply, kind: str) -> JsonObject:
    return {
        "id": f"chatcmpl-{request.number}",
        "object": kind,
        "created": _CREATED + request.number,
        "model": reply.model or request.model,
        "service_tier": "default",
        "system_fingerprint": _FINGERPRINT,
    }


def _tool_calls(request: ModelRequest, reply: Reply) -> list[JsonObject]:
    return [
        {
            "id": f"call_{request.number}_{index}",
            "type": "function",
            "function": {"name": call.name, "arguments": json.dumps(dict(call.arguments))},
        }
        for index, call in enumerate(reply.tool_calls, start=1)
    ]


def _finish_reason(reply: Reply) -> str:
    return reply.finish_reason or ("tool_calls" if reply.tool_calls else "stop")


def _usage(usage: ReplyUsage) -> JsonObject:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
