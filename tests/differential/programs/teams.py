"""Several agents, and what surrounds them: orchestration, sessions, tools, memory."""

from __future__ import annotations

from typing import Any

from kaizen import Kaizen
from kaizen.core.base_agent import BaseAgent
from kaizen.core.config import BaseAgentConfig
from kaizen.memory.buffer import BufferMemory
from kaizen.orchestration.runtime import OrchestrationRuntime, OrchestrationStrategy
from kaizen.signatures import InputField, OutputField, Signature

ASKED = {"provider": "openai", "model": "gpt-4o-mini"}


class Step(Signature):
    input: str = InputField(desc="what came before")
    response: str = OutputField(desc="what comes next")


def _worker(name: str) -> Any:
    config = BaseAgentConfig(llm_provider="openai", model="gpt-4o-mini", use_async_llm=True)
    return BaseAgent(config=config, signature=Step(), mcp_servers=[], agent_id=name)


def _team(strategy: Any) -> Any:
    runtime = OrchestrationRuntime(strategy)
    for name in ("first", "second"):
        runtime.add_agent(name, _worker(name))
    return runtime


async def one_after_the_other() -> Any:
    return (await _team(OrchestrationStrategy.sequential()).run("begin")).to_dict()


async def side_by_side() -> Any:
    return (await _team(OrchestrationStrategy.parallel()).run("begin")).to_dict()


async def one_leads() -> Any:
    return (await _team(OrchestrationStrategy.hierarchical("first")).run("begin")).to_dict()


def without_a_loop() -> Any:
    return _team(OrchestrationStrategy.sequential()).run_sync("begin").to_dict()


def a_session_of_agents() -> Any:
    kaizen = Kaizen(config={"multi_agent_enabled": True})
    agents = [kaizen.create_agent(name, ASKED) for name in ("first", "second")]
    session = kaizen.create_session(session_id="s1", agents=agents)
    workflow = agents[0].workflow.build()
    return session.execute(workflow), len(session.get_agents())


def a_coordinator() -> Any:
    kaizen = Kaizen(config={"multi_agent_enabled": True})
    agents = [kaizen.create_agent(name, ASKED) for name in ("first", "second")]
    coordinator = kaizen.create_coordinator("consensus", agents)
    return coordinator.execute("Agree on a name.")


def a_debate() -> Any:
    kaizen = Kaizen(config={"multi_agent_enabled": True})
    agents = [kaizen.create_agent(name, ASKED) for name in ("pro", "contra")]
    return kaizen.create_debate_workflow(agents, "Tabs or spaces?", rounds=1)


def workflows_of_agents_and_what_they_come_to() -> Any:
    kaizen = Kaizen(config={"multi_agent_enabled": True})
    first, second = [kaizen.create_agent(name, ASKED) for name in ("first", "second")]
    made = (
        kaizen.create_debate_workflow([first, second], "Tabs or spaces?", rounds=1),
        kaizen.create_consensus_workflow([first, second], "A name"),
        kaizen.create_supervisor_worker_workflow(first, [second], "Count the files."),
    )
    return [workflow.execute() for workflow in made]


def a_memory_by_itself() -> Any:
    memory = BufferMemory(max_turns=2)
    for number in range(3):
        memory.save_turn("s1", {"user": f"u{number}", "agent": f"a{number}"})
    return memory.load_context("s1")


def a_signature_by_the_framework() -> Any:
    kaizen = Kaizen(config={"signature_programming_enabled": True})
    signature = kaizen.create_signature("question -> answer", name="qa")
    return type(signature).__name__, kaizen.list_signatures()
