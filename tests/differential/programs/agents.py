"""Agents as `Kaizen.create_agent` makes them."""

from __future__ import annotations

from typing import Any

from kailash.runtime.local import LocalRuntime
from kaizen import Kaizen

ASKED = {"provider": "openai", "model": "gpt-4o-mini"}


def ask_one_question() -> Any:
    agent = Kaizen().create_agent("guide", ASKED)
    return agent.execute("Why is the sky blue?")


def ask_by_keyword() -> Any:
    agent = Kaizen().create_agent("guide", {**ASKED, "temperature": 0.1, "max_tokens": 200})
    return agent.execute(question="Why is the sky blue?")


def run_an_agents_workflow_yourself() -> Any:
    agent = Kaizen().create_agent("perf_test", {**ASKED, "system_prompt": "Be brief."})
    results, run_id = LocalRuntime().execute(agent.workflow.build())
    return results, run_id


def run_a_workflow_by_the_framework() -> Any:
    kaizen = Kaizen()
    agent = kaizen.create_agent("worker", ASKED)
    return kaizen.execute(agent.workflow.build())


def run_a_workflow_by_the_agent() -> Any:
    agent = Kaizen().create_agent("worker", ASKED)
    return agent.execute_workflow(agent.workflow.build())


def a_signature_as_text() -> Any:
    agent = Kaizen().create_agent("summary", ASKED, signature="text -> summary, confidence: float")
    return agent.execute(text="A long story."), agent.has_signature


def think_step_by_step() -> Any:
    agent = Kaizen().create_agent("thinker", ASKED, signature="problem -> answer, reasoning")
    return agent.execute_cot(problem="Three apples and five apples?")


def reason_and_act() -> Any:
    agent = Kaizen().create_agent("actor", ASKED, signature="task -> answer, action")
    return agent.execute_react(task="Find the order.")


def several_rounds() -> Any:
    agent = Kaizen().create_agent("iterative", ASKED, signature="input, state -> output, state")
    return agent.execute_multi_round(inputs=[{"input": "one"}, {"input": "two"}], rounds=2)


def talk_to_another_agent() -> Any:
    kaizen = Kaizen()
    asker, answerer = kaizen.create_agent("asker", ASKED), kaizen.create_agent("answerer", ASKED)
    return asker.communicate_with(answerer, "What do you think?", {"priority": "high"})


def tell_everybody() -> Any:
    kaizen = Kaizen()
    sender = kaizen.create_agent("sender", ASKED)
    others = [kaizen.create_agent(name, ASKED) for name in ("first", "second")]
    return sender.broadcast_message(others, "The meeting is at ten.")


def a_role_of_its_own() -> Any:
    kaizen = Kaizen()
    expert = kaizen.create_specialized_agent("expert", "Senior data scientist", ASKED)
    return expert.execute("What is a p-value?"), kaizen.list_agents()


def agents_are_made_found_and_removed() -> Any:
    kaizen = Kaizen(config={"debug": False})
    made = kaizen.create_agent("temporary", ASKED)
    found = kaizen.get_agent(made.agent_id) is made
    return found, kaizen.list_agents(), kaizen.remove_agent(made.agent_id), kaizen.list_agents()


def the_mock_provider() -> Any:
    agent = Kaizen().create_agent("mocked", {"provider": "mock", "model": "mock"})
    return agent.execute("What is 2 + 2?")


def an_agent_without_a_model() -> Any:
    return Kaizen().create_agent("nobody", {"provider": "openai"})


def an_agent_with_a_name_that_is_none() -> Any:
    return Kaizen().create_agent(None, ASKED)


def what_the_agent_remembers_of_its_runs() -> Any:
    agent = Kaizen().create_agent("guide", ASKED)
    agent.execute("one")
    agent.execute("two")
    return len(agent.get_execution_history()), sorted(agent.to_node_config())


def keys_of_the_monitoring_document() -> Any:
    kaizen = Kaizen(config={"performance_tracking": True, "transparency_enabled": True})
    agent = kaizen.create_agent("watched", {**ASKED, "transparency": {"monitoring_level": "comprehensive"}})
    return agent.execute("Are you watched?"), kaizen.config.get("performance_tracking")
