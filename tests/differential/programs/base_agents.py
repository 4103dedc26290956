"""Agents that extend `BaseAgent`."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from kaizen.core.base_agent import BaseAgent
from kaizen.core.config import BaseAgentConfig
from kaizen.memory.buffer import BufferMemory
from kaizen.memory.shared_memory import SharedMemoryPool
from kaizen.signatures import InputField, OutputField, Signature
from kaizen.strategies.multi_cycle import MultiCycleStrategy
from kaizen.strategies.single_shot import SingleShotStrategy


@dataclass
class QaConfig:
    llm_provider: str = "openai"
    model: str = "gpt-4o"
    temperature: float = 0.1
    max_tokens: int = 300


class Qa(Signature):
    """Answer questions in one sentence."""

    question: str = InputField(desc="what is asked")
    context: str = InputField(desc="what is known", default="")
    answer: str = OutputField(desc="the answer")
    confidence: float = OutputField(desc="how sure, 0 to 1")


class QaAgent(BaseAgent):
    def __init__(self, **given: Any) -> None:
        super().__init__(config=QaConfig(), signature=Qa(), mcp_servers=[], **given)

    def ask(self, question: str, **more: Any) -> Any:
        return self.run(question=question, **more)


def ask_one_question() -> Any:
    return QaAgent().ask("What is the capital of France?")


def ask_with_a_context() -> Any:
    return QaAgent(agent_id="qa").ask("Which city?", context="We speak of France.")


async def ask_inside_a_running_loop() -> Any:
    return QaAgent().ask("Still there?")


async def ask_without_waiting() -> Any:
    agent = BaseAgent(
        config=BaseAgentConfig(llm_provider="openai", model="gpt-4o", use_async_llm=True),
        signature=Qa(),
        mcp_servers=[],
    )
    return await agent.run_async(question="Now?")


async def ask_without_having_asked_for_it() -> Any:
    return await QaAgent().run_async(question="Now?")


async def three_questions_at_once() -> Any:
    agents = [QaAgent(agent_id=f"qa{number}") for number in range(3)]
    return await asyncio.gather(*(asyncio.to_thread(agent.ask, f"Question {n}?") for n, agent in enumerate(agents)))


def one_shot() -> Any:
    return QaAgent(strategy=SingleShotStrategy()).ask("Once?")


def several_cycles() -> Any:
    return QaAgent(strategy=MultiCycleStrategy(max_cycles=2)).ask("Twice?")


def a_memory_of_the_session() -> Any:
    agent = QaAgent(memory=BufferMemory(max_turns=10))
    agent.ask("My name is Ada.", session_id="s1")
    second = agent.ask("What is my name?", session_id="s1")
    return second, agent.memory.load_context("s1")["turn_count"]


def two_agents_share_what_they_know() -> Any:
    pool = SharedMemoryPool()
    first, second = QaAgent(agent_id="first", shared_memory=pool), QaAgent(agent_id="second", shared_memory=pool)
    first.write_to_memory(content={"found": 1}, tags=["finding"], importance=0.9)
    return second.ask("What was found?"), [seen["content"] for seen in pool.read_all()]


def a_missing_input() -> Any:
    return QaAgent().run()


def as_a_workflow() -> Any:
    return sorted(QaAgent(agent_id="qa").to_workflow().build().nodes)


def the_parameters_of_an_agent() -> Any:
    return sorted(QaAgent(agent_id="qa").get_parameters())


class Refined(QaAgent):
    def run(self, **inputs: Any) -> Any:
        return {**super().run(**inputs), "refined": True}


def an_agent_that_overrides_run() -> Any:
    return Refined(agent_id="refined").ask("Better?")


class Asking(QaAgent):
    def ask(self, question: str, **more: Any) -> Any:
        inner = QaAgent(agent_id="inner").ask("What would you say?")
        return super().ask(f"{question} {inner['answer']}", **more)


def an_agent_that_asks_another() -> Any:
    return Asking(agent_id="outer").ask("What do we say?")
