"""The numbers of rules, read from the windows; the worst executions, from those that ended lately."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kaizen_processors import windows
from kaizen_processors.alerts.values import Group, GroupBy, WorstExecution
from kaizen_processors.clock import SYSTEM_CLOCK
from kaizen_processors.money import to_float

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from kaizen_processors.clock import Clock
    from kaizen_processors.execution import ExecutionRecord
    from kaizen_processors.recent import RecentExecutions
    from kaizen_processors.snapshots import Snapshots


class WindowValues:
    """`Values` and `ExecutionRanking` over what kaizen-otel keeps in the process.

    Args:
        snapshots: answers the conditions.
        recent: the executions that are kept whole.
        clock: its wall clock says which of them lie in a window.
    """

    def __init__(self, snapshots: Snapshots, recent: RecentExecutions, clock: Clock = SYSTEM_CLOCK) -> None:
        """Read from these."""
        self._snapshots = snapshots
        self._recent = recent
        self._clock = clock

    def value(self, condition: str, group: Group, window_s: float) -> float | None:
        """Give one figure; None when it is not known."""
        return self._snapshots.value(condition, _window_group(group), window_s)

    def groups(self, by: GroupBy, window_s: float) -> Iterable[Group]:
        """Give the agents or models of the last 24 hours: those that were silent in the window have no figures."""
        del window_s
        pairs = self._snapshots.groups()
        names = (pair.agent if by == "agent" else pair.model for pair in pairs)
        return [Group(by, name) for name in dict.fromkeys(names) if name]

    def worst(self, condition: str, group: Group, window_s: float, limit: int) -> Sequence[WorstExecution]:
        """Give the worst of those that are still kept; failed ones where it is about errors."""
        badness = _BADNESS.get(condition, _duration_ms)
        since_ns = self._clock.time_ns() - int(window_s * 1e9)
        ranked = [
            (bad, record)
            for record in self._recent.records()
            if record.start_time_ns + record.duration_ns >= since_ns
            and group.key in {"", record.agent_name if group.by == "agent" else record.model}
            and (bad := badness(record)) is not None
        ]
        # Of equally bad ones the newest first.
        ranked.sort(key=lambda one: (one[0], one[1].start_time_ns), reverse=True)
        return [_execution(bad, record) for bad, record in ranked[:limit]]


def _window_group(group: Group) -> windows.Group:
    return windows.Group(
        agent=group.key if group.by == "agent" else None, model=group.key if group.by == "model" else None
    )


def _execution(bad: float, record: ExecutionRecord) -> WorstExecution:
    trace_id = f"{record.trace_id:032x}" if record.trace_id else ""
    return WorstExecution(record.execution_id, trace_id, record.agent_name, bad, record.status)


def _duration_ms(record: ExecutionRecord) -> float:
    return record.duration_ns / 1e6


def _failed(record: ExecutionRecord) -> float | None:
    return 1.0 if record.status == "error" else None


def _cost_usd(record: ExecutionRecord) -> float:
    return to_float(record.own.cost_units)


def _tokens(record: ExecutionRecord) -> float:
    return float(record.own.input_tokens + record.own.output_tokens)


def _lack_of_quality(record: ExecutionRecord) -> float | None:
    return None if record.quality_score is None else 1.0 - record.quality_score


_BADNESS: Final[Mapping[str, Callable[[ExecutionRecord], float | None]]] = {
    "error_rate": _failed,
    "success_rate": _failed,
    "cost_per_execution": _cost_usd,
    "cost_per_token": _cost_usd,
    "cost_per_hour": _cost_usd,
    "daily_cost": _cost_usd,
    "tokens_per_second": _tokens,
    "quality_average": _lack_of_quality,
}
