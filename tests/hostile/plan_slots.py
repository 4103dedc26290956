"""Slots of kaizen_agents' plans that are monitored."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from tests.hostile.slot import Slots

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.hostile.stage import Stage

SLOTS = Slots()
MONITOR = "kaizen_agents.orchestration.monitor:PlanMonitor"


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
