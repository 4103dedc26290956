"""`KaizenTransparencyInterface`: what an application asks of its own agents, in one place."""

from __future__ import annotations

import threading
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from kaizen_otel import alert_handlers, api
from kaizen_otel.patches.switch import active
from kaizen_otel.realtime import RealTimeMetrics
from kaizen_otel.transparency import history
from kaizen_otel.transparency.agent_interface import AgentTransparency
from kaizen_otel.transparency.reports import DAILY, checked, exported, rows
from kaizen_otel.transparency.tracker import WorkflowTracker
from kaizen_otel.transparency.workflow_monitor import WorkflowMonitor
from kaizen_processors.snapshots import nothing_seen, window_seconds
from kaizen_processors.windows import Group

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kaizen_processors.execution import ExecutionMetrics
    from kaizen_processors.snapshots import PerformanceSnapshot

DEFAULT_RANGE = "1h"


class KaizenTransparencyInterface:
    """Monitors, trackers, figures, reports and callbacks of this process.

    `kaizen.get_transparency_interface()` and `kaizen_otel.get_transparency_interface()` give one; making one by hand is
    the same. All of them see the same executions, those of the whole process: a `Kaizen` object is where one is found,
    not a boundary.

    Args:
        kaizen_instance: The framework that it belongs to; its monitoring keys are taken over by `start_monitoring()`.

    Example:
        >>> transparency = KaizenTransparencyInterface()
        >>> transparency.get_performance_summary()
        {'error': 'No metrics in time range'}
    """

    def __init__(self, kaizen_instance: Any = None) -> None:
        """Watch nothing yet that is not watched already."""
        self.kaizen = kaizen_instance
        self._lock = threading.Lock()
        self._began_it = False
        self._live: RealTimeMetrics | None = None

    # -- watching -------------------------------------------------------------------------------------------------

    @property
    def monitoring_active(self) -> bool:
        """Whether executions are watched."""
        return active() is not None

    def start_monitoring(self) -> None:
        """Watch from now on: `kaizen_otel.instrument()`, where that has not been called."""
        with self._lock:
            if active() is None:
                api.instrument()
                self._began_it = True
        telemetry = active()
        said = getattr(self.kaizen, "_original_config_dict", None)  # kaizen 2.46: what `Kaizen(config=…)` was given
        if telemetry is not None and type(said) is dict:
            with telemetry.fence("settings.kaizen_config"):
                telemetry.settings_desk.apply_kaizen_config(said)

    def stop_monitoring(self) -> None:
        """Tell the callbacks no more; stop watching, where `start_monitoring()` began it."""
        with self._lock:
            live, self._live = self._live, None
            began_it, self._began_it = self._began_it, False
        if live is not None:
            live.close()
        if began_it:
            api.uninstrument()

    def create_workflow_monitor(self) -> WorkflowMonitor:
        """Named blocks, counted while they run."""
        return WorkflowMonitor(self)

    def create_workflow_tracker(self) -> WorkflowTracker:
        """Blocks that can be asked where their time went."""
        return WorkflowTracker()

    def agent(self, agent_name: str) -> AgentTransparency:
        """What is known of one agent, by its name."""
        return AgentTransparency(agent_name, self)

    def record_execution_metrics(self, metrics: ExecutionMetrics) -> None:
        """Report an execution: see `kaizen_otel.record_execution_metrics`."""
        api.record_execution_metrics(metrics)

    def register_alert_handler(self, handler_func: Callable[[dict[str, Any]], object]) -> None:
        """Call a function with each alert that a rule raises: see `kaizen_otel.register_alert_handler`."""
        alert_handlers.register_alert_handler(handler_func)

    def register_metrics_callback(self, callback: Callable[[ExecutionMetrics], Any]) -> Callable[[], None]:
        """Call a function, or a coroutine function, with each execution from now on; gives what ends that.

        It runs on a thread of its own: it may be slow, and it may raise.

        Raises:
            TypeError: It cannot be called.
        """
        return self._realtime().subscribe(callback)

    # -- figures --------------------------------------------------------------------------------------------------

    def snapshot(self, window_s: float, group: Group) -> PerformanceSnapshot:
        """The figures of a group in the last `window_s` seconds; of nothing, where nobody watches."""
        telemetry = active()
        if telemetry is None:
            return nothing_seen(window_s, agent=group.agent, model=group.model)
        return telemetry.performance.snapshot(window_s, group.agent, group.model)

    def get_agent_metrics(self, agent_name: str, time_range: str | float = DEFAULT_RANGE) -> dict[str, Any]:
        """An agent's figures as a dictionary; `{"error": …}` where it did nothing.

        With a `store`, a range may be longer than 24 hours; what ended in the last ten seconds may then be missing.

        Raises:
            ValueError: The time range is none, or longer than 24 hours without a store.
        """
        return self._figures(time_range, Group(agent_name), "No metrics found for agent")

    def get_performance_summary(self, time_range: str | float = DEFAULT_RANGE) -> dict[str, Any]:
        """The figures of everything as a dictionary; `{"error": …}` where nothing was done.

        With a `store`, a range may be longer than 24 hours, as for `get_agent_metrics`.

        Raises:
            ValueError: The time range is none, or longer than 24 hours without a store.
        """
        return self._figures(time_range, Group(), "No metrics in time range")

    def get_performance_history(self) -> list[PerformanceSnapshot]:
        """Snapshots of everything in five minutes, kept every 30 seconds for 24 hours, oldest first."""
        telemetry = active()
        return [] if telemetry is None else telemetry.performance.snapshots.history()

    def get_real_time_dashboard(self) -> dict[str, Any]:
        """Everything and each agent of the last five minutes, and how healthy that is.

        Returns:
            `timestamp`; `overview` (figures of everything); `agents` (name → `status`, `total_executions`,
            `success_rate`, `average_latency`, `recent_performance`); `system_health`.
        """
        return {**self._realtime().get_real_time_dashboard(), "system_health": self._health()}

    def get_performance_report(
        self,
        aggregation_level: str = "hourly",
        metrics: Sequence[str] | None = None,
        *,
        agent_name: str | None = None,
    ) -> dict[str, Any]:
        """A row for each period that is in memory: the last 60 minutes, 24 hours, or the last day.

        With a `store`, `daily` has one for each day (in UTC) that the store remembers.

        Args:
            aggregation_level: `minute`, `hourly` or `daily`.
            metrics: `latency`, `throughput`, `cost`, `accuracy`, `errors`, or conditions by name; by default all.
            agent_name: Of one agent only.

        Returns:
            `aggregation_level`, `agent_name`, and `periods`, oldest first: `start`, `end`, `executions`, and a figure
            for each condition, None where it is not known.

        Raises:
            ValueError: There is no such level or metric.
        """
        period_s, count, conditions = checked(aggregation_level, metrics)
        telemetry = active()
        found: list[dict[str, Any]] = []
        if telemetry is not None and aggregation_level == DAILY and telemetry.performance.store is not None:
            with suppress(history.HistoryError):  # then there is the day that is in memory
                found = history.days(telemetry, Group(agent_name), conditions)
        if telemetry is not None and telemetry.performance.watching and not found:
            periods = telemetry.performance.windows.periods(Group(agent_name), period_s, count)
            found = rows(periods, conditions, telemetry.clock.time_ns())
        return {"aggregation_level": aggregation_level, "agent_name": agent_name, "periods": found}

    def export_metrics(self, format: str = "json", time_range: str | float = "24h") -> str | bytes:  # noqa: A002 - the interface's own name for it
        """The last executions (`metrics_buffer_size` of them at most) as JSON, CSV or Parquet.

        Args:
            format: `json` and `csv` give text, `parquet` bytes (`pip install "kaizen-otel[parquet]"`).
            time_range: Only those that began in it.

        Raises:
            ValueError: There is no such format, or the time range is none.
            ModuleNotFoundError: Parquet without PyArrow.
        """
        window_s = window_seconds(time_range)
        telemetry = active()
        executions = [] if telemetry is None else telemetry.performance.recent.metrics()
        if telemetry is not None:
            since_s = telemetry.clock.time_ns() / 1e9 - window_s
            executions = [one for one in executions if one.timestamp.timestamp() >= since_s]
        return exported(executions, format)

    # -- the parts ------------------------------------------------------------------------------------------------

    def _figures(self, time_range: str | float, group: Group, otherwise: str) -> dict[str, Any]:
        window_s, telemetry = history.range_seconds(time_range), active()
        if telemetry is None or not history.is_history(window_s):
            return _told(self.snapshot(window_s, group), otherwise)
        try:
            return _told(history.snapshot(telemetry, window_s, group), otherwise)
        except history.HistoryError as error:
            return {"error": str(error)}

    def _realtime(self) -> RealTimeMetrics:
        with self._lock:
            if self._live is None:
                self._live = RealTimeMetrics({"streaming": True})
            return self._live

    def _health(self) -> dict[str, Any]:
        telemetry = active()
        if telemetry is None:
            return {"status": "unknown", "problems": ["nobody watches: call start_monitoring()"]}
        stats = telemetry.stats()
        fence = telemetry.fence
        problems = [f"telemetry failed: {cause} ({count})" for cause, count in fence.failures().items()]
        problems += [f"ignored, see the log: {cause} ({count})" for cause, count in fence.mistakes().items()]
        problems += [f"an observer was switched off: {name}" for name in stats["disabled_observers"]]
        for signal, counts in stats["delivery"].items():
            problems += [f"{items} {signal} dropped: {reason}" for reason, items in counts.dropped.items()]
        return {"status": "degraded" if problems else "healthy", "problems": problems}


def _told(snapshot: PerformanceSnapshot, otherwise: str) -> dict[str, Any]:
    if not (snapshot.total_executions or snapshot.model_calls):
        return {"error": otherwise}
    return snapshot.as_dict()


_of_kaizen: weakref.WeakKeyDictionary[Any, KaizenTransparencyInterface] = weakref.WeakKeyDictionary()
_of_process: list[KaizenTransparencyInterface] = []
_lock = threading.Lock()


def interface_of(kaizen: Any = None) -> KaizenTransparencyInterface:
    """The interface of a `Kaizen` object, or of the process: always the same one."""
    with _lock:
        if kaizen is None:
            if not _of_process:
                _of_process.append(KaizenTransparencyInterface())
            return _of_process[0]
        found = _of_kaizen.get(kaizen)
        if found is None:
            found = _of_kaizen[kaizen] = KaizenTransparencyInterface(weakref.proxy(kaizen))
        return found
