"""What is run: Kaizen's calls of the vendors' SDKs, and an application's own. They import Kaizen."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import anthropic
import openai

from tests.kaizen_otel.surfaces import delegates, scenes

if TYPE_CHECKING:
    from collections.abc import Callable

    from kaizen_otel.demo.model_server import ModelServer
    from tests.beside.libraries import Application

MODELS = {"openai": "gpt-4o", "anthropic": "claude-sonnet-4-5"}
SAID = [{"role": "user", "content": "hello"}]


def stream(vendor: str) -> Any:
    """A Delegate: its adapter streams by the SDK."""
    return delegates.events_of(delegates.delegate(vendor))


def blocking(vendor: str) -> Any:
    """One of kaizen_agents' clients that wait."""
    from kaizen_agents.llm import LLMClient
    from kaizen_agents.orchestration.adapters import AnthropicStructuredAdapter

    made = LLMClient(model=MODELS[vendor]) if vendor == "openai" else AnthropicStructuredAdapter(model=MODELS[vendor])
    return made.complete(SAID, max_tokens=64)


def own(vendor: str) -> Any:
    """The application's own call of the SDK, which Kaizen has no part in."""
    if vendor == "openai":
        with openai.OpenAI(max_retries=0) as client:
            return client.chat.completions.create(model=MODELS[vendor], messages=SAID)
    with anthropic.Anthropic(max_retries=0) as client:
        return client.messages.create(model=MODELS[vendor], messages=SAID, max_tokens=64)


async def responses(*, streamed: bool) -> Any:
    """kaizen_agents' Codex adapter: OpenAI's Responses API."""
    from kaizen.runtime.context import ExecutionContext
    from kaizen_agents.runtime_adapters.openai_codex import OpenAICodexAdapter

    adapter, task = OpenAICodexAdapter(model="gpt-4o"), ExecutionContext(task="hello", session_id="s1")
    return [text async for text in adapter.stream(task)] if streamed else await adapter.execute(task)


CALLS: dict[str, Callable[[str], Any]] = {"stream": stream, "blocking": blocking}


def agent_whose_tool_asks(vendor: str) -> Any:
    """An agent's run, in which the application itself asks the SDK, in a thread."""
    agent = scenes.base_agent(agent_id="desk", use_async_llm=True)
    execute = agent.strategy.execute

    async def execute_and_ask(*args: Any) -> Any:
        answer = await execute(*args)
        await asyncio.to_thread(own, vendor)
        return answer

    agent.strategy.execute = execute_and_ask
    return asyncio.run(agent.run_async(question="x"))


def kaizen_agent() -> Any:
    """Kaizen's own client (httpx, no SDK), in the thread that Kaizen starts for it."""
    return scenes.kaizen_agent("qa").execute(question="x")


def team() -> Any:
    """Two agents in threads of a pool."""
    from kaizen_agents.patterns.patterns.parallel import ParallelPipeline

    return ParallelPipeline([scenes.base_agent(agent_id=name) for name in ("a", "b")]).run(question="x")


def kaizen_stream() -> Any:
    """A stream of Kaizen's own client."""
    return asyncio.run(scenes.read_stream())


async def many_tasks() -> Any:
    """Agents in tasks, at the same time."""
    runs = [scenes.base_agent(agent_id=name, use_async_llm=True).run_async(question="x") for name in ("a", "b", "c")]
    return await asyncio.gather(*(asyncio.create_task(run) for run in runs))


ASKING: dict[str, tuple[Callable[[], Any], int]] = {
    "Kaizen's client": (kaizen_agent, 1),
    "Kaizen's client, streaming": (kaizen_stream, 1),
    "OpenAI's SDK, streaming": (lambda: stream("openai"), 1),
    "OpenAI's SDK": (lambda: blocking("openai"), 1),
    "Anthropic's SDK, streaming": (lambda: stream("anthropic"), 1),
    "Anthropic's SDK": (lambda: blocking("anthropic"), 1),
    "agents in threads": (team, 2),
    "agents in tasks": (lambda: asyncio.run(many_tasks()), 3),
}
"""What is asked, and how many requests that makes."""


def play(application: Application, asking: str) -> None:
    """Ask, in a span of the application's."""
    with application.caller():
        ASKING[asking][0]()


def sent(server: ModelServer) -> list[tuple[int, int]]:
    """Trace and span that each request names, in hexadecimal on the wire."""
    headers = [request.headers.get("traceparent", "") for request in server.requests]
    return [(int(header[3:35], 16), int(header[36:52], 16)) for header in headers if header]
