"""Slots of kaizen_agents' plans that are monitored, and of its journeys."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from tests.hostile.group_slots import _Agent
from tests.hostile.slot import Slots

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.hostile.stage import Stage

SLOTS = Slots()
MONITOR = "kaizen_agents.orchestration.monitor:PlanMonitor"
JOURNEY = "kaizen_agents.journey.manager:PathwayManager.process_message"


def _monitored(stage: Stage, method: str, answer: Callable[[], Any]) -> Any:
    from kaizen_agents.orchestration.monitor import PlanMonitor
    from kaizen_agents.supervisor import GovernedSupervisor
    from kaizen_agents.types import GradientZone, PlanGradient, make_envelope

    async def execute(*_: Any) -> Any:
        return answer()

    plan = GovernedSupervisor("gpt-4o")._build_trivial_plan("why?", {})
    monitor = PlanMonitor(None, make_envelope(), PlanGradient(0, GradientZone.BLOCKED))
    monitor._decomposer = SimpleNamespace(decompose=lambda **_: [])
    monitor._composer = SimpleNamespace(compose_and_validate=lambda **_: (plan, []))
    given: tuple[Any, ...] = ("why?", {}, execute) if method == "run" else (plan, execute)
    result = stage.run(getattr(monitor, method)(*given))
    return result.success, list(result.results.values()), [node.error for node in result.plan.nodes.values()]


@SLOTS.add(f"{MONITOR}.run")
def monitored_answer(stage: Stage) -> Any:
    return _monitored(stage, "run", lambda: {"result": stage.give()})


@SLOTS.add(f"{MONITOR}.run", takes="error")
def monitored_raises(stage: Stage) -> Any:
    return _monitored(stage, "run", stage.throw)


@SLOTS.add(f"{MONITOR}.run_plan")
def monitored_plan_answer(stage: Stage) -> Any:
    return _monitored(stage, "run_plan", lambda: {"result": stage.give()})


def _journey(stage: Stage, answer: Callable[[], Any], session_id: Any = "s1") -> Any:
    from kaizen_agents.journey.core import Journey, Pathway

    class Booking(Journey):
        class IntakePath(Pathway):
            __agents__ = ("a",)
            __response_field__ = "final_output"

    journey = Booking("s1")
    journey.register_agent("a", _Agent(answer))

    async def message() -> Any:
        await journey.start()
        journey.manager.session_id = session_id
        return await journey.process_message("x")

    response = stage.run(message())
    return response.message, response.pathway_id, response.metadata["error"]


@SLOTS.add(JOURNEY)
def journey_answer(stage: Stage) -> Any:
    return _journey(stage, stage.give)


@SLOTS.add(JOURNEY)
def journey_session(stage: Stage) -> Any:
    return _journey(stage, lambda: {"answer": stage.give()}, stage.value)


@SLOTS.add(JOURNEY, takes="error")
def journey_raises(stage: Stage) -> Any:
    return _journey(stage, stage.throw)
