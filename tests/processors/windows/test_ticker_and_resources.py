"""The thread that ticks, and what the process used while an execution ran."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from typing import Any

import psutil
import pytest

from kaizen_processors.fence import Fence
from kaizen_processors.resources import MIB, ResourceMeter
from kaizen_processors.ticker import Ticker
from tests.processors.forking import needs_fork, run_forking

WAIT_S = 30.0


def tickers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "kaizen-otel-ticker"]


# -- the ticker ---------------------------------------------------------------------------------------------------


def test_a_task_that_raises_is_counted_and_the_others_run() -> None:
    fence, ran = Fence(), []
    ticker = Ticker(fence)
    ticker.add("first", lambda: 1 // 0)
    ticker.add("second", lambda: ran.append(1))
    ticker.tick()
    assert (fence.counts(), ran) == ({"first:ZeroDivisionError": 1}, [1])


def test_the_thread_starts_once_ticks_and_stops() -> None:
    ticks = threading.Semaphore(0)
    ticker = Ticker(Fence(), interval_s=0.001)
    ticker.add("count", ticks.release)
    assert tickers() == []
    for _ in range(5):
        ticker.start()
    (thread,) = tickers()
    assert thread.daemon
    for _ in range(3):
        assert ticks.acquire(timeout=WAIT_S)
    ticker.stop()
    thread.join(WAIT_S)
    assert tickers() == []
    ticker.start()
    assert tickers() == []


def test_a_task_may_run_between_the_ticks() -> None:
    beats, ticks = threading.Semaphore(0), []
    ticker = Ticker(Fence(), interval_s=3_600.0)
    ticker.add("ticks", lambda: ticks.append(1))
    ticker.start()
    ticker.add("beats", beats.release, every_s=0.001)
    for _ in range(3):
        assert beats.acquire(timeout=WAIT_S)
    assert ticks == []
    ticker.tick()
    assert ticks == [1]
    ticker.stop()


def test_only_the_task_that_was_given_is_removed_and_not_its_namesake() -> None:
    ran: list[int] = []
    ticker = Ticker(Fence())
    first = ticker.add("same", lambda: ran.append(1))
    ticker.add("same", lambda: ran.append(2))
    ticker.remove(first)
    ticker.tick()
    assert ran == [2]


def test_a_task_may_stop_the_ticker() -> None:
    ticker = Ticker(Fence(), interval_s=0.001)
    ticker.add("stop", ticker.stop)
    ticker.start()
    thread = ticker._thread
    assert thread is not None
    thread.join(WAIT_S)
    assert not thread.is_alive()


def test_where_no_thread_can_be_started_it_is_counted_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    fence = Fence()
    ticker = Ticker(fence, interval_s=0.001)

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    ticker.start()
    assert fence.counts() == {"ticker.start:RuntimeError": 1}
    monkeypatch.undo()
    ticker.start()
    assert len(tickers()) == 1
    ticker.stop()


FORK = """
import os, threading
from kaizen_processors.fence import Fence
from kaizen_processors.ticker import Ticker

ticks = threading.Semaphore(0)
ticker = Ticker(Fence(), interval_s=0.001)
ticker.add("count", ticks.release)
ticker.start()
assert ticks.acquire(timeout=30)
pid = os.fork()
if pid == 0:
    assert threading.active_count() == 1
    while ticks.acquire(blocking=False):
        pass
    ticker.start()
    assert ticks.acquire(timeout=30)
    os._exit(0)
_, status = os.waitpid(pid, 0)
assert os.waitstatus_to_exitcode(status) == 0, status
"""


@needs_fork
def test_a_forked_child_starts_its_own_thread() -> None:
    run_forking(FORK)


# -- resources ----------------------------------------------------------------------------------------------------


def test_an_execution_that_ran_alone_is_told_from_one_that_did_not() -> None:
    meter = ResourceMeter(Fence())
    alone = meter.begin()
    assert meter.end(alone, 10**9).alone
    first, second = meter.begin(), meter.begin()
    assert not meter.end(first, 10**9).alone
    third = meter.begin()
    assert not meter.end(second, 10**9).alone
    assert not meter.end(third, 10**9).alone
    again = meter.begin()
    assert meter.end(again, 10**9).alone


def test_an_abandoned_execution_does_not_run_for_ever() -> None:
    meter = ResourceMeter(Fence())
    abandoned = meter.begin()
    del abandoned
    gc.collect()
    assert meter.end(meter.begin(), 10**9).alone


def test_processor_time_of_all_threads_is_a_part_of_the_time_that_passed() -> None:
    meter = ResourceMeter(Fence())
    probe = meter.begin()
    thread = threading.Thread(target=_work_for, args=(50_000_000,))
    thread.start()
    thread.join()
    used = meter.end(probe, 100_000_000)
    assert used.cpu_usage_percent is not None
    assert used.cpu_usage_percent >= 50
    assert meter.end(meter.begin(), 0).cpu_usage_percent is None


def _work_for(cpu_ns: int) -> None:
    begun = time.thread_time_ns()
    while time.thread_time_ns() - begun < cpu_ns:
        pass


def test_memory_is_that_of_the_process_and_how_much_it_grew() -> None:
    meter = ResourceMeter(Fence())
    probe = meter.begin()
    held = bytearray(os.urandom(1) * 50_000_000)
    used = meter.end(probe, 10**9)
    assert used.memory_usage_mb is not None
    assert used.memory_growth_mb is not None
    assert used.memory_usage_mb == pytest.approx(psutil.Process().memory_info().rss / MIB, rel=0.5)
    assert used.memory_growth_mb >= len(held) / MIB * 0.8


def test_network_is_that_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    class Counters:
        bytes_sent = 0
        bytes_recv = 0

    monkeypatch.setattr(psutil, "net_io_counters", Counters)
    meter = ResourceMeter(Fence())
    probe = meter.begin()
    monkeypatch.setattr(Counters, "bytes_recv", 300)
    monkeypatch.setattr(Counters, "bytes_sent", 40)
    assert meter.end(probe, 1).network_io_bytes == 340


@pytest.mark.parametrize("reading", ["memory", "network"])
def test_what_cannot_be_read_is_none_and_counted(monkeypatch: pytest.MonkeyPatch, reading: str) -> None:
    def refuse(*_: Any) -> None:
        raise psutil.AccessDenied

    if reading == "memory":
        monkeypatch.setattr(psutil.Process, "memory_info", refuse)
    else:
        monkeypatch.setattr(psutil, "net_io_counters", refuse)
    fence = Fence()
    meter = ResourceMeter(fence)
    used = meter.end(meter.begin(), 10**9)
    assert fence.counts() == {f"resources.{reading}:AccessDenied": 2}
    assert (used.memory_usage_mb is None, used.network_io_bytes is None) == (reading == "memory", reading == "network")
    assert used.cpu_usage_percent is not None


def test_without_psutil_only_processor_time_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    fence = Fence()
    meter = ResourceMeter(fence)
    used = meter.end(meter.begin(), 10**9)
    assert (used.memory_usage_mb, used.memory_growth_mb, used.network_io_bytes) == (None, None, None)
    assert fence.counts() == {"resources.import:ModuleNotFoundError": 1}
