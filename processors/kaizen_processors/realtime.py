"""Each execution as it ends: to whoever subscribes, and in a buffer of the last ones."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from kaizen_processors.clock import SYSTEM_CLOCK
from kaizen_processors.execution import BUSINESS_FIGURES, ExecutionMetrics, ExecutionRecord
from kaizen_processors.fence import Fence
from kaizen_processors.pipeline import Observer
from kaizen_processors.recent import RecentExecutions
from kaizen_processors.snapshots import window_seconds
from kaizen_processors.subscriptions import Subscription

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kaizen_processors.clock import Clock
    from kaizen_processors.snapshots import PerformanceSnapshot, Snapshots
    from kaizen_processors.subscriptions import Subscriber

CLOSE_S: Final = 1.0
"""How long the end of the watching waits for each subscriber."""

_KEYS: Final = ("enabled", "collection_interval", "buffer_size", "streaming")


class RealTimeOptions(NamedTuple):
    """How executions are passed on.

    Attributes:
        enabled: whether they are.
        collection_interval: seconds between two deliveries, where they are not streamed.
        buffer_size: how many executions may wait for a subscriber, and how many of the last are kept.
        streaming: whether each is delivered as it ends.
    """

    enabled: bool = True
    collection_interval: float = 1.0
    buffer_size: int = 1_000
    streaming: bool = False

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> RealTimeOptions:
        """Read a dictionary of these, or one that holds it under `metrics_collection`.

        Raises:
            ValueError: a key is unknown, or a value is not allowed.
        """
        details = config.get("metrics_collection", config)
        for key in details:
            if key not in _KEYS:
                raise ValueError(f"unknown key {key!r} of metrics_collection; known: {', '.join(_KEYS)}")
        options = cls()._replace(**details)
        interval, size = options.collection_interval, options.buffer_size
        if isinstance(interval, bool) or not isinstance(interval, (int, float)) or not 0 < interval <= 86_400:  # noqa: PLR2004 - a day
            raise ValueError(f"collection_interval cannot be {interval!r}; allowed: seconds, up to a day")
        if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= 1_000_000:  # noqa: PLR2004 - a gigabyte
            raise ValueError(f"buffer_size cannot be {size!r}; allowed: a whole number from 1 to 1000000")
        for name, value in (("enabled", options.enabled), ("streaming", options.streaming)):
            if not isinstance(value, bool):
                raise ValueError(f"{name} cannot be {value!r}; allowed: true, false")  # noqa: TRY004 - as above
        return options


class RealTimeMetrics(Observer):
    """Passes each execution on, and answers how things stand.

    Args:
        options: how executions are passed on.
        fence: counts what subscribers raise.
        clock: when executions ended.
        snapshots: gives the windows that the `get_…` methods read; None where nobody keeps any.
    """

    def __init__(
        self,
        options: RealTimeOptions | None = None,
        *,
        fence: Fence | None = None,
        clock: Clock = SYSTEM_CLOCK,
        snapshots: Callable[[], Snapshots | None] = lambda: None,
    ) -> None:
        """Keep nothing yet, and tell nobody."""
        self.options = RealTimeOptions() if options is None else options
        self._fence = Fence() if fence is None else fence
        self._clock = clock
        self._snapshots = snapshots
        self._recent = RecentExecutions(clock, self.options.buffer_size)
        self._subscriptions: tuple[Subscription, ...] = ()
        self._dropped_before = 0

    # -- each execution -------------------------------------------------------------------------------------------

    def on_execution(self, record: ExecutionRecord) -> None:
        """Keep an execution, and let it wait for every subscriber."""
        if not self.options.enabled:
            return
        self._recent.on_execution(record)
        for subscription in self._subscriptions:
            subscription.offer(record)

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Tell a function, or a coroutine function, of each execution from now on; it gets an `ExecutionMetrics`.

        It runs on a thread of its own: it may be slow and it may raise. Gives what ends the subscription.

        Raises:
            TypeError: it cannot be called.
        """
        if not callable(subscriber):
            raise TypeError(f"subscribe: expected a function, got {type(subscriber).__name__}")
        options = self.options
        interval_s = None if options.streaming else options.collection_interval
        made = Subscription(subscriber, self._fence, buffer_size=options.buffer_size, interval_s=interval_s)
        self._subscriptions = (*self._subscriptions, made)

        def unsubscribe() -> None:
            if made in self._subscriptions:
                self._subscriptions = tuple(one for one in self._subscriptions if one is not made)
                made.close(CLOSE_S)
                self._dropped_before += made.dropped

        return unsubscribe

    @property
    def dropped(self) -> int:
        """Executions that a subscriber was not told of, because too many waited for it."""
        return self._dropped_before + sum(one.dropped for one in self._subscriptions)

    @property
    def metrics_buffer(self) -> list[ExecutionMetrics]:
        """The last executions, oldest first."""
        return self._recent.metrics()

    def flush(self, timeout_s: float) -> bool:
        """Deliver what waits; False when some is left after `timeout_s` seconds."""
        deadline, done = time.monotonic() + timeout_s, True
        for one in self._subscriptions:
            done = one.flush(max(deadline - time.monotonic(), 0.0)) and done
        return done

    def shutdown(self) -> None:
        """Deliver what waits, and end the threads; another execution would start them again."""
        for one in self._subscriptions:
            one.rest(CLOSE_S)

    # -- how things stand -----------------------------------------------------------------------------------------

    def collect_execution_metrics(self, execution: ExecutionMetrics | ExecutionRecord) -> dict[str, Any]:
        """Give all figures of one execution as a dictionary; `error_rate` is that of its agent in five minutes."""
        metrics = ExecutionMetrics.of(execution) if isinstance(execution, ExecutionRecord) else execution
        now = self._snapshot(300.0, agent=metrics.agent_name)
        return {**metrics.figures(), "error_rate": None if now is None else now.error_rate}

    def get_recent_executions(self, limit: int | None = None, agent_name: str | None = None) -> list[ExecutionMetrics]:
        """Give the last executions, of all or of one agent, oldest first."""
        return self._recent.metrics(limit, agent_name)

    def get_agent_metrics(self, agent_name: str, time_range: str | float = "1h") -> dict[str, Any]:
        """Give an agent's snapshot as a dictionary; `{"error": …}` where it did nothing.

        Raises:
            ValueError: the time range is none, or longer than 24 hours.
        """
        return _as_dictionary(
            self._snapshot(window_seconds(time_range), agent=agent_name), "No metrics found for agent"
        )

    def get_performance_summary(self, time_range: str | float = "1h") -> dict[str, Any]:
        """Give the snapshot of everything as a dictionary; `{"error": …}` where nothing was done.

        Raises:
            ValueError: the time range is none, or longer than 24 hours.
        """
        return _as_dictionary(self._snapshot(window_seconds(time_range)), "No metrics in time range")

    def get_performance_history(self) -> list[PerformanceSnapshot]:
        """Give the snapshots of five minutes that were kept every 30 seconds, for 24 hours, oldest first."""
        snapshots = self._snapshots()
        return [] if snapshots is None else snapshots.history()

    def get_business_metrics(self, agent_name: str | None = None) -> dict[str, float | int | None]:
        """Give the means of the business figures of the last executions, and what one cost.

        None where no execution has the figure; `executions` says how many were looked at.
        """
        last = self._recent.metrics(agent_name=agent_name)
        tokens, cost = sum(one.tokens_total for one in last), sum(one.cost_usd for one in last)
        means: dict[str, float | int | None] = {
            name: _mean([value for one in last if (value := one[name]) is not None]) for name in BUSINESS_FIGURES
        }
        return {
            "executions": len(last),
            **means,
            "cost_usd": cost,
            "cost_per_execution": cost / len(last) if last else None,
            "cost_per_token": cost / tokens if tokens else None,
        }

    def get_real_time_dashboard(self) -> dict[str, Any]:
        """Give everything and each agent of the last five minutes, and each agent's trend against the last hour."""
        everything = self._snapshot(300.0)
        snapshots = self._snapshots()
        names = [] if snapshots is None else sorted({one.agent for one in snapshots.groups() if one.agent is not None})
        return {
            "timestamp": None if everything is None else everything.timestamp.isoformat(),
            "overview": _as_dictionary(everything, "No metrics in time range"),
            "agents": {name: self._row(name) for name in names},
            "subscribers": {"count": len(self._subscriptions), "dropped": self.dropped},
        }

    def _row(self, agent_name: str) -> dict[str, Any]:
        now, hour = self._snapshot(300.0, agent=agent_name), self._snapshot(3_600.0, agent=agent_name)
        if now is None or hour is None:
            return {}
        return {
            "status": "active" if now.active_agents else "idle",
            "total_executions": hour.total_executions,
            "success_rate": hour.success_rate,
            "average_latency": hour.average_latency_ms,
            "recent_performance": {
                "total_executions": now.total_executions,
                "success_rate": now.success_rate,
                "average_latency": now.average_latency_ms,
                "p95_latency": now.p95_latency_ms,
                "quality_average": now.quality_average,
            },
        }

    def _snapshot(self, window_s: float, agent: str | None = None) -> PerformanceSnapshot | None:
        snapshots = self._snapshots()
        return None if snapshots is None else snapshots.take(window_s, agent=agent)


def _as_dictionary(snapshot: PerformanceSnapshot | None, otherwise: str) -> dict[str, Any]:
    if snapshot is None or not (snapshot.total_executions or snapshot.model_calls):
        return {"error": otherwise}
    return snapshot.as_dict()


def _mean(values: list[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
