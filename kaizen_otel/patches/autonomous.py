"""kaizen_agents' autonomous agents: their loop goes round without `AgentLoop`, so it is the execution itself.

The loop and not `run`: Kaizen's mixins keep the bound `run` of an agent that was made before us.
"""

from __future__ import annotations

from typing import Any

from kaizen_otel.patches.agents import begin_base_agent, by_itself, observe_base_agent
from kaizen_otel.patches.patcher import Patcher, Surface
from kaizen_otel.patches.watching import awaited


def apply(patcher: Patcher, module: Any) -> None:
    """`BaseAutonomousAgent._autonomous_loop(task, session_id=None)`, and with it that of the agents derived from it."""
    loop = awaited(begin_base_agent, observe_base_agent, unless=by_itself)
    patcher.wrap(module.BaseAutonomousAgent, "_autonomous_loop", loop)


SURFACE = Surface("kaizen_agents.agents.autonomous.base", apply)
