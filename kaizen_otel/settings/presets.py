"""Named sets of settings for two common situations: the lowest source above the defaults."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from kaizen_otel.settings.errors import meant, wrong_value

if TYPE_CHECKING:
    from collections.abc import Mapping

PRESETS: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        # What the spec's `development_monitoring` says.
        "development": MappingProxyType(
            {
                "monitoring_level": "basic",
                "durations": True,
                "deferred_histograms": True,
                "metrics_retention_s": "7d",
                "store": True,
                "console": True,
                "file": True,
                "alerting": False,
            }
        ),
        # What the spec's `production_monitoring` says, without the destinations that a Collector serves.
        "production": MappingProxyType(
            {
                "monitoring_level": "comprehensive",
                "durations": True,
                "deferred_histograms": False,
                "metrics_retention_s": "90d",
                "store": True,
                "prometheus_port": True,
                "alerting": True,
                "alert_rules": "production",
            }
        ),
    }
)


def preset_values(name: object, *, where: str) -> Mapping[str, Any]:
    """Give the settings of the preset `name`; `where` is the place that asked for it."""
    values = PRESETS.get(name.strip().lower()) if isinstance(name, str) else None
    if values is None:
        raise wrong_value("preset", name, where=where, allowed=", ".join(PRESETS), why=meant(name, PRESETS))
    return values
