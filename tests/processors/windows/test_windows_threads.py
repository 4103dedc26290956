"""Windows under threads, garbage collection, signals and forks: nothing lost, nothing torn, no lock held for ever."""

from __future__ import annotations

import gc
import sys
import threading
from typing import Any

import pytest

from kaizen_otel.testing import SteppingClock
from kaizen_processors.window_sums import WindowSums
from kaizen_processors.window_tiers import Tiers
from kaizen_processors.windows import Group, Windows
from tests.processors.forking import needs_fork, run_forking
from tests.processors.windows.records import CENT, call, execution
from tests.processors.windows.watched import Watched

ANN = Group(agent="ann")


def test_many_threads_lose_nothing_and_a_reader_never_sees_half_a_record() -> None:
    clock = SteppingClock(step_ns=1_000_000)  # a millisecond at each reading: slots close all the time
    windows = Windows(clock, max_keys=5)
    per_thread, threads = 2_000, 6
    torn: list[Any] = []
    done = threading.Event()

    def work(number: int) -> None:
        for turn in range(per_thread):
            windows.on_call(call(f"agent-{(turn + number) % 9}", tokens=(2, 1)))
            windows.on_execution(execution(f"agent-{(turn + number) % 9}"))

    def read() -> None:
        while not done.is_set():
            sums = windows.read(window_s=86_400).sums
            counted = sums.latency.zeros + sum(sums.latency.buckets.values())
            if not (sums.input_tokens == 2 * sums.model_calls == 2 * sums.output_tokens):
                torn.append(sums)
            if not (sums.cost_units == CENT * sums.model_calls and counted == sums.executions):
                torn.append(sums)
            windows.tick()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    readers = [threading.Thread(target=read) for _ in range(2)]
    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    try:
        for thread in (*readers, *workers):
            thread.start()
        for thread in workers:
            thread.join()
        done.set()
        for thread in readers:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert torn == []
    sums = windows.read(window_s=86_400).sums
    assert (sums.executions, sums.model_calls) == (per_thread * threads, per_thread * threads)


class _EndsAnExecution:
    """Garbage that counts an execution of a new agent when it is collected: an abandoned stream, say."""

    def __init__(self, windows: Windows, name: str) -> None:
        self.itself = self
        self.windows = windows
        self.name = name

    def __del__(self) -> None:
        self.windows.on_execution(execution(self.name))


def test_garbage_may_be_counted_in_the_middle_of_a_roll_up(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched()
    for number in range(5):
        watched.see(execution(f"agent-{number}"))
    merge = WindowSums.merge

    def collect_and_merge(self: WindowSums, other: WindowSums) -> None:
        _EndsAnExecution(watched.windows, f"garbage-{len(watched.windows._open)}")
        gc.collect()
        merge(self, other)

    watched.wait(10)
    monkeypatch.setattr(WindowSums, "merge", collect_and_merge)
    watched.windows.tick()
    monkeypatch.undo()
    assert len(watched.windows._open) >= 5
    counted = sum(cell.executions for cell in watched.windows._open.values())
    assert watched.windows.read(window_s=300).sums.executions == 5 + counted


@pytest.mark.parametrize("when", [1, 2, 3])
def test_a_signal_may_ask_in_the_middle_of_a_roll_up(monkeypatch: pytest.MonkeyPatch, when: int) -> None:
    watched = Watched()
    watched.wait(55)
    watched.see(execution("ann"))
    watched.wait(10)
    merge, calls = WindowSums.merge, iter(range(1, 1_000_000))

    def merge_and_ask(self: WindowSums, other: WindowSums) -> None:
        merge(self, other)
        if next(calls) == when:
            watched.see(execution("bob"))
            watched.wait(10)
            watched.windows.tick()

    monkeypatch.setattr(WindowSums, "merge", merge_and_ask)
    watched.windows.tick()
    monkeypatch.undo()
    watched.wait(600)
    for since_s, ann, bob in ((0, 1, 1), (60, 0, 1), (120, 0, 0)):
        for group, expected in ((ANN, ann), (Group("bob"), bob), (Group(), ann + bob)):
            assert watched.windows.read(group, watched.at_s - since_s).sums.executions == expected


@pytest.mark.parametrize("group", [Group(), ANN])
def test_a_slot_that_closes_in_the_middle_of_a_read_is_not_left_out(
    monkeypatch: pytest.MonkeyPatch, group: Group
) -> None:
    watched = Watched()
    watched.see(execution())
    starting = Tiers.starting

    def turn_and_start(self: Tiers, slot: int, now_slot: int) -> int:
        watched.wait(10)
        watched.see(execution())
        return starting(self, slot, now_slot)

    monkeypatch.setattr(Tiers, "starting", turn_and_start)
    assert watched.windows.read(group, 300).sums.executions == 2


FORK = """
import os, threading
from kaizen_processors.windows import Windows
from tests.processors.windows.records import execution

windows = Windows()
windows.on_execution(execution("parent"))
held, leave = threading.Event(), threading.Event()

def hold():
    # Another thread of the parent is in the middle of reading and of counting while it forks.
    with windows._tiers_lock, windows._lock:
        held.set()
        leave.wait()

thread = threading.Thread(target=hold)
thread.start()
held.wait()
pid = os.fork()
if pid == 0:
    import faulthandler
    faulthandler.dump_traceback_later(20, exit=True)
    assert windows.read(window_s=86_400).sums.executions == 0 and windows.groups() == []
    windows.on_execution(execution("child"))
    windows.tick()
    assert [group.agent for group in windows.groups()] == ["child"]
    print("child fine", flush=True)
    os._exit(0)
_, status = os.waitpid(pid, 0)
leave.set()
thread.join()
assert os.waitstatus_to_exitcode(status) == 0, status
assert [group.agent for group in windows.groups()] == ["parent"]
print("parent fine", flush=True)
"""


@needs_fork
def test_a_forked_child_begins_with_empty_windows_and_free_locks() -> None:
    assert run_forking(FORK).split() == ["child", "fine", "parent", "fine"]
