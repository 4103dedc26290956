"""`AgentSettings`: what holds for one agent only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kaizen_otel.settings.errors import Refusals, SettingsError
from kaizen_otel.settings.levels import MonitoringLevel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kaizen_otel.settings.model import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """What one agent says of itself in `create_agent(…, {"transparency": {…}})`; `None` leaves what `Settings` say."""

    monitoring_level: MonitoringLevel | None = None
    deferred_histograms: bool | None = None
    performance_profiling: bool | None = None
    """Whether its executions say what they used, whatever the level; `None`: as the level says."""

    @classmethod
    def from_config(cls, transparency: Mapping[str, Any] | bool) -> AgentSettings:
        """Read the `transparency` of an agent's configuration; `False` switches monitoring off for it.

        Raises:
            SettingsError: a key is unknown, has a wrong value, or is not available yet.
        """
        read, refused = cls.readable(transparency)
        if refused:
            raise SettingsError.of_all(refused)
        return read

    @classmethod
    def readable(cls, transparency: Any) -> tuple[AgentSettings, list[SettingsError]]:
        """What `from_config` would read without the keys that it refuses, and why it refuses those."""
        from kaizen_otel.settings.spec_dictionaries import from_agent_config  # noqa: PLC0415 - it builds on this module

        refusals = Refusals()
        return from_agent_config(transparency, refusals), refusals.errors

    def over(self, settings: Settings) -> Settings:
        """Give `settings` as they hold for this agent. Monitoring that is off stays off."""
        if settings.monitoring_level is MonitoringLevel.OFF:
            return settings
        changes = {name: value for name, value in self.said().items() if name not in _NO_SETTINGS}
        return settings.replace(**changes) if changes else settings

    def said(self) -> dict[str, Any]:
        """What differs for the agent, by name."""
        return {name: value for name in self.__slots__ if (value := getattr(self, name)) is not None}

    def level_under(self, settings: Settings) -> MonitoringLevel:
        """The level that holds for this agent. Monitoring that is off stays off."""
        own, level = self.monitoring_level, settings.monitoring_level
        return level if own is None or level is MonitoringLevel.OFF else own

    def profiles(self, settings: Settings) -> bool:
        """Whether an execution of this agent says what it used. Where its monitoring is off, nothing does."""
        level = self.level_under(settings)
        if self.performance_profiling is None or level is MonitoringLevel.OFF:
            return level >= MonitoringLevel.COMPREHENSIVE
        return self.performance_profiling


_NO_SETTINGS: Final = ("performance_profiling",)
"""What an agent may say, and the settings of all cannot."""
