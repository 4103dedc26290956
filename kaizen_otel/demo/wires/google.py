"""Google: generateContent, its stream, and batchEmbedContents."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from kaizen_otel.demo.wires.wire import JsonObject, Wire, sse, text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kaizen_otel.demo.script import ModelRequest, Reply, ReplyError, ReplyUsage

_VERBS = {":generateContent": "chat", ":streamGenerateContent": "chat", ":batchEmbedContents": "embeddings"}
_STATUS_NAMES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}


class GoogleWire(Wire):
    """`POST /v1beta/models/{model}:generateContent`, `:streamGenerateContent` and `:batchEmbedContents`."""

    provider = "google"

    def operation(self, path: str) -> str | None:
        """See `Wire`."""
        return next((operation for verb, operation in _VERBS.items() if path.endswith(verb)), None)

    def authorized(self, headers: Mapping[str, str]) -> bool:
        """See `Wire`."""
        return "x-goog-api-key" in headers or headers.get("authorization", "").startswith("Bearer ")

    def model(self, path: str, body: JsonObject) -> str:
        """See `Wire`. The model is in the path."""
        del body
        return path.rsplit("/models/", 1)[-1].rsplit(":", 1)[0]

    def wants_stream(self, path: str, body: JsonObject) -> bool:
        """See `Wire`."""
        del body
        return path.endswith(":streamGenerateContent")

    def messages(self, body: JsonObject) -> list[tuple[str, str]]:
        """See `Wire`. Tool results are parts of a user's content."""
        found: list[tuple[str, str]] = []
        if body.get("systemInstruction"):
            found.append(("system", text_of(body["systemInstruction"].get("parts"))))
        for content in body.get("contents", []):
            parts = content.get("parts", [])
            results = [part for part in parts if "functionResponse" in part]
            role = "assistant" if content.get("role") == "model" else "user"
            found.extend([("tool", json.dumps(part)) for part in results] or [(role, text_of(parts))])
        return found

    def texts(self, body: JsonObject) -> list[str]:
        """See `Wire`."""
        return [text_of(request.get("content", {}).get("parts")) for request in body.get("requests", [])]

    def tools(self, body: JsonObject) -> Iterable[str]:
        """See `Wire`."""
        return [
            str(function.get("name")) for tool in body.get("tools", []) for function in tool["functionDeclarations"]
        ]

    def error(self, error: ReplyError, status: int) -> JsonObject:
        """See `Wire`."""
        name = _STATUS_NAMES.get(status, "UNKNOWN")
        return {"error": {"code": status, "message": error.message, "status": name}}

    def answer(self, request: ModelRequest, reply: Reply) -> JsonObject:
        """See `Wire`."""
        if request.operation == "embeddings":
            return {"embeddings": [{"values": list(reply.vectors_of)} for _ in self.texts(dict(request.body))]}
        return _response(request, reply, _parts(reply), last=True)

    def stream(self, request: ModelRequest, reply: Reply) -> Iterator[str]:
        """See `Wire`. Server-sent events with `?alt=sse`, else one long JSON array, as the provider does it."""
        pieces: list[list[JsonObject]] = [[{"text": word}] for word in reply.words]
        pieces += [[part] for part in _parts(reply) if "functionCall" in part] or ([] if pieces else [[]])
        as_events = "alt=sse" in request.query
        for index, parts in enumerate(pieces):
            chunk = _response(request, reply, parts, last=index == len(pieces) - 1)
            yield sse(chunk) if as_events else ("," if index else "[") + json.dumps(chunk, indent=2) + "\n"
        if not as_events:
            yield "]"


def _parts(reply: Reply) -> list[JsonObject]:
    texts: list[JsonObject] = [{"text": reply.text}] if reply.text else []
    return texts + [{"functionCall": {"name": call.name, "args": dict(call.arguments)}} for call in reply.tool_calls]


def _response(request: ModelRequest, reply: Reply, parts: list[JsonObject], *, last: bool) -> JsonObject:
    candidate: JsonObject = {"content": {"parts": parts, "role": "model"}, "index": 0}
    if last:
        candidate["finishReason"] = reply.finish_reason or "STOP"
    body: JsonObject = {
        "candidates": [candidate],
        "modelVersion": reply.model or request.model,
        "responseId": f"resp_{request.number}",
    }
    if reply.usage:
        body["usageMetadata"] = _usage(reply.usage)
    return body


def _usage(usage: ReplyUsage) -> JsonObject:
    # The provider's candidates leave the thoughts out.
    counts = {
        "promptTokenCount": usage.input_tokens,
        "candidatesTokenCount": usage.output_tokens - usage.reasoning_tokens,
        "totalTokenCount": usage.input_tokens + usage.output_tokens,
    }
    details = {"thoughtsTokenCount": usage.reasoning_tokens, "cachedContentTokenCount": usage.cache_read_tokens}
    return counts | {name: count for name, count in details.items() if count}
