"""The agents that kaizen_agents brings, each asked as its docstring does."""

from __future__ import annotations

from typing import Any

from kaizen_agents.agents.specialized.code_generation import CodeGenerationAgent
from kaizen_agents.agents.specialized.memory_agent import MemoryAgent
from kaizen_agents.agents.specialized.pev import PEVAgent
from kaizen_agents.agents.specialized.planning import PlanningAgent
from kaizen_agents.agents.specialized.react import ReActAgent
from kaizen_agents.agents.specialized.self_reflection import SelfReflectionAgent
from kaizen_agents.agents.specialized.simple_qa import SimpleQAAgent
from kaizen_agents.agents.specialized.tree_of_thoughts import ToTAgent

ASKED: dict[str, Any] = {"llm_provider": "openai", "model": "gpt-4o", "mcp_servers": []}


def an_answer() -> Any:
    return SimpleQAAgent(**ASKED).run("What is machine learning?")


def code() -> Any:
    return CodeGenerationAgent(**ASKED).run("Sort a list.")


def a_memory_of_turns() -> Any:
    agent = MemoryAgent(**ASKED)
    said = [agent.run("My name is Ann.", session_id="s1"), agent.chat("What is my name?", session_id="s1")]
    counted = agent.get_conversation_count("s1")
    agent.clear_memory("s1")
    return said, counted, agent.get_conversation_count("s1")


def a_second_thought() -> Any:
    return SelfReflectionAgent(**ASKED).run("What is machine learning?")


def reasons_and_acts() -> Any:
    return ReActAgent(**ASKED).run("Find the capital of France.")


def plans_executes_verifies() -> Any:
    return PEVAgent(**ASKED).run("Write a line.")


def a_plan() -> Any:
    return PlanningAgent(**ASKED).run(task="Organize a meeting.")


def a_plan_for_nothing() -> Any:
    return PlanningAgent(**ASKED).run(task=" ")


def thoughts() -> Any:
    return ToTAgent(num_paths=2, **ASKED).run(task="Choose a city.")
