"""What each key of Kaizen's dictionaries does that can be seen at run time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.kaizen_otel.settings.effects import agents, alerting, exporters, monitoring

if TYPE_CHECKING:
    from collections.abc import Callable

EFFECTS: dict[str, Callable[..., None]] = {
    **monitoring.EFFECTS,
    **exporters.EFFECTS,
    **alerting.EFFECTS,
    **agents.EFFECTS,
}
