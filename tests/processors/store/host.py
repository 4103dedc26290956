"""Processes that share a store, in one process: each has its own windows and connection, all have one clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kaizen_otel.testing import SteppingClock
from kaizen_processors.store import Store, StoreOptions, StoreReader
from kaizen_processors.windows import Windows

if TYPE_CHECKING:
    from pathlib import Path

NS = 10**9


class Worker:
    """One of them."""

    def __init__(self, path: Path, clock: SteppingClock, **options: Any) -> None:
        max_keys = options.pop("max_keys", 2_000)
        self.windows = Windows(clock, aligned=True, max_keys=max_keys)
        judges = options.pop("judges", True)
        self.store = Store(path, self.windows, StoreOptions(clock=clock, **options))
        if judges:
            self.store.stand_for_judge()

    def see(self, record: Any) -> None:
        (self.windows.on_execution if hasattr(record, "status") else self.windows.on_call)(record)

    def tick(self) -> None:
        self.windows.tick()
        self.store.beat()

    @property
    def failures(self) -> dict[str, int]:
        failures: dict[str, int] = self.store.stats()["failures"]
        return failures


class Host:
    """A machine with a clock, and a store."""

    def __init__(self, folder: Path, workers: int = 0, **options: Any) -> None:
        self.path = folder / "store.db"
        self.clock = SteppingClock(step_ns=0)
        self.options = options
        self.workers = [self.start() for _ in range(workers)]

    def start(self, **options: Any) -> Worker:
        """Another worker."""
        return Worker(self.path, self.clock, **self.options, **options)

    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def pass_time(self, seconds: float) -> None:
        """Let all workers beat every second for so long."""
        for _ in range(round(seconds)):
            self.wait(1.0)
            for worker in self.workers:
                worker.tick()

    def settle(self) -> None:
        """Let the open slots close, everyone tell, and everyone learn."""
        self.wait(10.0)
        for _ in range(2):
            for worker in self.workers:
                worker.tick()

    def reader(self) -> StoreReader:
        return StoreReader(self.path, self.clock)
