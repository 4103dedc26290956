"""Clocks that are set, and slots that line up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kaizen_otel.testing import SteppingClock
from kaizen_processors.windows import Group
from tests.processors.store.host import NS, Host
from tests.processors.windows.records import call

if TYPE_CHECKING:
    from pathlib import Path


class SetClock(SteppingClock):
    """A clock whose wall reading can be set."""

    def __init__(self) -> None:
        super().__init__(step_ns=0)

    def set_by(self, seconds: float) -> None:
        self._start_ns += int(seconds * NS)


def host_of(tmp_path: Path, count: int) -> tuple[Host, SetClock]:
    host, clock = Host(tmp_path), SetClock()
    host.clock = clock
    host.workers = [host.start() for _ in range(count)]
    return host, clock


def test_slots_of_processes_that_began_at_odd_times_line_up(tmp_path: Path) -> None:
    host, clock = host_of(tmp_path, 0)
    for _ in range(3):
        host.wait(3.7)
        host.workers.append(host.start())
    for worker in host.workers:
        worker.see(call())
    host.settle()
    with host.reader() as reader:
        numbers = [
            period
            for period in reader.history(clock.time_ns() - 60 * NS, clock.time_ns(), 10)
            if period.sums.model_calls
        ]
        assert [(period.start_ns % (10 * NS), period.sums.model_calls) for period in numbers] == [(0, 3)]


@pytest.mark.parametrize("step_s", [3_600.0, -3_600.0, 25.0])
def test_a_clock_that_is_set_bends_no_window_and_all_line_up_again(tmp_path: Path, step_s: float) -> None:
    host, clock = host_of(tmp_path, 2)
    for worker in host.workers:
        worker.see(call())
    host.settle()
    clock.set_by(step_s)
    host.pass_time(1)
    host.workers.append(host.start())  # it knows the new time only
    began_ns = clock.time_ns()
    for worker in host.workers:
        worker.see(call())
    host.settle()
    for worker in host.workers[:2]:
        assert worker.windows.read(Group(), 300.0).sums.model_calls == 5
        assert worker.windows.read(Group(), 300.0).observed_s == pytest.approx(21.0, abs=10.0)
        assert worker.windows.read(Group(), 10.0).sums.model_calls == 3
    newcomer = host.workers[2].windows
    assert newcomer.read(Group(), 10.0).sums.model_calls == 3
    with host.reader() as reader:  # history is in the time that the clock showed
        assert sum(one.sums.model_calls for one in reader.history(began_ns, clock.time_ns(), 10)) in {3, 5}


def test_without_a_store_slots_begin_with_the_process(tmp_path: Path) -> None:
    from kaizen_processors.windows import Windows

    host, clock = host_of(tmp_path, 0)
    host.wait(3.7)
    windows = Windows(clock)
    assert windows.epoch_ns == clock.monotonic_ns()
