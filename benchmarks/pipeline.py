"""What the windows cost: for each record, for each tick, for each snapshot, and in memory, however long it runs.

Run from the repository: python -m benchmarks.pipeline [--rounds 25] [--executions 10000000] [--keys 100000] [--write]
"""

from __future__ import annotations

import argparse
import logging
import random
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from benchmarks import scenes, shared_store
from benchmarks.harness import Case, Line, Table, Timings, measure, write_between_markers
from benchmarks.overhead import BARE_SPAN, BUDGETED_SPAN_US, surroundings
from benchmarks.parts import FOREIGN_SPAN, USAGE
from kaizen_otel.testing import SteppingClock
from kaizen_processors.conditions import CONDITIONS
from kaizen_processors.dialects import ForeignCalls
from kaizen_processors.execution import CallRecord, ExecutionRecord
from kaizen_processors.fence import Fence
from kaizen_processors.ledger import OVERFLOW, Ledger, TallySnapshot
from kaizen_processors.pipeline import Pipeline, PipelineSpanProcessor
from kaizen_processors.pricing import Price, PriceBook
from kaizen_processors.recent import RecentExecutions
from kaizen_processors.snapshots import Snapshots
from kaizen_processors.windows import NS, SLOT_NS, Group, Window, Windows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.scenes import Work

DOCUMENT = Path(__file__).parent.parent / "docs" / "performance.md"
KEYS = shared_store.KEYS
MS = 1_000
_DAY_PART_S = 20 * 3_600
"""Hours that the memory test passes through: less than a day, so that every execution is still there to be counted."""

LINES = [
    Line("an execution handed over: pipeline, windows, the last executions", "execution", budget=2),
    Line("a model call handed over: pipeline, windows", "call", budget=2),
    Line("a model call parsed from another library's span: ledger, price, pipeline, windows", "foreign call", budget=4),
    Line(f"the longest tick of five minutes, {KEYS:,} keys all at work", "tick", budget=200 * MS),
    Line("… with a store: what closed is written, older rows are rolled up", "tick with a store"),
    Line("… and what another worker wrote, as many rows, is read", "tick of two workers"),
    Line("a snapshot of one agent, five minutes", "snapshot", budget=1 * MS),
    Line("a snapshot of one agent, 24 hours", "snapshot of the day", budget=1 * MS),
    Line(f"a snapshot of all {KEYS:,} keys together, five minutes", "snapshot of all"),
    Line("one condition of one agent, five minutes: error_rate", "error_rate"),
    Line("one condition of one agent, five minutes: p95_latency", "p95_latency"),
    Line(f"4 rules of each of {KEYS:,} agents judged, none fires", "judged"),
    Line("… with a store, by the worker that takes over", "judged with a store"),
    Line(f"… {shared_store.FAILING} alerts begin, each with its worst executions", "alerts"),
    Line("… with a store: those of two workers, and the alerts are kept", "alerts with a store"),
    Line(f"{len(CONDITIONS)} conditions of each of {KEYS:,} keys, five minutes: what rules may cost a tick", "rules"),
]


def execution(agent_name: str = "desk", duration_ns: int = 10**9) -> ExecutionRecord:
    return ExecutionRecord(
        execution_id="0" * 32,
        agent_name=agent_name,
        model="gpt-4o",
        status="success",
        start_time_ns=0,
        duration_ns=duration_ns,
        own=TallySnapshot(),
        total=TallySnapshot(),
        quality_score=0.9,
    )


def call(agent_name: str = "desk") -> CallRecord:
    price = Price(6 * 10**21)
    return CallRecord(
        operation="chat", provider="openai", model="gpt-4o", agent_name=agent_name, usage=USAGE, price=price
    )


