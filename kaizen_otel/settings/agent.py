"""`AgentSettings`: what holds for one agent only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kaizen_otel.settings.levels import MonitoringLevel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kaizen_otel.settings.model import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """What one agent says of itself in `create_agent(…, {"transparency": {…}})`; `None` leaves what `Settings` say."""

    monitoring_level: MonitoringLevel | None = None
    deferred_histograms: bool | None = None

    @classmethod
    def from_config(cls, transparency: Mapping[str, Any] | bool) -> AgentSettings:
        """Read the `transparency` of an agent's configuration; `False` switches monitoring off for it.

        Raises:
            SettingsError: a key is unknown, has a wrong value, or is not available yet.
        """
        from kaizen_otel.settings.spec_dictionaries import from_agent_config  # noqa: PLC0415 - it builds on this module

        return from_agent_config(transparency)

    def over(self, settings: Settings) -> Settings:
        """Give `settings` as they hold for this agent. Monitoring that is off stays off."""
        if settings.monitoring_level is MonitoringLevel.OFF:
            return settings
        own = {name: getattr(self, name) for name in self.__slots__}
        changes = {name: value for name, value in own.items() if value is not None}
        return settings.replace(**changes) if changes else settings
