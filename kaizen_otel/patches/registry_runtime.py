"""kaizen_agents' `OrchestrationRuntime` (0.13), with a registry of agents: what one call of it starts is a group.

Tasks go to agents as nodes of one workflow; a task is tried again where its agent raises; and an agent is chosen by
asking a model about each of them. `execute_workflow` runs a workflow of the application's, which says all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kaizen_otel.invocations.values import attribute_of, bounded_text
from kaizen_otel.patches.group_answers import observe_tasks
from kaizen_otel.patches.groups import begin, by_itself
from kaizen_otel.patches.patcher import Patcher, Surface
from kaizen_otel.patches.watching import awaited

if TYPE_CHECKING:
    from kaizen_otel.patches.watching import Arguments, Keywords


def apply(patcher: Patcher, module: Any) -> None:
    """The methods that may start several executions."""
    runtime = module.OrchestrationRuntime
    patcher.wrap(runtime, "execute_multi_agent_workflow", awaited(begin, observe_tasks, unless=by_itself))
    patcher.wrap(runtime, "execute_task", awaited(begin, unless=by_itself))
    patcher.wrap(runtime, "route_task", awaited(begin, unless=asks_nobody))


SURFACE = Surface("kaizen_agents.patterns.runtime", apply)


def asks_nobody(runtime: Any, args: Arguments, kwargs: Keywords) -> bool:
    """Whether `route_task(task, strategy)` chooses without a model, or for what is being watched already."""
    strategy = args[1] if len(args) > 1 else kwargs.get("strategy")
    if strategy is None:
        strategy = attribute_of(attribute_of(runtime, "config"), "default_routing_strategy")
    return by_itself(runtime, args, kwargs) or bounded_text(strategy) != "semantic"
