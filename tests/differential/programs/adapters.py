"""kaizen_agents' runtime adapters: a task handed to somebody else's agent, or to the local loop."""

from __future__ import annotations

from typing import Any

from kaizen.runtime.context import ExecutionContext
from kaizen_agents.runtime_adapters import LocalKaizenAdapter
from kaizen_agents.runtime_adapters.claude_code import ClaudeCodeAdapter
from kaizen_agents.runtime_adapters.gemini_cli import GeminiCLIAdapter
from kaizen_agents.runtime_adapters.openai_codex import OpenAICodexAdapter

WEATHER = {
    "type": "function",
    "function": {"name": "weather", "description": "the weather", "parameters": {"type": "object", "properties": {}}},
}


def _task() -> ExecutionContext:
    return ExecutionContext(task="Say something about Paris.", session_id="s1")


async def _both(adapter: Any) -> Any:
    return await adapter.execute(_task()), [text async for text in adapter.stream(_task())]


async def codex() -> Any:
    return await _both(OpenAICodexAdapter(model="gpt-4o"))


async def codex_with_a_tool() -> Any:
    return await _both(OpenAICodexAdapter(model="gpt-4o", custom_tools=[WEATHER]))


async def codex_that_nobody_answers() -> Any:
    adapter = OpenAICodexAdapter(model="gpt-4o")
    await adapter.ensure_initialized()
    adapter._client = adapter._client.with_options(base_url="http://localhost:9/v1", max_retries=0)
    return await adapter.execute(_task())


async def gemini() -> Any:
    return await _both(GeminiCLIAdapter(model="gemini-2.5-flash"))


async def claude_code_that_is_not_there() -> Any:
    return await ClaudeCodeAdapter(model="claude-sonnet-4-5").execute(_task())


class _Provider:
    async def chat_async(self, **asked: Any) -> dict[str, Any]:
        return {"content": f"{len(asked['messages'])} messages", "usage": {"prompt_tokens": 10, "completion_tokens": 2}}


async def the_local_loop() -> Any:
    return await LocalKaizenAdapter(llm_provider=_Provider()).execute(_task())
