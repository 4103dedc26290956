"""kaizen_agents: Delegates, adapters, pipelines, wrappers, clients of the vendors' SDKs."""

from __future__ import annotations

import asyncio
import inspect
from contextlib import aclosing
from typing import Any

from kaizen.core.base_agent import BaseAgent
from kaizen.core.config import BaseAgentConfig
from kaizen.memory.buffer import BufferMemory
from kaizen.orchestration.runtime import OrchestrationRuntime, OrchestrationStrategy
from kaizen.signatures import InputField, OutputField, Signature
from kaizen_agents import Delegate
from kaizen_agents.delegate.adapters.registry import get_adapter
from kaizen_agents.delegate.loop import ToolRegistry
from kaizen_agents.llm import LLMClient
from kaizen_agents.monitored_agent import MonitoredAgent
from kaizen_agents.patterns.patterns.parallel import ParallelPipeline
from kaizen_agents.patterns.pipeline import SequentialPipeline
from kaizen_agents.streaming_agent import StreamingAgent

MODELS = {"openai": "gpt-4o", "anthropic": "claude-sonnet-4-5", "google": "gemini-2.5-flash", "ollama": "llama3.2"}
HELLO = [{"role": "user", "content": "Hello!"}]


class Question(Signature):  # type: ignore[misc,unused-ignore]
    question: str = InputField(desc="what to answer")
    answer: str = OutputField(desc="the answer")


def _agent(name: str, **config: Any) -> Any:
    given = BaseAgentConfig(llm_provider="openai", model="gpt-4o", **config)
    return BaseAgent(given, Question(), agent_id=name, mcp_servers=[], memory=BufferMemory())


def _tools() -> ToolRegistry:
    async def weather(city: str = "") -> str:
        return f"rain in {city}"

    registry = ToolRegistry()
    registry.register("weather", "the weather", {"type": "object", "properties": {"city": {"type": "string"}}}, weather)
    return registry


def _delegate(provider: str = "openai", **given: Any) -> Any:
    adapter = get_adapter(provider, model=MODELS[provider])
    return Delegate(model=MODELS[provider], adapter=adapter, **given)


def _seen(event: Any) -> Any:
    return {name: value for name, value in vars(event).items() if name not in {"timestamp", "call_id"}}


async def delegates() -> Any:
    return {name: [_seen(event) async for event in _delegate(name, tools=_tools()).run("Hello!")] for name in MODELS}


def a_delegate_that_blocks() -> Any:
    return _delegate().run_sync("Hello!")


async def a_delegate_that_blocks_in_a_loop() -> Any:
    return _delegate().run_sync("Hello!")


async def a_delegate_is_left_early() -> Any:
    async with aclosing(_delegate().run("Hello!")) as events:
        return _seen(await anext(events)), inspect.isasyncgen(events)


async def a_delegate_without_a_prompt() -> Any:
    return [_seen(event) async for event in _delegate().run("")]


async def adapters() -> Any:
    return {
        name: [vars(event) async for event in get_adapter(name, model=model).stream_chat(HELLO)]
        for name, model in MODELS.items()
    }


async def an_adapter_that_is_asked_wrongly() -> Any:
    return [event async for event in get_adapter("openai", model="gpt-4o").stream_chat()]


def a_client_that_waits() -> Any:
    answer = LLMClient(model="gpt-4o").complete(HELLO, temperature=0.2)
    return answer.content, answer.usage, type(answer.raw).__name__


def a_pipeline() -> Any:
    return SequentialPipeline([_agent("a"), _agent("b")]).run(question="Where?")


def a_parallel_pipeline() -> Any:
    return ParallelPipeline([_agent("a"), _agent("b")]).run(question="Where?")


async def a_parallel_pipeline_in_a_loop() -> Any:
    return ParallelPipeline([_agent("a"), _agent("b")]).run(question="Where?")


async def an_orchestration() -> Any:
    runtime = OrchestrationRuntime(OrchestrationStrategy.sequential())
    runtime.add_agent("a", _agent("a", use_async_llm=True))
    return await runtime.run("Where?")


def wrapped_agents() -> Any:
    return MonitoredAgent(_agent("a"), budget_usd=1.0).run(question="Where?")


async def a_streaming_agent() -> Any:
    return [_seen(event) async for event in StreamingAgent(_agent("a")).run_stream(question="Where?")]


async def two_delegates_at_once() -> Any:
    async def read() -> Any:
        return [_seen(event) async for event in _delegate().run("Hello!")]

    return await asyncio.gather(read(), read())
