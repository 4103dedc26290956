"""The performance of all agents, one agent, one model, or one by the other, over any window up to 24 hours."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from kaizen_processors.clock import SYSTEM_CLOCK
from kaizen_processors.conditions import CONDITIONS, DAY_S, condition_named, cost_usd
from kaizen_processors.forking import begin_anew_in_children
from kaizen_processors.window_sums import WindowSums
from kaizen_processors.windows import LONGEST_S, NS, Group, Window

if TYPE_CHECKING:
    from collections.abc import Callable

    from kaizen_processors.clock import Clock
    from kaizen_processors.windows import Windows

DEFAULT_WINDOW_S: Final = 300.0

HISTORY_EVERY_S: Final = 30.0

_REMEMBERED: Final = int(LONGEST_S / HISTORY_EVERY_S)
_DURATION: Final = re.compile(r"(?:last_)?(\d{1,6})([smhd])", re.ASCII)
_UNIT_S: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def window_seconds(window: float | str | timedelta, longest_s: float = LONGEST_S) -> float:
    """Read a window: seconds, a `timedelta`, or a text such as `30s`, `5m`, `last_24h`.

    Raises:
        ValueError: it is none of them, not positive, or longer than `longest_s` (24 hours).
    """
    seconds: float | None = None
    if isinstance(window, timedelta):
        seconds = window.total_seconds()
    elif isinstance(window, str):
        found = _DURATION.fullmatch(window.strip())
        seconds = None if found is None else float(int(found[1]) * _UNIT_S[found[2]])
    elif isinstance(window, (int, float)) and not isinstance(window, bool):
        seconds = float(window)
    if seconds is None or not 0 < seconds <= longest_s:
        longest = f"{longest_s / 3_600:.0f}h"
        raise ValueError(
            f"window cannot be {window!r}; allowed: seconds, or a text such as 30s, 5m, 1h; up to {longest}"
        )
    return seconds


@dataclass(frozen=True, slots=True)
class PerformanceSnapshot:
    """What a group did in a window, as figures. None is "not known": no execution, no score, too little time.

    Attributes:
        timestamp: when it was taken, in UTC.
        active_agents: agents that run, or did within five minutes; None where the group is a model.
        total_executions: executions that ended, `cancelled_executions` included, which no rate counts.
        success_rate: successes among those that succeeded or failed; `error_rate` is the rest.
        average_latency_ms: mean duration of the executions, exact.
        p50_latency_ms: within 1 % of the exact value of that rank; likewise `p95_latency_ms` and `p99_latency_ms`.
        tokens_per_second: input and output tokens; likewise `throughput_rpm` in executions per minute.
        cost_per_hour: dollars, at the rate of this window.
        quality_average: mean score of the executions that have one.
        cost_usd: dollars of the calls whose price is known; None when that is none of them.
        cost_complete: whether the price of every call is known; else the dollars are a lower bound.
        daily_cost: dollars of the last 24 hours.
        window_s: the window asked for.
        observed_s: the time it really covers.
    """

    timestamp: datetime
    active_agents: int | None
    total_executions: int
    success_rate: float | None
    average_latency_ms: float | None
    p95_latency_ms: float | None
    p99_latency_ms: float | None
    tokens_per_second: float | None
    cost_per_hour: float | None
    error_rate: float | None
    quality_average: float | None
    p50_latency_ms: float | None
    throughput_rpm: float | None
    cost_per_execution: float | None
    cost_per_token: float | None
    daily_cost: float | None
    cost_usd: float | None
    cost_complete: bool
    failed_executions: int
    cancelled_executions: int
    model_calls: int
    tokens_input: int
    tokens_output: int
    agent_name: str | None
    model: str | None
    window_s: float
    observed_s: float

    @property
    def tokens_total(self) -> int:
        """Input and output tokens together."""
        return self.tokens_input + self.tokens_output

    def value(self, condition: str) -> float | None:
        """Give a condition of rules by its name, such as `p95_latency`.

        Raises:
            ValueError: there is no such condition.
        """
        found = getattr(self, _FIELD_OF.get(condition_named(condition).name, condition))
        return None if found is None else float(found)

    def __getitem__(self, key: str) -> Any:
        if key in _KEYS or key in _ALIASES:
            return getattr(self, _ALIASES.get(key, key))
        if key in CONDITIONS:
            return self.value(key)
        raise KeyError(key)

    def keys(self) -> tuple[str, ...]:
        """Names of the fields, so that `dict(snapshot)` works."""
        return _KEYS

    def as_dict(self) -> dict[str, Any]:
        """The fields as JSON carries them: `timestamp` is ISO 8601."""
        return {**dict(self), "timestamp": self.timestamp.isoformat()}


_KEYS = tuple(field.name for field in fields(PerformanceSnapshot))
_FIELD_OF: Final = {
    "avg_latency": "average_latency_ms",
    "p50_latency": "p50_latency_ms",
    "p95_latency": "p95_latency_ms",
    "p99_latency": "p99_latency_ms",
    "executions": "total_executions",
}
_ALIASES: Final = {
    "execution_time_p50": "p50_latency_ms",
    "execution_time_p95": "p95_latency_ms",
    "execution_time_p99": "p99_latency_ms",
    "tokens_total": "tokens_total",
    "time_window": "window_s",
}
"""Names that exporters of performance metrics use."""


class Snapshots:
    """Takes snapshots of windows, answers the conditions of rules, and remembers how it was.

    Args:
        windows: where the sums are.
        clock: its wall clock stamps the snapshots.
        active_agents: how many agents are active: of all, or whether that one is.
    """

    def __init__(
        self,
        windows: Windows,
        clock: Clock = SYSTEM_CLOCK,
        active_agents: Callable[[str | None], int] | None = None,
    ) -> None:
        """Remember nothing yet."""
        self._windows = windows
        self._clock = clock
        self._active_agents = active_agents
        self._keep_s = LONGEST_S
        self.after_fork_in_child()
        begin_anew_in_children(self)

    def after_fork_in_child(self) -> None:
        """Begin without a history."""
        self._history: deque[tuple[int, PerformanceSnapshot]] = deque(maxlen=_REMEMBERED)

    def take(
        self, window_s: float = DEFAULT_WINDOW_S, *, agent: str | None = None, model: str | None = None
    ) -> PerformanceSnapshot:
        """Take a snapshot of everything, an agent, a model, or an agent by a model.

        Raises:
            ValueError: the window is longer than 24 hours, or negative.
        """
        group = Group(agent, model)
        window = self._windows.read(group, window_s)
        day = window if window_s == DAY_S else self._windows.read(group, DAY_S, with_latency=False)
        return snapshot_of(window, day, self._clock.time_ns(), self.active_agents(group))

    def value(self, condition: str, group: Group, window_s: float) -> float | None:
        """Give one figure, as a rule asks for it; None when it is not known.

        Raises:
            ValueError: there is no such condition, or the window is longer than 24 hours.
        """
        asked = condition_named(condition)
        if asked.compute is None:
            found = self.active_agents(group)
            return None if found is None else float(found)
        seconds = asked.window_s or window_s
        return asked.compute(self._windows.read(group, seconds, with_latency=asked.needs_latency))

    def groups(self) -> list[Group]:
        """Every pair of agent and model that did something in the last 24 hours."""
        return self._windows.groups()

    def active_agents(self, group: Group) -> int | None:
        """How many agents of a group run, or did within five minutes; None where that is not known."""
        if group.model is not None or self._active_agents is None:
            return None
        return self._active_agents(group.agent)

    def tick(self) -> None:
        """Keep a snapshot of everything, every 30 seconds and for 24 hours."""
        now_ns = self._clock.monotonic_ns()
        history = self._history
        if history and now_ns - history[-1][0] < HISTORY_EVERY_S * NS:
            return
        while history and now_ns - history[0][0] > self._keep_s * NS:
            history.popleft()
        history.append((now_ns, self.take()))

    def history(self) -> list[PerformanceSnapshot]:
        """The snapshots of five minutes that were kept, oldest first."""
        return [snapshot for _, snapshot in list(self._history)]

    def keep(self, retention_s: float | None) -> None:
        """Remember for this long only, where that is less than 24 hours."""
        self._keep_s = LONGEST_S if retention_s is None else min(retention_s, LONGEST_S)


def nothing_seen(
    window_s: float, *, agent: str | None = None, model: str | None = None, clock: Clock = SYSTEM_CLOCK
) -> PerformanceSnapshot:
    """The snapshot of a time in which nobody watched."""
    window = Window(Group(agent, model), window_s, 0.0, WindowSums())
    return snapshot_of(window, window, clock.time_ns(), None)


def snapshot_of(window: Window, day: Window, time_ns: int, active_agents: int | None) -> PerformanceSnapshot:
    """Give the figures of a window.

    Args:
        window: what it is a snapshot of.
        day: the same group's last 24 hours, for what is always of a day.
        time_ns: wall clock of the snapshot.
        active_agents: how many are active; None where that is not known.
    """
    sums, group = window.sums, window.group
    known: dict[str, Any] = {
        _FIELD_OF.get(one.name, one.name): one.compute(day if one.window_s == DAY_S else window)
        for one in CONDITIONS.values()
        if one.compute is not None
    }
    known["total_executions"] = sums.executions
    return PerformanceSnapshot(
        timestamp=datetime.fromtimestamp(time_ns / NS, tz=UTC),
        active_agents=active_agents,
        cost_usd=cost_usd(sums),
        cost_complete=not sums.unpriced_calls,
        failed_executions=sums.error,
        cancelled_executions=sums.cancelled,
        model_calls=sums.model_calls,
        tokens_input=sums.input_tokens,
        tokens_output=sums.output_tokens,
        agent_name=group.agent,
        model=group.model,
        window_s=window.window_s,
        observed_s=window.observed_s,
        **known,
    )