def handing_over() -> list[Case]:
    """What each record costs on the caller's thread."""
    fence = Fence()
    pipeline = Pipeline(fence, (Windows(), RecentExecutions()), foreign=ForeignCalls(Ledger(), PriceBook()))
    an_execution, a_call = execution(), call()
    shell = PipelineSpanProcessor(fence)
    shell.arm(pipeline)
    attributes: dict[str, Any] = FOREIGN_SPAN
    ended: Any = scenes.tracer_provider().get_tracer("another").start_span("chat gpt-4o", attributes=attributes)
    ended.end()

    def executions(count: int) -> None:
        for _ in range(count):
            pipeline.execution_finished(an_execution)

    def calls(count: int) -> None:
        for _ in range(count):
            pipeline.call_finished(a_call)

    def foreign(count: int) -> None:
        for _ in range(count):
            shell.on_start(ended, None)
            shell.on_end(ended)

    return [
        Case(BARE_SPAN.case, scenes.bare_span()),
        Case("execution", executions),
        Case("call", calls),
        Case("foreign call", foreign),
    ]


def busy_windows(hours: float) -> tuple[SteppingClock, Windows]:
    """Windows of 2,000 agents: all at work in each of the last ten minutes, one of them for hours."""
    clock = SteppingClock(step_ns=0)
    windows = Windows(clock, max_bytes=1 << 30)
    chance = random.Random(7)  # noqa: S311 - the same figures in every run
    for _ in range(int(hours * 360)):
        _work(windows, chance, 1)
        clock.advance(10)
        windows.tick()
    for _ in range(60):
        _work(windows, chance, KEYS)
        clock.advance(10)
        windows.tick()
    return clock, windows


def _work(windows: Windows, chance: random.Random, agents: int) -> None:
    for number in range(agents):
        name = f"agent-{number}"
        for _ in range(2):
            windows.on_execution(execution(name, int(chance.lognormvariate(21, 0.8))))
            windows.on_call(call(name))


def ticking(rounds: int, clock: SteppingClock, windows: Windows) -> Iterator[float]:
    """Microseconds of the longest tick of five minutes each: one closes slots of ten seconds to five minutes."""
    chance = random.Random(7)  # noqa: S311 - the same figures in every run
    for _ in range(rounds):
        longest_ns = 0
        for _ in range(30):
            _work(windows, chance, KEYS)
            clock.advance(10)
            begun = time.thread_time_ns()
            windows.tick()
            longest_ns = max(longest_ns, time.thread_time_ns() - begun)
        yield longest_ns / 1_000


def reading(clock: SteppingClock, windows: Windows) -> list[Case]:
    """What a look costs."""
    snapshots = Snapshots(windows, clock)

    def taking(window_s: float, agent: str | None) -> Work:
        def run(count: int) -> None:
            for _ in range(count):
                snapshots.take(window_s, agent=agent)

        return run

    def asking(name: str) -> Work:
        def run(count: int) -> None:
            for _ in range(count):
                snapshots.value(name, Group("agent-0"), 300.0)

        return run

    return [
        Case("snapshot", taking(300.0, "agent-0")),
        Case("snapshot of the day", taking(86_400.0, "agent-0")),
        Case("snapshot of all", taking(300.0, None)),
        Case("error_rate", asking("error_rate")),
        Case("p95_latency", asking("p95_latency")),
        Case("rules", judging(snapshots), count=1),
    ]


def judging(snapshots: Snapshots) -> Work:
    """Every condition of every agent, as a table of rules might ask."""
    groups = [Group(f"agent-{number}") for number in range(KEYS)]

    def run(count: int) -> None:
        for _ in range(count):
            for group in groups:
                for name in CONDITIONS:
                    snapshots.value(name, group, 300.0)

    return run


def run(rounds: int) -> tuple[Table, Timings]:
    """Measure everything but memory, in one run with a bare span."""
    clock, windows = busy_windows(20)
    timings = measure([*handing_over(), *reading(clock, windows)], rounds)
    timings.of["tick"] = list(ticking(min(rounds, 10), clock, windows))
    few = min(rounds, 5)
    timings.of["tick with a store"] = shared_store.longest_ticks(few, 1)
    timings.of["tick of two workers"] = shared_store.longest_ticks(few, 2)
    for name, firing in (("judged", False), ("alerts", True)):
        timings.of[name] = shared_store.judgements(few, firing=firing, with_store=False)
        timings.of[f"{name} with a store"] = shared_store.judgements(few, firing=firing, with_store=True)
    return Table("Windows", LINES, BARE_SPAN, BUDGETED_SPAN_US), timings


