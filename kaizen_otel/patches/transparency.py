"""`get_transparency_interface()` on `Kaizen` and on agents: Kaizen has no such method, and we add it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kaizen_otel.patches.agents import describe_base_agent
from kaizen_otel.patches.patcher import Patcher, Surface

if TYPE_CHECKING:
    from collections.abc import Callable

    from kaizen_otel.transparency.agent_interface import AgentTransparency
    from kaizen_otel.transparency.interface import KaizenTransparencyInterface

NAME = "get_transparency_interface"


def of_kaizen(self: Any) -> KaizenTransparencyInterface:
    """The transparency interface of this framework: always the same one."""
    from kaizen_otel.transparency.interface import interface_of  # noqa: PLC0415 - loaded when used

    return interface_of(self)


def of_agent(self: Any) -> AgentTransparency:
    """What is known of this agent, under the name that its executions have."""
    from kaizen_otel.transparency.interface import interface_of  # noqa: PLC0415 - loaded when used

    return interface_of().agent(describe_base_agent(self, {}).agent_name)


def apply_kaizen(patcher: Patcher, module: Any) -> None:
    """`kaizen.core.framework.Kaizen`."""
    _add(patcher, module.Kaizen, of_kaizen)


def apply_agent(patcher: Patcher, module: Any) -> None:
    """`kaizen.core.agents.Agent`."""
    _add(patcher, module.Agent, of_agent)


def apply_base_agent(patcher: Patcher, module: Any) -> None:
    """`kaizen.core.base_agent.BaseAgent`."""
    _add(patcher, module.BaseAgent, of_agent)


SURFACES = (
    Surface("kaizen.core.framework", apply_kaizen),
    Surface("kaizen.core.agents", apply_agent),
    Surface("kaizen.core.base_agent", apply_base_agent),
)


def _add(patcher: Patcher, owner: Any, method: Callable[..., Any]) -> None:
    """Add the method where Kaizen has none of that name (2.46 has none; a later one may), and take it away again."""
    if hasattr(owner, NAME):
        return
    setattr(owner, NAME, method)

    def take_away() -> None:
        if vars(owner).get(NAME) is method:
            delattr(owner, NAME)

    patcher.on_turn_off(take_away)
