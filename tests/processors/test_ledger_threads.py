"""The ledger under threads, under the garbage collector, and after a fork."""

from __future__ import annotations

import gc
import sys
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

from kaizen_processors.ledger import CallTotals, Ledger, Tally
from kaizen_processors.pricing.price import Price
from tests.processors.forking import needs_fork, run_forking
from tests.processors.ledger_calls import call

if TYPE_CHECKING:
    import pytest

# -- threads -----------------------------------------------------------------------------------------------------------


def test_many_threads_lose_nothing_and_a_reader_never_sees_half_a_call() -> None:
    ledger = Ledger(max_keys=5)
    total = Tally()
    per_thread, threads = 2_000, 8
    owns = [Tally() for _ in range(threads)]
    torn: list[Any] = []
    done = threading.Event()

    def work(number: int) -> None:
        for turn in range(per_thread):
            ledger.open_call([owns[number], total])
            one = call(f"agent-{(turn + number) % 9}", tokens=(2, 1), price=Price(5))
            ledger.add_call(one, [owns[number], total], opened=True)
            ledger.end_execution(one.agent_name, "m", "success", ledger.start_execution(one.agent_name))

    def read() -> None:
        while not done.is_set():
            with ledger._lock:
                (all_calls, *parts), snapshot = ledger.snapshot_tallies(total, *owns), ledger.snapshot()
            calls = sum(totals.calls for totals in snapshot.calls.values())
            if not (calls == all_calls.model_calls == sum(part.model_calls for part in parts)):
                torn.append((calls, all_calls.model_calls))
            if snapshot.cost_units != 5 * calls or all_calls.input_tokens != 2 * calls:
                torn.append(snapshot)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    reader = threading.Thread(target=read)
    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    try:
        for thread in (reader, *workers):
            thread.start()
        for thread in workers:
            thread.join()
        done.set()
        reader.join()
    finally:
        sys.setswitchinterval(interval)

    assert torn == []
    snapshot = ledger.snapshot()
    count = per_thread * threads
    assert Counter({"calls": sum(t.calls for t in snapshot.calls.values())}) == {"calls": count}
    assert (snapshot.cost_units, sum(snapshot.executions.values())) == (5 * count, count)
    assert [tally.snapshot().open_calls for tally in (total, *owns)] == [0] * (threads + 1)
    assert {one.running for one in ledger._active.values()} == {0}


class _EndsACall:
    """Garbage that counts a call of a new agent when it is collected: an abandoned stream, say."""

    def __init__(self, ledger: Ledger, name: str) -> None:
        self.itself = self
        self.ledger = ledger
        self.name = name

    def __del__(self) -> None:
        self.ledger.add_call(call(self.name))
        self.ledger.end_execution(self.name, "m", "cancelled")


def test_garbage_may_be_counted_in_the_middle_of_a_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger()
    for number in range(5):
        ledger.add_call(call(f"agent-{number}"))

    def total_and_collect(*sums: int) -> CallTotals:
        _EndsACall(ledger, f"garbage-{len(ledger._calls)}")
        gc.collect()
        return CallTotals(*sums)

    monkeypatch.setattr("kaizen_processors.ledger.CallTotals", total_and_collect)
    assert len(ledger.snapshot().calls) == 5
    monkeypatch.undo()
    assert len(ledger.snapshot().calls) == 10


FORK = """
import os, threading
from kaizen_processors.execution import CallRecord
from kaizen_processors.fence import Fence
from kaizen_processors.ledger import Ledger, Tally
from kaizen_processors.pricing.price import Price
from kaizen_processors.usage import Usage

def call(agent):
    return CallRecord(operation="chat", provider="p", model="m", agent_name=agent, usage=Usage(1, 1), price=Price(1))

ledger, fence, inherited = Ledger(), Fence(), Tally()
for _ in range(3):
    ledger.add_call(call("parent"), [inherited])
running = ledger.start_execution("parent")
fence.caught("there", ValueError())

held, leave = threading.Event(), threading.Event()

class Slow(list):
    def __iter__(self):
        held.set()
        leave.wait()
        return iter(())

def hold():
    # Another thread of the parent is in the middle of counting, and of reporting a failure, while it forks.
    with fence._lock:
        ledger.add_call(call("parent"), Slow())

thread = threading.Thread(target=hold)
thread.start()
held.wait()
pid = os.fork()
if pid == 0:
    import faulthandler
    faulthandler.dump_traceback_later(20, exit=True)
    assert ledger.snapshot().calls == {} and ledger.active_agents() == 0 and fence.counts() == {}
    ledger.add_call(call("child"), [inherited])
    ledger.end_execution("parent", "m", "success", running)
    fence.caught("here", KeyError())
    snapshot = ledger.snapshot()
    assert {key: totals.calls for key, totals in snapshot.calls.items()} == {("child", "m"): 1}
    assert snapshot.executions == {("parent", "m", "success"): 1}
    assert fence.counts() == {"here:KeyError": 1}
    print("child fine", flush=True)
    os._exit(0)
_, status = os.waitpid(pid, 0)
leave.set()
thread.join()
assert os.waitstatus_to_exitcode(status) == 0, status
assert {key: totals.calls for key, totals in ledger.snapshot().calls.items()} == {("parent", "m"): 4}
assert fence.counts() == {"there:ValueError": 1}
print("parent fine", flush=True)
"""


@needs_fork
def test_a_forked_child_starts_from_an_empty_ledger_with_free_locks() -> None:
    assert run_forking(FORK) == "child fine\nparent fine\n"


def test_a_ledger_that_is_gone_is_not_kept_for_later_forks() -> None:
    from kaizen_processors import forking

    before = len(forking._forked)
    ledger = Ledger()
    assert len(forking._forked) == before + 1
    del ledger
    gc.collect()
    assert len(forking._forked) == before
