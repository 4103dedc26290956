"""Windows, and everything that was counted into them."""

from __future__ import annotations

from typing import Any

from kaizen_otel.testing import SteppingClock
from kaizen_processors.window_sums import WindowSums
from kaizen_processors.windows import Group, Windows

NS = 10**9


class Watched:
    """Windows, and everything that was counted into them: what they must give is summed from that."""

    def __init__(self, **given: Any) -> None:
        self.clock = SteppingClock(step_ns=0)
        self.windows = Windows(self.clock, **given)
        self.seen: list[tuple[int, Any]] = []
        self.at_ns = 0

    @property
    def at_s(self) -> float:
        return self.at_ns / NS

    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.at_ns += int(seconds * 1e9)

    def see(self, record: Any) -> None:
        (self.windows.on_execution if hasattr(record, "status") else self.windows.on_call)(record)
        self.seen.append((self.at_ns - record.ended_ago_ns, record))

    def in_the_last(self, observed_s: float, group: Group) -> WindowSums:
        sums, start_ns = WindowSums(), self.at_ns - round(observed_s * NS)
        for at_ns, record in self.seen:
            if at_ns >= start_ns and _belongs(record, group):
                (sums.add_execution if hasattr(record, "status") else sums.add_call)(record)
        return sums


def _belongs(record: Any, group: Group) -> bool:
    return group.agent in {None, record.agent_name} and group.model in {None, record.model}
