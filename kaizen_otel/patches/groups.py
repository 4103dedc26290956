"""What runs several agents: one `invoke_workflow` that groups them, never an execution of its own.

Its agents are executions below it, in one tree and one trace. A method that asks one agent alone
(`SupervisorWorkerPattern.delegate`, `ConsensusPattern.create_proposal`) is no group: that agent's run says all.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from kaizen_otel.invocations.scope import current_scope
from kaizen_otel.invocations.values import attribute_of
from kaizen_otel.invocations.workflow import WorkflowInvocation
from kaizen_otel.patches.patcher import Patcher, Surface
from kaizen_otel.patches.runtimes import already_watched
from kaizen_otel.patches.watching import awaited, blocking
from kaizen_processors.values import type_name

if TYPE_CHECKING:
    from kaizen_otel.patches.watching import Arguments, Begun, Keywords
    from kaizen_otel.telemetry import Telemetry

_PATTERNS = "kaizen_agents.patterns.patterns"

GROUPS = {
    "kaizen.orchestration.runtime": ("OrchestrationRuntime.run",),
    "kaizen_agents.patterns.pipeline": ("SequentialPipeline.run",),
    f"{_PATTERNS}.parallel": ("ParallelPipeline.run",),
    f"{_PATTERNS}.ensemble": ("EnsemblePipeline.run",),
    f"{_PATTERNS}.blackboard": ("BlackboardPipeline.run",),
    f"{_PATTERNS}.meta_controller": ("MetaControllerPipeline.run",),
    f"{_PATTERNS}.sequential": ("SequentialPipelinePattern.execute_pipeline",),
    f"{_PATTERNS}.handoff": ("HandoffPattern.execute_with_handoff",),
    f"{_PATTERNS}.debate": ("DebatePattern.debate", "DebatePattern.execute_async"),
    f"{_PATTERNS}.consensus": ("ConsensusPattern.execute_async",),
    f"{_PATTERNS}.supervisor_worker": ("SupervisorWorkerPattern.execute_async",),
    "kaizen_agents.supervisor": ("GovernedSupervisor.run", "GovernedSupervisor.run_plan"),
}
"""By module: the methods that run several agents."""

FAILED = "unsuccessful"
"""`error.type` of a run whose result says `success: False` and nothing more."""


def _surface(module_name: str, methods: tuple[str, ...]) -> Surface:
    def apply_to(patcher: Patcher, module: Any) -> None:
        for method in methods:
            class_name, _, name = method.partition(".")
            owner = getattr(module, class_name)
            is_async = inspect.iscoroutinefunction(inspect.getattr_static(owner, name, None))
            patcher.wrap(owner, name, (awaited if is_async else blocking)(begin, observe_result, unless=by_itself))

    return Surface(module_name, apply_to)


SURFACES = tuple(_surface(module, methods) for module, methods in GROUPS.items())


def begin(telemetry: Telemetry, group: Any, _args: Arguments, _kwargs: Keywords) -> Begun:
    """One run of the group."""
    return telemetry.workflow(lambda: describe(telemetry, group))


def by_itself(group: Any, _args: Arguments, _kwargs: Keywords) -> bool:
    """Whether this very run is being watched: one of the group's methods called another."""
    return already_watched(group)


def describe(telemetry: Telemetry, group: Any) -> WorkflowInvocation:
    """Which group: its class is its name, and what runs it."""
    name = type_name(group)
    return WorkflowInvocation(telemetry, current_scope(), subject=group, name=name, runtime=name)


def observe_result(group: WorkflowInvocation, result: Any) -> None:
    """`GovernedSupervisor` returns what failed instead of raising it."""
    if type_name(result) == "SupervisorResult" and attribute_of(result, "success") is False:
        group.failed_with(FAILED)
