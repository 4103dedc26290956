"""What runs several agents: one `invoke_workflow` that groups them, never an execution of its own.

Its agents are executions below it, in one tree and one trace. A method that asks one agent alone
(`SupervisorWorkerPattern.delegate`, `ConsensusPattern.create_proposal`) is no group: that agent's run says all.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from kaizen_otel.invocations.scope import current_scope
from kaizen_otel.invocations.workflow import GroupInvocation
from kaizen_otel.patches.group_answers import (
    all_orchestrated_failed,
    itself_failed,
    last_failed,
    nothing_on_blackboard,
    observe_parallel,
    observe_plan,
    when,
)
from kaizen_otel.patches.patcher import Patcher, Surface
from kaizen_otel.patches.runtimes import already_watched
from kaizen_otel.patches.watching import awaited, blocking, nothing
from kaizen_processors.values import type_name

if TYPE_CHECKING:
    from kaizen_otel.patches.watching import Arguments, Begun, Keywords, Observe
    from kaizen_otel.telemetry import Telemetry

_PATTERNS = "kaizen_agents.patterns.patterns"

_ITSELF = when(itself_failed)

GROUPS: dict[str, dict[str, Observe]] = {
    "kaizen.orchestration.runtime": {"OrchestrationRuntime.run": when(all_orchestrated_failed)},
    "kaizen_agents.patterns.pipeline": {"SequentialPipeline.run": when(last_failed)},
    f"{_PATTERNS}.parallel": {"ParallelPipeline.run": observe_parallel},
    f"{_PATTERNS}.ensemble": {"EnsemblePipeline.run": _ITSELF},
    f"{_PATTERNS}.blackboard": {"BlackboardPipeline.run": when(nothing_on_blackboard)},
    f"{_PATTERNS}.meta_controller": {"MetaControllerPipeline.run": _ITSELF},
    # These answer alike whether or not their members failed.
    f"{_PATTERNS}.sequential": {"SequentialPipelinePattern.execute_pipeline": nothing},
    f"{_PATTERNS}.handoff": {"HandoffPattern.execute_with_handoff": nothing},
    f"{_PATTERNS}.debate": {"DebatePattern.debate": nothing, "DebatePattern.execute_async": nothing},
    f"{_PATTERNS}.consensus": {"ConsensusPattern.execute_async": nothing},
    f"{_PATTERNS}.supervisor_worker": {"SupervisorWorkerPattern.execute_async": nothing},
    "kaizen_agents.supervisor": {"GovernedSupervisor.run": observe_plan, "GovernedSupervisor.run_plan": observe_plan},
    "kaizen_agents.orchestration.monitor": {"PlanMonitor.run": observe_plan, "PlanMonitor.run_plan": observe_plan},
}
"""By module: the methods that run several agents, and what the answer tells."""


def _surface(module_name: str, methods: dict[str, Observe]) -> Surface:
    def apply_to(patcher: Patcher, module: Any) -> None:
        for method, observe in methods.items():
            class_name, _, name = method.partition(".")
            owner = getattr(module, class_name)
            is_async = inspect.iscoroutinefunction(inspect.getattr_static(owner, name, None))
            patcher.wrap(owner, name, (awaited if is_async else blocking)(begin, observe, unless=by_itself))

    return Surface(module_name, apply_to)


SURFACES = tuple(_surface(module, methods) for module, methods in GROUPS.items())


def begin(telemetry: Telemetry, group: Any, _args: Arguments, _kwargs: Keywords) -> Begun:
    """One run of the group."""
    return telemetry.workflow(lambda: describe(telemetry, group))


def by_itself(group: Any, _args: Arguments, _kwargs: Keywords) -> bool:
    """Whether this very run is being watched: one of the group's methods called another."""
    return already_watched(group)


def describe(telemetry: Telemetry, group: Any) -> GroupInvocation:
    """Which group: its class is its name, and what runs it."""
    name = type_name(group)
    return GroupInvocation(telemetry, current_scope(), subject=group, name=name, runtime=name)
