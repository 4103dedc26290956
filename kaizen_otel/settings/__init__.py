"""`Settings`: one frozen, validated value for every choice, and the sources it is gathered from.

Example:
    >>> settings = Settings.load(env={"KAIZEN_OTEL_CONSOLE": "true"}, content="span")
    >>> settings.console, settings.content, settings.monitoring_level.value
    (True, 'span', 'comprehensive')
"""

from __future__ import annotations

from kaizen_otel.settings.agent import AgentSettings
from kaizen_otel.settings.errors import SettingsError
from kaizen_otel.settings.levels import MonitoringLevel
from kaizen_otel.settings.model import Settings
from kaizen_otel.settings.origins import Origin, Source

__all__ = [
    "AgentSettings",
    "MonitoringLevel",
    "Origin",
    "Settings",
    "SettingsError",
    "Source",
]