def memory(executions: int, keys: int) -> str:
    """A table of what the process holds as executions of ever new agents come in, and whether the sums are exact."""
    clock = SteppingClock(step_ns=0)
    windows = Windows(clock)
    slots = _Slots(clock)
    process = psutil.Process()
    record = execution()
    chance = random.Random(7)  # noqa: S311 - the same figures in every run
    before = process.memory_info().rss
    rows = ["| executions | agents | MB more than at the start | MB of closed slots | counted | in `overflow` |"]
    rows.append("| ---: | ---: | ---: | ---: | --- | --- |")
    apart: set[int] = set()
    step = max(executions // 8, 1)
    for number in range(1, executions + 1):
        # The first keys are the busiest, as in a real house; all are offered in the end.
        agent = number % keys if number % 2 else chance.randrange(KEYS)
        record.agent_name, record.duration_ns = f"agent-{agent}", int(chance.lognormvariate(21, 0.8))
        if len(apart) < KEYS:
            apart.add(agent)
        windows.on_execution(record)
        slots.count(overflowed=agent not in apart)
        clock.advance(_DAY_PART_S / executions)
        if number % 1_000 == 0:
            windows.tick()
        if number % step == 0:
            grown = (process.memory_info().rss - before) / 1e6
            size = windows.stats()["bytes"] / 1e6
            everything = slots.judged(windows.read(window_s=86_400.0), slots.all)
            overflow = slots.judged(windows.read(Group(OVERFLOW, OVERFLOW), 86_400.0), slots.overflow)
            rows.append(
                f"| {number:,} | {min(number, keys):,} | {grown:.0f} | {size:.0f} | {everything} | {overflow} |"
            )
    return "\n".join(rows)


class _Slots:
    """What was handed over, counted by the ten seconds in which it was: the answer that windows must give."""

    def __init__(self, clock: SteppingClock) -> None:
        self._clock = clock
        self._began_ns = clock.monotonic_ns()
        self.all: Counter[int] = Counter()
        self.overflow: Counter[int] = Counter()

    def count(self, *, overflowed: bool) -> None:
        slot = self._elapsed_ns() // SLOT_NS
        self.all[slot] += 1
        self.overflow[slot] += overflowed

    def judged(self, window: Window, counted: Counter[int]) -> str:
        """Whether a window that begins where it says holds what was counted since."""
        first = (self._elapsed_ns() - round(window.observed_s * NS)) // SLOT_NS
        expected = sum(count for slot, count in counted.items() if slot >= first)
        difference = window.sums.executions - expected
        return f"exact, {window.observed_s / 3_600:.1f} h" if not difference else f"**{difference:+}**"

    def _elapsed_ns(self) -> int:
        return self._clock.monotonic_ns() - self._began_ns


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=25, help="turns of each case")
    parser.add_argument("--executions", type=int, default=10_000_000, help="executions of the memory test; 0: none")
    parser.add_argument("--keys", type=int, default=100_000, help="distinct agents of the memory test")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {DOCUMENT.name}")
    options = parser.parse_args()
    logging.disable(logging.ERROR)

    # First: what others let go of would be used again.
    held = memory(options.executions, options.keys) if options.executions else ""
    table, timings = run(options.rounds)
    text = table.markdown(timings) + "\n\n" + surroundings(options.rounds, "cpu")
    print(f"{text}\n\n{held}")
    if options.write:
        write_between_markers(DOCUMENT, "pipeline", text)
        if held:
            write_between_markers(DOCUMENT, "pipeline-memory", held)


if __name__ == "__main__":
    main()
