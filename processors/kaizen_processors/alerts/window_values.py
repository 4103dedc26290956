"""The numbers of rules, read from the windows; the worst executions, from those that ended lately."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaizen_processors import windows
from kaizen_processors.alerts.ranking import Finished, figure, rank
from kaizen_processors.alerts.values import Group, GroupBy, WorstExecution
from kaizen_processors.clock import SYSTEM_CLOCK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from kaizen_processors.clock import Clock
    from kaizen_processors.recent import RecentExecutions
    from kaizen_processors.snapshots import Snapshots


class WindowValues:
    """`Values` and `ExecutionRanking` over what kaizen-otel keeps in the process.

    Args:
        snapshots: answers the conditions.
        recent: the executions that are kept whole.
        clock: its wall clock says which of them lie in a window.
        shared: gives further executions, those of other processes; asked only when an alert is told.
    """

    def __init__(
        self,
        snapshots: Snapshots,
        recent: RecentExecutions,
        clock: Clock = SYSTEM_CLOCK,
        shared: Callable[[], Iterable[Finished]] = tuple,
    ) -> None:
        """Read from these."""
        self._shared = shared
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
        """Give the worst of those that are still kept, here or for all; failed ones where it is about errors."""
        since_ns = self._clock.time_ns() - int(window_s * 1e9)
        # Those of this process are among the shared ones, too.
        known = dict.fromkeys([*map(Finished.of, self._recent.records()), *self._shared()])
        ranked = [
            (place, one)
            for one in known
            if one.ended_ns >= since_ns
            and group.key in {"", one.agent_name if group.by == "agent" else one.model}
            and (place := rank(condition, one)) is not None
        ]
        ranked.sort(key=lambda one: one[0], reverse=True)
        return [
            WorstExecution(
                one.execution_id,
                one.trace_id,
                one.agent_name,
                figure(condition, one),
                one.status,
                one.cost_complete,
            )
            for _, one in ranked[:limit]
        ]


def _window_group(group: Group) -> windows.Group:
    return windows.Group(
        agent=group.key if group.by == "agent" else None, model=group.key if group.by == "model" else None
    )
