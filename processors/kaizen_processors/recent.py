"""The executions that ended lately: the newest whole, more of them by id, so that a later report is not counted anew.

The hot path only appends. Who reports pays for the index.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from kaizen_processors.clock import SYSTEM_CLOCK
from kaizen_processors.execution import ExecutionMetrics
from kaizen_processors.forking import begin_anew_in_children
from kaizen_processors.pipeline import Observer

if TYPE_CHECKING:
    from kaizen_processors.clock import Clock
    from kaizen_processors.execution import ExecutionRecord

REMEMBERED_IDS: Final = 10_000
"""Executions that are known by their id; a report of an older one counts as a new one."""


class Known(NamedTuple):
    """What is remembered of an execution. `ended_ns` is on the monotonic clock."""

    agent_name: str
    model: str
    quality_score: float | None
    ended_ns: int


class RecentExecutions(Observer):
    """Remembers the last executions.

    Args:
        clock: its monotonic reading says when they ended.
        keep: how many are kept whole.
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK, keep: int = 1_000) -> None:
        """Remember nothing yet."""
        self._now = clock.monotonic_ns
        self.keep = keep
        self.after_fork_in_child()
        begin_anew_in_children(self)

    def after_fork_in_child(self) -> None:
        """Begin with nothing remembered, and with a lock that nobody holds."""
        self._lock = threading.RLock()
        self._records: deque[ExecutionRecord] = deque(maxlen=self.keep)
        self._fresh: deque[tuple[str, Known]] = deque(maxlen=REMEMBERED_IDS)
        self._known: OrderedDict[str, Known] = OrderedDict()
        self._said: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def resize(self, keep: int) -> None:
        """Keep so many whole from now on, the newest of those there are."""
        self.keep = keep
        self._records = deque(self._records, maxlen=keep)

    def on_execution(self, record: ExecutionRecord) -> None:
        """Remember one."""
        ended_ns = self._now() - record.ended_ago_ns
        self._records.append(record)
        known = Known(record.agent_name, record.model, record.quality_score, ended_ns)
        self._fresh.append((record.execution_id, known))

    def enrich(self, execution_id: str, said: dict[str, Any]) -> Known | None:
        """Note what is said of an execution after it ended.

        Args:
            execution_id: which one.
            said: fields of `ExecutionMetrics`; None says nothing, and `metadata` adds to what there is.

        Returns:
            What was known of it before; None where nothing is known of it, so that nothing was noted either.
        """
        with self._lock:
            self._index()
            known = self._known.get(execution_id)
            if known is None:
                return None
            if said.get("quality_score") is not None:
                self._known[execution_id] = known._replace(quality_score=said["quality_score"])
            before = self._said.pop(execution_id, {})
            given = {name: value for name, value in said.items() if value is not None}
            metadata = {**before.get("metadata", {}), **given.get("metadata", {})}
            self._said[execution_id] = {**before, **given, "metadata": metadata}
            if len(self._said) > self.keep:
                self._said.popitem(last=False)
            return known

    def records(self) -> list[ExecutionRecord]:
        """Give the records that are kept whole, oldest first."""
        return list(self._records.copy())

    def metrics(self, limit: int | None = None, agent_name: str | None = None) -> list[ExecutionMetrics]:
        """Give the newest executions, oldest first, with what was said of them later.

        Args:
            limit: at most so many; None is all that are kept.
            agent_name: only those of this agent.
        """
        found = [record for record in self._records.copy() if agent_name in {None, record.agent_name}]
        newest = found if limit is None else found[max(len(found) - limit, 0) :]
        with self._lock:
            said = [self._said.get(record.execution_id) for record in newest]
        return [ExecutionMetrics.of(one).enriched(later) for one, later in zip(newest, said, strict=True)]

    def _index(self) -> None:
        fresh, known = self._fresh, self._known
        while fresh:
            execution_id, one = fresh.popleft()
            known[execution_id] = one
        while len(known) > REMEMBERED_IDS:
            known.popitem(last=False)
