"""The patterns of kaizen_agents, each run as its docstring does."""

from __future__ import annotations

from typing import Any

from kaizen.core.base_agent import BaseAgent
from kaizen.core.config import BaseAgentConfig
from kaizen.memory.shared_memory import SharedMemoryPool
from kaizen.signatures import InputField, OutputField, Signature
from kaizen_agents.journey.core import Journey, Pathway
from kaizen_agents.llm import LLMClient
from kaizen_agents.orchestration.monitor import PlanMonitor
from kaizen_agents.patterns.patterns.consensus import create_consensus_pattern
from kaizen_agents.patterns.patterns.debate import create_debate_pattern
from kaizen_agents.patterns.patterns.handoff import create_handoff_pattern
from kaizen_agents.patterns.patterns.sequential import PipelineStageAgent, create_sequential_pipeline
from kaizen_agents.patterns.patterns.supervisor_worker import create_supervisor_worker_pattern
from kaizen_agents.patterns.pipeline import Pipeline
from kaizen_agents.supervisor import GovernedSupervisor
from kaizen_agents.types import PlanGradient, make_envelope

MODEL = {"llm_provider": "openai", "model": "gpt-4o"}


class _Question(Signature):
    question: str = InputField(desc="what to answer")
    answer: str = OutputField(desc="the answer")


def _agents(*names: str) -> list[Any]:
    config = BaseAgentConfig(llm_provider="openai", model="gpt-4o")
    return [BaseAgent(config, _Question(), agent_id=name, mcp_servers=[]) for name in names]


def an_ensemble() -> Any:
    *members, last = _agents("a", "b", "last")
    return Pipeline.ensemble(members, last, discovery_mode="all").run(question="x")


def a_blackboard() -> Any:
    *members, last = _agents("a", "b", "last")
    return Pipeline.blackboard(members, last, selection_mode="sequential", max_iterations=2).run(question="x")


def a_router() -> Any:
    return Pipeline.router(_agents("a", "b"), routing_strategy="round-robin").run(question="x")


def stages() -> Any:
    pool = SharedMemoryPool()
    made = [PipelineStageAgent(BaseAgentConfig(**MODEL), pool, name, name) for name in ("a", "b")]
    pattern = create_sequential_pipeline(stages=made, shared_memory=pool)
    done = pattern.execute_pipeline("x")
    return done, pattern.get_stage_results(done["pipeline_id"]) if "pipeline_id" in done else None


def a_handoff() -> Any:
    return create_handoff_pattern(**MODEL).execute_with_handoff("x")


def a_debate() -> Any:
    return create_debate_pattern(**MODEL).debate("x")


async def a_consensus() -> Any:
    return await create_consensus_pattern(num_voters=2, **MODEL).execute_async("x")


async def a_supervisor_and_workers() -> Any:
    return await create_supervisor_worker_pattern(num_workers=2, **MODEL).execute_async("x", num_tasks=2)


async def a_supervised_plan() -> Any:
    async def execute(*_: Any) -> Any:
        return {"result": "fine", "cost": 0.01}

    result = await GovernedSupervisor("gpt-4o").run("why?", execute_node=execute)
    return result.success, list(result.results.values())


async def a_monitored_plan() -> Any:
    async def execute(*_: Any) -> Any:
        return {"result": LLMClient(model="gpt-4o").complete([{"role": "user", "content": "why?"}]).content}

    plan = GovernedSupervisor("gpt-4o")._build_trivial_plan("why?", {})
    result = await PlanMonitor(LLMClient(model="gpt-4o"), make_envelope(), PlanGradient()).run_plan(plan, execute)
    return result.success, list(result.results.values()), [event.event_type.value for event in result.events]


class _Booking(Journey):
    __entry_pathway__ = "intake"

    class IntakePath(Pathway):
        __agents__ = ("a",)
        __next__ = "offers"
        __response_field__ = "final_output"

    class OffersPath(Pathway):
        __agents__ = ("a", "b")
        __pipeline__ = "parallel"
        __response_field__ = "results"


async def a_journey() -> Any:
    journey = _Booking(session_id="guest-7")
    for agent in _agents("a", "b"):
        journey.register_agent(agent.agent_id, agent)
    await journey.start()
    answers = [await journey.process_message(text) for text in ("a room, please", "with a view", " ")]
    return [(one.message, one.pathway_id, one.metadata.get("error")) for one in answers]
