"""Kaizen's own client of the model providers."""

from __future__ import annotations

import asyncio
from typing import Any

from kaizen.llm.client import LlmClient
from kaizen.llm.deployment_resolver import resolve_deployment_for

MODELS = {"openai": "gpt-4o", "anthropic": "claude-sonnet-4-5", "ollama": "llama3.2", "google": "gemini-2.5-flash"}
HELLO = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello!"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "the weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def _client(provider: str) -> Any:
    return LlmClient.from_deployment_sync(resolve_deployment_for(provider, MODELS[provider]))


async def openai() -> Any:
    return await _client("openai").complete(HELLO, temperature=0.2, max_tokens=50)


async def anthropic() -> Any:
    return await _client("anthropic").complete(HELLO, max_tokens=50)


async def ollama() -> Any:
    return await _client("ollama").complete(HELLO)


async def google() -> Any:
    return await _client("google").complete(HELLO)


async def a_tool_is_asked_for() -> Any:
    return await _client("openai").complete(HELLO, tools=[WEATHER])


async def the_tools_answer_goes_back() -> Any:
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
    messages = [
        *HELLO,
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
    ]
    return await _client("openai").complete(messages, tools=[WEATHER])


async def an_answer_as_json() -> Any:
    schema = {"name": "city", "schema": {"type": "object", "properties": {"city": {"type": "string"}}}}
    wanted = {"type": "json_schema", "json_schema": schema}
    return await _client("openai").complete(HELLO, response_format=wanted)


async def streams() -> Any:
    return {provider: [chunk async for chunk in _client(provider).stream(HELLO)] for provider in MODELS}


async def a_stream_is_left_early() -> Any:
    stream = _client("openai").stream(HELLO)
    first = await anext(stream)
    await stream.aclose()
    return first


async def two_streams_at_once() -> Any:
    async def read() -> Any:
        return [chunk async for chunk in _client("openai").stream(HELLO)]

    return await asyncio.gather(read(), read())


async def embeddings() -> Any:
    client = LlmClient.from_deployment_sync(resolve_deployment_for("openai", "text-embedding-3-small"))
    return await client.embed(["one text", "another text"])


async def ten_calls_at_once() -> Any:
    client = _client("openai")
    return await asyncio.gather(*(client.complete(HELLO) for _ in range(10)))


async def a_call_is_cancelled() -> Any:
    task = asyncio.ensure_future(_client("openai").complete(HELLO))
    await asyncio.sleep(0)
    task.cancel()
    return await task


async def messages_that_are_none() -> Any:
    return await _client("openai").complete(None)
