"""Clients of the providers' SDKs that answer with one odd thing, and what of kaizen_agents uses them."""

from __future__ import annotations

import copy
import functools
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from kaizen_agents.delegate.adapters.anthropic_adapter import AnthropicStreamAdapter
from kaizen_agents.delegate.adapters.google_adapter import GoogleStreamAdapter
from kaizen_agents.delegate.adapters.ollama_adapter import OllamaStreamAdapter
from kaizen_agents.delegate.adapters.openai_adapter import OpenAIStreamAdapter
from kaizen_agents.delegate.adapters.protocol import StreamEvent
from kaizen_agents.delegate.delegate import Delegate
from kaizen_agents.delegate.loop import ToolRegistry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

MODELS = {"openai": "gpt-4o", "anthropic": "claude-sonnet-4-5", "google": "gemini-2.5-flash", "ollama": "llama3.2"}
URL = "http://localhost:9"


def _function(chunk: Callable[[], Any]) -> Any:
    async def chunks() -> AsyncIterator[Any]:
        yield chunk()

    async def create(**_: Any) -> Any:
        return chunks()

    return create


class _Manager:
    def __init__(self, chunk: Callable[[], Any]) -> None:
        self._chunk = chunk

    async def __aenter__(self) -> Any:
        async def chunks() -> AsyncIterator[Any]:
            yield self._chunk()

        return chunks()

    async def __aexit__(self, *_: object) -> None:
        return None


def adapter(provider: str, chunk: Callable[[], Any]) -> Any:
    """A real adapter, whose SDK streams one chunk."""
    made = copy.copy(_real(provider))
    if provider == "openai":
        completions = SimpleNamespace(create=_function(chunk))
        made._client = SimpleNamespace(base_url=URL, chat=SimpleNamespace(completions=completions))
    elif provider == "anthropic":
        messages = SimpleNamespace(stream=lambda **_: _Manager(chunk))
        made._client = SimpleNamespace(base_url=URL, messages=messages)
    elif provider == "google":
        models = SimpleNamespace(generate_content_stream=_function(chunk))
        made._client = SimpleNamespace(aio=SimpleNamespace(models=models))
    else:
        made._base_url = URL
    return made


_CLASSES = {
    "openai": OpenAIStreamAdapter,
    "anthropic": AnthropicStreamAdapter,
    "google": GoogleStreamAdapter,
    "ollama": OllamaStreamAdapter,
}


@functools.cache
def _real(provider: str) -> Any:
    """Made once: a client of an SDK takes longer to make than all that is tried on it."""
    return _CLASSES[provider](default_model=MODELS[provider])


class House:
    """An adapter of the application's own."""

    def __init__(self, event: Callable[[], Any], *later: Any) -> None:
        self._events = [event, *(lambda one=one: one for one in later)]

    async def stream_chat(self, **_: Any) -> AsyncIterator[Any]:
        if self._events:
            yield self._events.pop(0)()


def done(text: Any = "fine", **fields: Any) -> Any:
    """The last event of a stream."""
    return StreamEvent(**{"event_type": "done", "content": text, "model": "gpt-4o", **fields})


def asks_for(name: str, arguments: str = "{}") -> Any:
    """Two events: the model asks for a tool."""
    call = {"id": "c1", "type": "function", "function": {"name": name, "arguments": arguments}}
    return done("", tool_calls=[call], finish_reason="tool_calls")


def delegate(adapter: Any, tools: ToolRegistry | None = None) -> Any:
    return Delegate(model="gpt-4o", adapter=adapter, tools=tools)


def registry(executor: Any, spare: int = 0) -> ToolRegistry:
    """A tool, and some that nobody asks for."""
    found = ToolRegistry()
    for name in ("tool", *(f"spare_{number}" for number in range(spare))):
        found.register(name, "a tool", {"type": "object", "properties": {}}, executor)
    return found


async def read(items: Any) -> list[Any]:
    return [item async for item in items]
