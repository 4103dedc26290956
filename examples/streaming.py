"""A streamed answer: its span ends with the last chunk, knows when the first one came, and has a price."""

from __future__ import annotations

import asyncio
from typing import Any

from kaizen.core.base_agent import BaseAgent
from kaizen.core.config import BaseAgentConfig
from kaizen.llm import LlmClient, resolve_deployment_for
from kaizen.signatures import InputField, OutputField, Signature

import kaizen_otel

MODEL = "gpt-4o-mini"


class Tell(Signature):
    """Tell a very short story."""

    subject: str = InputField(description="what it is about")
    story: str = OutputField(description="the story")


class Narrator(BaseAgent):
    """An agent whose answer is shown while it is written."""


class Streaming:
    """Kaizen's own strategies wait for the whole answer; this one asks the model itself."""

    async def execute(self, agent: Any, inputs: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Show each piece as it comes; give all of them together."""
        client = LlmClient.from_deployment_sync(resolve_deployment_for("openai", agent.config.model))
        story = ""
        async for chunk in client.stream([{"role": "user", "content": f"{Tell.__doc__} {inputs['subject']}"}]):
            story += chunk["text"]
            print(chunk["text"], end="", flush=True)
        print()
        return {"story": story}


async def main() -> None:
    config = BaseAgentConfig(llm_provider="openai", model=MODEL, use_async_llm=True)
    narrator = Narrator(config, signature=Tell(), strategy=Streaming(), mcp_servers=[])
    with kaizen_otel.measure() as used:
        await narrator.run_async(subject="the sea")
    print(f"{used.output_tokens} tokens out, ${used.cost_usd:.7f}, complete: {used.complete}")


if __name__ == "__main__":
    # OpenAI counts the tokens of a stream only when it is asked to, and without tokens there is no price.
    kaizen_otel.instrument(console=True, stream_usage=True)
    asyncio.run(main())
