"""kaizen_agents' journeys (0.13): each message is a group, named after the journey's class, in the journey's session.

What a message asks for is done by the pipeline of the pathway that the journey has come to, a group of its own below.
What goes wrong in a pathway (an agent that nobody registered, say) is caught by Kaizen and handed on as a text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kaizen_otel.invocations.scope import current_scope
from kaizen_otel.invocations.values import attribute_of, bounded_text, entry_of
from kaizen_otel.invocations.workflow import GroupInvocation
from kaizen_otel.patches.group_answers import UNSUCCESSFUL
from kaizen_otel.patches.patcher import Patcher, Surface
from kaizen_otel.patches.watching import awaited
from kaizen_processors.values import type_name

if TYPE_CHECKING:
    from kaizen_otel.patches.watching import Arguments, Begun, Keywords
    from kaizen_otel.telemetry import Telemetry


def apply(patcher: Patcher, module: Any) -> None:
    """`PathwayManager.process_message`, which `Journey.process_message` calls."""
    patcher.wrap(module.PathwayManager, "process_message", awaited(begin, observe))


SURFACE = Surface("kaizen_agents.journey.manager", apply)


def begin(telemetry: Telemetry, manager: Any, _args: Arguments, _kwargs: Keywords) -> Begun:
    """One message to the journey."""
    return telemetry.workflow(lambda: describe(telemetry, manager))


def describe(telemetry: Telemetry, manager: Any) -> GroupInvocation:
    """Which journey, in which session."""
    return GroupInvocation(
        telemetry,
        current_scope(),
        subject=manager,
        name=type_name(attribute_of(manager, "journey")),
        runtime=type_name(manager),
        session_id=bounded_text(attribute_of(manager, "session_id")) or None,
    )


def observe(message: GroupInvocation, response: Any) -> None:
    """The pathway's error, where it had one."""
    error = bounded_text(entry_of(attribute_of(response, "metadata"), "error"), 1_024)
    if error:
        message.failed_with(UNSUCCESSFUL, error)
