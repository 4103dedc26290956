"""How many spans a second one core holds for a minute without losing one: our queue beside BatchSpanProcessor.

The application has one core to itself and makes model-call spans of 20 attributes at a steady rate; a sink on loopback
takes and counts them, in another process on another core. A rate is held when the application keeps its pace and
everything arrives. Of the six rates the highest is found by halving: three runs for each library.

Used by `benchmarks.encode`; as a script it is the application:

    python -m benchmarks.held_rate KIND URL CORE RATE SECONDS
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry.sdk.trace import TracerProvider

from benchmarks.delivery_app import processor_of
from tests.processors.delivery.backend import Backend

if TYPE_CHECKING:
    from collections.abc import Iterator

RATES = (2_000, 4_000, 6_000, 8_000, 12_000, 16_000)
KINDS = ("kaizen-otel", "BatchSpanProcessor")
STEPS_A_SECOND = 100
KEPT = 0.99
"""The pace is kept when so much of the rate was made."""
FLUSH_MS = 30_000
SHAPES = 512


class Run(NamedTuple):
    """One rate, tried."""

    kind: str
    rate: int
    made: int
    arrived: int
    took_s: float
    cpu_s: float
    seconds: float

    @property
    def held(self) -> bool:
        """Whether the pace was kept and everything arrived."""
        return self.arrived == self.made and self.made / self.took_s >= KEPT * self.rate

    def cells(self) -> list[str]:
        """What the table shows of it."""
        return [
            self.kind,
            f"{self.rate:,}",
            f"{self.made / self.took_s:,.0f}",
            f"{self.made - self.arrived:,}",
            f"{100 * self.cpu_s / self.took_s:.0f}%",
            "held" if self.held else "not held",
        ]


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Run the threads that are started in this block on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def attempt(kind: str, rate: int, seconds: float) -> Run:
    cores = sorted(os.sched_getaffinity(0))
    with on_core(cores[-1]), Backend() as sink:
        arguments = [kind, sink.url, str(cores[0]), str(rate), str(seconds)]
        command = [sys.executable, "-m", "benchmarks.held_rate", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - our own program
        said: dict[str, Any] = json.loads(done.stdout)
        return Run(kind, rate, arrived=len(sink.taken), seconds=seconds, **said)


def highest(kind: str, seconds: float) -> Iterator[Run]:
    """Try rates by halving the range of those that may be held."""
    low, high = 0, len(RATES)
    while low < high:
        middle = (low + high) // 2
        run = attempt(kind, RATES[middle], seconds)
        yield run
        low, high = (middle + 1, high) if run.held else (low, middle)


def table(seconds: float) -> str:
    header = ["", "spans/s asked", "made", "lost", "of the core", f"for {seconds:g} s"]
    lines = ["| " + " | ".join(header) + " |", "|---|---:|---:|---:|---:|---|"]
    for kind in KINDS:
        runs = sorted(highest(kind, seconds), key=lambda one: one.rate)
        lines += ["| " + " | ".join(run.cells()) + " |" for run in runs]
    return "\n".join(lines)


def application(kind: str, url: str, core: int, rate: int, seconds: float) -> dict[str, float]:
    """Make spans at this rate on this core, and flush."""
    os.sched_setaffinity(0, {core})
    from benchmarks.encode import model_call

    provider = TracerProvider()
    provider.add_span_processor(processor_of(kind, url, None))
    tracer = provider.get_tracer("benchmark")
    shapes = [model_call() for _ in range(SHAPES)]
    step = rate // STEPS_A_SECOND
    began, cpu_s = time.perf_counter(), time.process_time()
    made = 0
    for turn in range(int(seconds * STEPS_A_SECOND)):
        for _ in range(step):
            with tracer.start_as_current_span("chat gpt-4o", attributes=shapes[made % SHAPES]):
                made += 1
        ahead_s = (turn + 1) / STEPS_A_SECOND - (time.perf_counter() - began)
        if ahead_s > 0:
            time.sleep(ahead_s)
    took_s, used_s = time.perf_counter() - began, time.process_time() - cpu_s
    provider.force_flush(FLUSH_MS)
    return {"made": made, "took_s": took_s, "cpu_s": used_s}


if __name__ == "__main__":
    said = application(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
    print(json.dumps(said))
