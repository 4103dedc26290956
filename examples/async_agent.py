"""Three questions at once: each run is an execution of its own, and each block knows what it cost."""

from __future__ import annotations

import asyncio

from kaizen.core.base_agent import BaseAgent
from kaizen.core.config import BaseAgentConfig
from kaizen.signatures import InputField, OutputField, Signature

import kaizen_otel

QUESTIONS = ("Why is the sky blue?", "Why is the sea salty?", "Why is grass green?")


class Explain(Signature):
    """Explain it to a child, in one sentence."""

    question: str = InputField(description="the question")
    answer: str = OutputField(description="the answer")
    confidence: float = OutputField(description="how sure you are, from 0 to 1")


class Scientist(BaseAgent):
    """Its class is its name in spans and metrics."""


async def ask(agent: Scientist, question: str) -> str:
    with kaizen_otel.measure() as used:
        result = await agent.run_async(question=question)
    return f"{question} {result['answer']} ({used.total_tokens} tokens, ${used.cost_usd:.7f})"


async def main() -> None:
    config = BaseAgentConfig(
        llm_provider="openai",
        model="gpt-4o-mini",
        response_format={"type": "json_object"},
        use_async_llm=True,
    )
    agent = Scientist(config, signature=Explain(), mcp_servers=[])
    with kaizen_otel.measure() as used:
        for line in await asyncio.gather(*(ask(agent, question) for question in QUESTIONS)):
            print(line)
    print(f"{used.model_calls} calls, {used.total_tokens} tokens, ${used.cost_usd:.7f}")


if __name__ == "__main__":
    kaizen_otel.instrument(console=True)
    asyncio.run(main())
