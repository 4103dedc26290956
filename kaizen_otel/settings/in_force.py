"""What holds of the settings, taken together: a level may leave out what a field asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from kaizen_otel.settings.levels import MonitoringLevel

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class InForce:
    """The part of `Settings` that says what follows from its fields."""

    __slots__ = ()

    monitoring_level: MonitoringLevel
    content: Literal["off", "span", "event"]
    evaluators: tuple[Callable[..., Any], ...]
    windows: bool
    store: Path | None
    prometheus_port: int | None
    host_metrics: bool | None
    metrics: bool

    @property
    def captured_content(self) -> Literal["off", "span", "event"]:
        """Where content is recorded at this monitoring level: only `comprehensive` records any."""
        return self.content if self.monitoring_level >= MonitoringLevel.COMPREHENSIVE else "off"

    @property
    def active_evaluators(self) -> tuple[Callable[..., Any], ...]:
        """The evaluators that run at this monitoring level: only `comprehensive` runs any."""
        return self.evaluators if self.monitoring_level >= MonitoringLevel.COMPREHENSIVE else ()

    @property
    def active_windows(self) -> bool:
        """Whether windows are kept: from the level `standard` up, and where there is a store at `basic`, too."""
        least = MonitoringLevel.STANDARD if self.store is None else MonitoringLevel.BASIC
        return self.windows and self.monitoring_level >= least

    @property
    def keeps_host_metrics(self) -> bool:
        """Whether metrics are kept for `kaizen_otel.host_metrics()`, and for the sum over the processes of a store."""
        default = self.store is not None and self.prometheus_port is not None
        return self.metrics and (default if self.host_metrics is None else self.host_metrics)

    @property
    def serves_own_metrics(self) -> bool:
        """Whether the Prometheus endpoint serves this process alone, not the sum over the processes of a store."""
        return self.prometheus_port is not None and not (self.keeps_host_metrics and self.store is not None)
