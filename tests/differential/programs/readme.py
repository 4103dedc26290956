"""What the examples of Kaizen's README do, where its classes stand in 2.46 (`examples.md`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kaizen.core.base_agent import BaseAgent
from kaizen.signatures import InputField, OutputField, Signature
from kaizen_agents import Agent
from kaizen_agents.agents.specialized.chain_of_thought import ChainOfThoughtAgent, ChainOfThoughtConfig
from kaizen_agents.agents.specialized.simple_qa import SimpleQAAgent, SimpleQAConfig


def _simple(**given: Any) -> SimpleQAAgent:
    return SimpleQAAgent(config=SimpleQAConfig(**{"llm_provider": "openai", "model": "gpt-4o", **given}))


def a_first_agent() -> Any:
    return _simple().run(question="Which gas do plants take in?")


def an_agent_with_a_memory() -> Any:
    agent = _simple(max_turns=10)
    return [agent.run(question=said, session_id="visitor") for said in ("I am Ada.", "Who am I?")]


def an_agent_for_production() -> Any:
    limits = {"max_tokens": 500, "timeout": 30, "retry_attempts": 3, "max_turns": 50}
    return _simple(temperature=0.1, min_confidence_threshold=0.7, **limits).run(question="Which gas do plants take in?")


def an_agent_of_the_mock_provider() -> Any:
    return _simple(llm_provider="mock").run(question="How much is two and two?")


def thinking_in_steps() -> Any:
    agent = ChainOfThoughtAgent(config=ChainOfThoughtConfig(llm_provider="openai", model="gpt-4o"))
    return agent.run(problem="A box holds six eggs; how many do four boxes hold?")


@dataclass
class MoodConfig:
    llm_provider: str = "openai"
    model: str = "gpt-4o"
    temperature: float = 0.2
    moods: list[str] = field(default_factory=lambda: ["good", "bad"])


class Mood(Signature):
    """Say which mood a text is in."""

    text: str = InputField(desc="a text")
    answer: str = OutputField(desc="the mood")
    confidence: float = OutputField(desc="how sure, 0 to 1")


class MoodAgent(BaseAgent):
    def __init__(self, config: MoodConfig) -> None:
        super().__init__(config=config, signature=Mood())
        self.moods = config.moods

    def analyze(self, text: str) -> Any:
        result = self.run(text=text)
        return {**result, "known": result.get("answer") in self.moods}


def an_agent_with_a_configuration_of_its_own() -> Any:
    return MoodAgent(MoodConfig()).analyze("What a day.")


async def an_agent_that_finds_tools() -> Any:
    tools = await _simple().discover_tools(category="file", safe_only=True)
    return sorted(getattr(tool, "name", str(tool)) for tool in tools)


def an_agent_as_a_workflow() -> Any:
    return sorted(_simple().to_workflow().build().nodes)


async def an_agent_of_the_newer_interface() -> Any:
    return await Agent(model="claude-sonnet-4-6", budget_usd=5.0).run("What is in this folder?")
