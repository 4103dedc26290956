"""What a store adds to a tick and to the judgement of rules, beside the same without one."""

from __future__ import annotations

import random
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from kaizen_otel.testing import SteppingClock
from kaizen_processors.alerts import DEFAULT_RULES, CallbackChannel, Evaluator, EvaluatorOptions
from kaizen_processors.alerts.office import Office
from kaizen_processors.alerts.shortlist import Shortlist
from kaizen_processors.alerts.window_values import WindowValues
from kaizen_processors.execution import CallRecord, ExecutionRecord
from kaizen_processors.fence import Fence
from kaizen_processors.ledger import TallySnapshot
from kaizen_processors.pricing import Price
from kaizen_processors.recent import RecentExecutions
from kaizen_processors.snapshots import Snapshots
from kaizen_processors.store import Store, StoreOptions
from kaizen_processors.usage import Usage
from kaizen_processors.windows import Windows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kaizen_processors.alerts import Rule

KEYS = 2_000
FAILING = 100
"""Agents, of all of them, whose alerts begin in one tick."""

_SLOTS = 30
_RULES: list[Rule] = [replace(one, group_by="agent", window_s=300.0) for one in DEFAULT_RULES]
_PRICE = Price(6 * 10**21)


class Worker:
    """One process of a host: its windows, its last executions and, where there is a store, its part in it."""

    def __init__(self, clock: SteppingClock, path: Path | None) -> None:
        self.clock = clock
        self.windows = Windows(clock, max_bytes=1 << 30, aligned=path is not None)
        self.recent = RecentExecutions(clock)
        self.store: Store | None = None
        self.shared: Any = tuple
        self._chance = random.Random(7)  # noqa: S311 - the same figures in every run
        self._count = 0
        if path is not None:
            self.store = Store(path, self.windows, StoreOptions(clock=clock))
            self.store.stand_for_judge()
            self.shared = Shortlist(self.recent, self.store, clock, Fence()).of_all

    def work(self) -> None:
        """Let every agent do something in this slot; the first hundred fail."""
        for number in range(KEYS):
            name = f"agent-{number}"
            self._count += 1
            execution = ExecutionRecord(
                execution_id=f"{id(self):016x}{self._count:016x}",
                agent_name=name,
                model="gpt-4o",
                status="error" if number < FAILING else "success",
                start_time_ns=self.clock.time_ns(),
                duration_ns=int(self._chance.lognormvariate(20, 0.8)),
                own=TallySnapshot(),
                total=TallySnapshot(),
                quality_score=0.9,
            )
            self.windows.on_execution(execution)
            self.recent.on_execution(execution)
            self.windows.on_call(
                CallRecord(
                    operation="chat",
                    provider="openai",
                    model="gpt-4o",
                    agent_name=name,
                    usage=Usage(100, 20),
                    price=_PRICE,
                )
            )

    def tick(self) -> float:
        """Close what is over, tell and learn; microseconds of it."""
        begun = time.thread_time_ns()
        self.windows.tick()
        if self.store is not None:
            self.store.beat()
        return (time.thread_time_ns() - begun) / 1_000

    def judge(self, *, firing: bool) -> float:
        """Judge four rules for every agent, for the first time; microseconds of it."""
        rules = _RULES if firing else [one for one in _RULES if one.name != "high_error_rate"]
        values = WindowValues(Snapshots(self.windows, self.clock), self.recent, self.clock, self.shared)
        office: Office | None = None
        leads = (lambda: office is not None and office.in_office()) if self.store is not None else (lambda: True)
        options = EvaluatorOptions(clock=self.clock, max_groups=KEYS, leads=leads)
        # An address that is in the alert, and nobody who takes long to hear it.
        evaluator = Evaluator(rules, values, [CallbackChannel("nobody", lambda _: None)], options=options)
        if self.store is not None:
            self.store.save_section("alerts", {})
            office = Office(self.store, evaluator, None)
        begun = time.thread_time_ns()
        if office is not None:
            office.follow()  # takes over, and judges
        else:
            evaluator.tick()
        took = (time.thread_time_ns() - begun) / 1_000
        assert len(evaluator.alerts()) == (FAILING if firing else 0)
        evaluator.close(10.0)
        return took

    def close(self) -> None:
        """Leave the host."""
        if self.store is not None:
            self.store.shutdown()


@contextmanager
def host(workers: int, *, with_store: bool = True) -> Iterator[list[Worker]]:
    """Workers of one host after five minutes in which all agents were at work in each of them."""
    with TemporaryDirectory() as folder:
        clock = SteppingClock(step_ns=0)
        path = Path(folder) / "store.db" if with_store else None
        made = [Worker(clock, path) for _ in range(workers)]
        for _ in range(_SLOTS):
            _slot(made)
        yield made
        for worker in made:
            worker.close()


def _slot(workers: list[Worker]) -> list[float]:
    for worker in workers:
        worker.work()
    workers[0].clock.advance(10)
    return [worker.tick() for worker in workers]


def longest_ticks(rounds: int, workers: int) -> list[float]:
    """Microseconds of the last worker's longest tick of five minutes each; it reads what the others have just told."""
    with host(workers) as made:
        return [max(_slot(made)[-1] for _ in range(_SLOTS)) for _ in range(rounds)]


def judgements(rounds: int, *, firing: bool, with_store: bool) -> list[float]:
    """Microseconds of the first judgement of every agent."""
    with host(2 if with_store else 1, with_store=with_store) as made:
        judge = next(one for one in made if one.store is None or one.store.leads())
        return [judge.judge(firing=firing) for _ in range(rounds)]
