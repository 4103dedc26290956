"""The transparency interface of one agent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kaizen_otel.patches.switch import active
from kaizen_processors.snapshots import window_seconds
from kaizen_processors.windows import Group

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kaizen_otel.transparency.interface import KaizenTransparencyInterface
    from kaizen_processors.execution import ExecutionMetrics
    from kaizen_processors.snapshots import PerformanceSnapshot

_LIVE_S: Final = 300.0
_RESOURCES: Final = ("cpu_usage_percent", "memory_usage_mb", "network_io_bytes")


class AgentTransparency:
    """What is known of one agent, by its name. Made by `agent.get_transparency_interface()`.

    Attributes:
        agent_name: Whose.
    """

    def __init__(self, agent_name: str, interface: KaizenTransparencyInterface) -> None:
        """Ask this interface about this agent."""
        self.agent_name = agent_name
        self._interface = interface

    def get_live_metrics(self) -> dict[str, Any]:
        """How the agent does now.

        Returns:
            `agent_name`; `status`, `active` or `idle`; the figures of its last five minutes; and `last_execution`, or
            None. A figure that is not known is None.
        """
        now = self._snapshot(_LIVE_S)
        last = self._recent(1)
        return {
            **dict(now),
            "status": "active" if now.active_agents else "idle",
            "last_execution": last[0].figures() if last else None,
        }

    def get_agent_metrics(self, time_range: str | float = "1h") -> dict[str, Any]:
        """The figures of a time range as a dictionary: see `KaizenTransparencyInterface.get_agent_metrics`."""
        return self._interface.get_agent_metrics(self.agent_name, time_range)

    def get_performance_report(
        self, aggregation_level: str = "hourly", metrics: Sequence[str] | None = None
    ) -> dict[str, Any]:
        """A row for each period: see `KaizenTransparencyInterface.get_performance_report`."""
        return self._interface.get_performance_report(aggregation_level, metrics, agent_name=self.agent_name)

    def get_resource_usage(self) -> dict[str, Any]:
        """What the process used while the agent ran, on average over its last executions.

        Returns:
            `executions` (how many of the last ones were measured), `cpu_usage_percent`, `memory_usage_mb`,
            `network_io_bytes`: None where none was. Executions are measured at the monitoring level `comprehensive`,
            and those of an agent that says `performance_profiling`; the figures are the process's, and the agent's
            alone only where `alone` says that nothing else ran.
        """
        measured = [one for one in self._recent() if one.cpu_usage_percent is not None]
        means = {name: _mean([one[name] for one in measured if one[name] is not None]) for name in _RESOURCES}
        return {"executions": len(measured), **means, "alone": all(one.resources_alone for one in measured)}

    def get_performance_profile(self, time_range: str | float = "24h") -> dict[str, Any]:
        """Where the agent's time and money go: all of it, and by model; and what the process used meanwhile.

        Returns:
            `overall`, and `by_model` (model → figures), each with executions, errors, latencies, tokens and dollars;
            `resources`, as `get_resource_usage()` gives them: of the last executions, whatever the time range.

        Raises:
            ValueError: The time range is none, or longer than 24 hours.
        """
        window_s = window_seconds(time_range)
        telemetry = active()
        groups = [] if telemetry is None else telemetry.performance.snapshots.groups()
        models = sorted({one.model for one in groups if one.agent == self.agent_name and one.model is not None})
        return {
            "agent_name": self.agent_name,
            "overall": dict(self._snapshot(window_s)),
            "by_model": {model: dict(self._snapshot(window_s, model)) for model in models},
            "resources": self.get_resource_usage(),
        }

    def get_recent_executions(self, limit: int | None = None) -> list[ExecutionMetrics]:
        """The agent's last executions, oldest first."""
        return self._recent(limit)

    def _recent(self, limit: int | None = None) -> list[ExecutionMetrics]:
        telemetry = active()
        return [] if telemetry is None else telemetry.performance.recent.metrics(limit, self.agent_name)

    def _snapshot(self, window_s: float, model: str | None = None) -> PerformanceSnapshot:
        return self._interface.snapshot(window_s, Group(self.agent_name, model))


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
