"""Measure several things in one run, turn by turn, so that whatever disturbs the machine disturbs all of them.

A case does an operation as often as fills a turn, which is about as long for all of them. In each round every case gets
one turn, in an order that rotates. What counts is the best turn of a case, the least disturbed one; the median of all
turns stands beside it.
"""

from __future__ import annotations

import gc
import statistics
import time
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

CLOCKS: dict[str, Callable[[], int]] = {
    "cpu": time.thread_time_ns,
    "threads": time.process_time_ns,
    "wall": time.perf_counter_ns,
}
"""`cpu` is the calling thread's own processor time: what its caller pays, without the waiting for other processes;
`threads` is that of all threads together, for work that is spread over several."""


TURN_NS = 8_000_000
"""A turn: short enough to fit between two disturbances, long enough for the clock."""


@dataclass(frozen=True)
class Case:
    """One thing to measure: `run(count)` does it `count` times, inside `around()`, which is not measured.

    Without a `count` of its own a case gets the one that fills a turn; without a `clock`, the one of the measurement.
    """

    name: str
    run: Callable[[int], object]
    around: Callable[[], AbstractContextManager[object]] = nullcontext
    count: int | None = None
    clock: str | None = None


@dataclass(frozen=True)
class Line:
    """One line of a table: what a case costs beyond its base, for each of the `per` things it does at a time.

    `beyond` is another line whose cost is in it and does not count.
    """

    what: str
    case: str
    base: str | None = None
    budget: float | None = None
    per: int = 1
    beyond: Line | None = None


@dataclass(frozen=True)
class Timings:
    """Microseconds of one operation, by case, one for each round."""

    of: dict[str, list[float]]

    def best(self, line: Line) -> float:
        """Microseconds, case and base both at their least disturbed."""
        below = 0.0 if line.base is None else min(self.of[line.base])
        apart = 0.0 if line.beyond is None else self.best(line.beyond)
        return (min(self.of[line.case]) - below - apart) / line.per

    def rounds(self, line: Line) -> list[float]:
        """Microseconds in each round."""
        nothing = [0.0] * len(self.of[line.case])
        bases = nothing if line.base is None else self.of[line.base]
        apart = nothing if line.beyond is None else self.rounds(line.beyond)
        return [
            (mine - below - other) / line.per
            for mine, below, other in zip(self.of[line.case], bases, apart, strict=True)
        ]

    def ratio(self, line: Line, unit: Line) -> float:
        """How many of another line this one costs, both at their best."""
        return self.best(line) / self.best(unit)

    def median_ratio(self, line: Line, unit: Line) -> float:
        """The same from the medians of the rounds: what a busy machine sees."""
        return statistics.median(self.rounds(line)) / statistics.median(self.rounds(unit))


def _count_for_a_turn(case: Case) -> int:
    with case.around():
        case.run(20)
        begun = time.thread_time_ns()
        case.run(20)
        return max(1, TURN_NS * 20 // (time.thread_time_ns() - begun))


@dataclass(frozen=True)
class Table:
    """Lines compared with one unit. Budgets are ratios to it, or microseconds where the unit takes `unit_us`."""

    title: str
    lines: list[Line]
    unit: Line
    unit_us: float | None = None

    def results(self, timings: Timings) -> list[dict[str, Any]]:
        """The lines as measured, as plain values."""
        scale = self.unit_us or 1.0
        return [
            {
                "what": line.what,
                "us": timings.best(line),
                "compared": timings.ratio(line, self.unit) * scale,
                "median": timings.median_ratio(line, self.unit) * scale,
                "budget": line.budget,
            }
            for line in self.lines
        ]

    def markdown(self, timings: Timings) -> str:
        """The lines as measured, as a table."""
        scaled = "ratio" if self.unit_us is None else f"µs at {self.unit_us:g}"
        header = [self.title, "µs", scaled, "median", "at most"]
        lines = [header, ["---", *("---:" for _ in header[1:])]]
        for row in self.results(timings):
            numbers = (
                f"{row[key]:.1f}" if row[key] >= 100 else f"{row[key]:.2f}" for key in ("us", "compared", "median")
            )
            lines.append([row["what"], *numbers, _verdict(row)])
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _verdict(row: dict[str, Any]) -> str:
    budget = row["budget"]
    if budget is None:
        return ""
    return f"{budget:g}" if row["compared"] <= budget else f"{budget:g} **missed**"


def measure(cases: Sequence[Case], rounds: int, clock: str = "cpu") -> Timings:
    """Give every case one turn in each round."""
    taken: dict[str, list[float]] = {case.name: [] for case in cases}
    counts = {case.name: case.count or _count_for_a_turn(case) for case in cases}
    gc.collect()
    gc.freeze()
    for number in range(rounds):
        shift = number % len(cases)
        for case in (*cases[shift:], *cases[:shift]):
            count, now = counts[case.name], CLOCKS[case.clock or clock]
            with case.around():
                case.run(count // 4 + 1)  # to get warm
                begun = now()
                case.run(count)
                taken[case.name].append((now() - begun) / count / 1_000)
    gc.unfreeze()
    return Timings(taken)


def write_between_markers(path: Path, name: str, text: str) -> None:
    """Replace what stands between `<!-- name -->` and `<!-- /name -->` in a document.

    Raises:
        ValueError: the document has no such markers.
    """
    document = path.read_text(encoding="utf-8")
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, found, rest = document.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{path}: no {begin} ... {end}")
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")
