"""Records what other GenAI instrumentations emit, for `tests/processors/test_dialects_recorded.py`. Run by hand.

The libraries exclude each other's versions, so each has an environment of its own:

    python3.11 -m venv ~/.cache/foreign/openinference
    ~/.cache/foreign/openinference/bin/pip install openinference-instrumentation-openai opentelemetry-sdk openai httpx
    ~/.cache/foreign/openinference/bin/python tests/foreign/record.py openinference

It knows `openai-v2` (opentelemetry-instrumentation-openai-v2 2.4b0 with opentelemetry-util-genai 0.4b0; newer ones do
not start together), `genai-openai` (opentelemetry-instrumentation-genai-openai), `openinference` and `traceloop`
(opentelemetry-instrumentation-openai). A second argument names the file where it is not the library's own:
`openai-v2-experimental` was made with `OTEL_SEMCONV_STABILITY_OPT_IN=gen_ai_latest_experimental`, `traceloop-0.40` with
version 0.40.14 (opentelemetry-sdk 1.38, openai 1). The real openai client talks to canned answers; nothing leaves the
process.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("TRACELOOP_TRACE_CONTENT", "false")

import httpx
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.trace import ReadableSpan

openai: Any = importlib.import_module("openai")  # in the recording environments only

_INSTRUMENTORS = {
    "openai-v2": ("opentelemetry.instrumentation.openai_v2", "OpenAIInstrumentor"),
    "genai-openai": ("opentelemetry.instrumentation.genai.openai", "OpenAIInstrumentor"),
    "openinference": ("openinference.instrumentation.openai", "OpenAIInstrumentor"),
    "traceloop": ("opentelemetry.instrumentation.openai", "OpenAIInstrumentor"),
}
_PACKAGES = (
    "openai",
    "openinference-instrumentation-openai",
    "openinference-semantic-conventions",
    "opentelemetry-instrumentation-genai-openai",
    "opentelemetry-instrumentation-openai",
    "opentelemetry-instrumentation-openai-v2",
    "opentelemetry-sdk",
    "opentelemetry-semantic-conventions-ai",
    "opentelemetry-util-genai",
)
_USAGE = {
    "prompt_tokens": 1200,
    "completion_tokens": 300,
    "total_tokens": 1500,
    "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 128, "audio_tokens": 0},
}
_SAID = [{"role": "user", "content": "Where is my order?"}]


def _completion() -> dict[str, Any]:
    message = {"role": "assistant", "content": "On its way."}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_750_000_000,
        "model": "gpt-4o-2024-08-06",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": _USAGE,
    }


def _chunks(*, with_usage: bool) -> str:
    head = {"id": "chatcmpl-2", "object": "chat.completion.chunk", "created": 1_750_000_000}
    head["model"] = "gpt-4o-2024-08-06"
    deltas = [({"role": "assistant", "content": "On"}, None), ({"content": " its way."}, None), ({}, "stop")]
    events: list[dict[str, Any]] = [
        {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]} for delta, reason in deltas
    ]
    if with_usage:
        events.append({**head, "choices": [], "usage": _USAGE})
    return "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"


def _responses_answer() -> dict[str, Any]:
    text = {"type": "output_text", "text": "On its way.", "annotations": []}
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_750_000_000,
        "status": "completed",
        "model": "gpt-4o-2024-08-06",
        "output": [{"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [text]}],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": 1200,
            "input_tokens_details": {"cached_tokens": 1024},
            "output_tokens": 300,
            "output_tokens_details": {"reasoning_tokens": 128},
            "total_tokens": 1500,
        },
    }


def _answer(request: httpx.Request) -> httpx.Response:
    body = json.loads(request.content)
    if body.get("model") == "gpt-4o-limited":
        return httpx.Response(429, json={"error": {"message": "Slow down", "type": "rate_limit", "code": "limited"}})
    if request.url.path.endswith("/embeddings"):
        data = [{"object": "embedding", "index": 0, "embedding": [0.1, 0.2]}]
        usage = {"prompt_tokens": 8, "total_tokens": 8}
        answer = {"object": "list", "model": "text-embedding-3-small", "data": data, "usage": usage}
        return httpx.Response(200, json=answer)
    if request.url.path.endswith("/responses"):
        return httpx.Response(200, json=_responses_answer())
    if body.get("stream"):
        with_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        headers = {"content-type": "text/event-stream"}
        return httpx.Response(200, headers=headers, text=_chunks(with_usage=with_usage))
    return httpx.Response(200, json=_completion())


def _client() -> Any:
    transport = httpx.Client(transport=httpx.MockTransport(_answer))
    return openai.OpenAI(api_key="none", base_url="https://api.openai.com/v1", http_client=transport, max_retries=0)


def _chat(client: Any) -> None:
    client.chat.completions.create(model="gpt-4o", messages=_SAID, temperature=0.2)


def _chat_stream(client: Any) -> None:
    options = {"include_usage": True}
    for _ in client.chat.completions.create(model="gpt-4o", messages=_SAID, stream=True, stream_options=options):
        pass


def _chat_stream_without_usage(client: Any) -> None:
    for _ in client.chat.completions.create(model="gpt-4o", messages=_SAID, stream=True):
        pass


def _chat_error(client: Any) -> None:
    with contextlib.suppress(openai.RateLimitError):
        client.chat.completions.create(model="gpt-4o-limited", messages=_SAID)


def _embeddings(client: Any) -> None:
    client.embeddings.create(model="text-embedding-3-small", input="Where is my order?", encoding_format="float")


def _responses(client: Any) -> None:
    client.responses.create(model="gpt-4o", input="Where is my order?")


_SCENARIOS: dict[str, Callable[[Any], None]] = {
    "chat": _chat,
    "chat_stream": _chat_stream,
    "chat_stream_without_usage": _chat_stream_without_usage,
    "chat_error": _chat_error,
    "embeddings": _embeddings,
    "responses": _responses,
}


def _as_json(span: ReadableSpan, scenario: str) -> dict[str, Any]:
    scope = span.instrumentation_scope
    return {
        "scenario": scenario,
        "name": span.name,
        "kind": span.kind.name,
        "scope": None if scope is None else scope.name,
        "status": span.status.status_code.name,
        "attributes": dict(span.attributes or {}),
        "events": [
            {"name": event.name, "type": (event.attributes or {}).get("exception.type")} for event in span.events
        ],
    }


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def main(library: str, target_name: str) -> None:
    """Run every scenario under one instrumentation and write what it recorded."""
    module, name = _INSTRUMENTORS[library]
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    getattr(importlib.import_module(module), name)().instrument(tracer_provider=provider)
    client = _client()
    spans = []
    for scenario, run in _SCENARIOS.items():
        run(client)
        spans += [_as_json(span, scenario) for span in exporter.get_finished_spans()]
        exporter.clear()
    target = Path(__file__).parent / "recorded" / f"{target_name}.json"
    target.write_text(json.dumps({"versions": _versions(), "spans": spans}, indent=1) + "\n")
    sys.stdout.write(f"{target.name}: {len(spans)} spans\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[-1])
