"""Delegates and adapters of kaizen_agents that the tests run. Imported inside tests only."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from kaizen_agents import Delegate
from kaizen_agents.delegate.adapters.registry import get_adapter
from kaizen_agents.delegate.loop import ToolRegistry

MODELS = {"openai": "gpt-4o", "anthropic": "claude-sonnet-4-5", "google": "gemini-2.5-flash", "ollama": "llama3.2"}
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


async def _weather(city: str) -> str:
    return f"rain in {city}"


async def _raises(city: str) -> str:
    raise LookupError(f"no weather in {city}")


async def _refused(city: str) -> str:
    from kaizen.llm.errors import ProviderError

    raise ProviderError(403, f"no weather in {city} for you")


async def _says_so(city: str) -> str:
    return json.dumps({"error": f"no weather in {city}"})


def tools(count: int = 0) -> ToolRegistry:
    """Three tools, one that works, and `count` that nobody asks for."""
    registry = ToolRegistry()
    for name, executor in (("weather", _weather), ("raises", _raises), ("refused", _refused), ("says_so", _says_so)):
        registry.register(name, f"{name} the weather", CITY, executor)
    for number in range(count):
        registry.register(f"spare_{number}", "never needed", CITY, _weather)
    return registry


def adapter(provider: str) -> Any:
    return get_adapter(provider, model=MODELS[provider])


def delegate(provider: str = "openai", **given: Any) -> Delegate:
    return Delegate(model=MODELS[provider], adapter=adapter(provider), **given)


async def read(events: Any) -> list[Any]:
    return [event async for event in events]


def events_of(runner: Delegate, prompt: str = "How is the weather?") -> list[Any]:
    return asyncio.run(read(runner.run(prompt)))


def chat_of(provider: str, **given: Any) -> Any:
    return adapter(provider).stream_chat([{"role": "user", "content": "hello"}], **given)
