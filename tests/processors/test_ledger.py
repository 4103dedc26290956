"""The ledger: exact in integers, bounded in keys, whole at every moment, empty in a forked child."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaizen_otel.testing import SteppingClock
from kaizen_processors.execution import CallRecord
from kaizen_processors.ledger import ACTIVE_WITHIN_NS, OVERFLOW, CallTotals, Ledger, Tally
from kaizen_processors.pricing.price import MISSING_MODEL, MISSING_PRICE, MISSING_USAGE, Price
from kaizen_processors.usage import Usage

EURO = Price(7, "EUR", "override", None, "currency")


def call(
    agent: str = "ann", model: str = "m", tokens: tuple[int | None, int | None] = (10, 5), price: Price | None = None
) -> CallRecord:
    return CallRecord(
        operation="chat",
        provider="openai",
        model=model,
        agent_name=agent,
        usage=Usage(*tokens),
        price=Price(3) if price is None else price,
    )


def sums(ledger: Ledger) -> dict[tuple[str, str], tuple[int, int, int, int]]:
    return {
        key: (totals.calls, totals.input_tokens, totals.output_tokens, totals.cost_units)
        for key, totals in ledger.snapshot().calls.items()
    }


# -- sums ---------------------------------------------------------------------------------------------------------


def test_calls_are_summed_by_agent_and_model() -> None:
    ledger = Ledger()
    for one in (call(), call(), call(model="other"), call(agent="bob", tokens=(1, 2))):
        ledger.add_call(one)
    assert sums(ledger) == {("ann", "m"): (2, 20, 10, 6), ("ann", "other"): (1, 10, 5, 3), ("bob", "m"): (1, 1, 2, 3)}
    assert ledger.snapshot().cost_units == 12


def test_a_call_is_added_to_every_scope_above_it() -> None:
    ledger, own, total, measured = Ledger(), Tally(), Tally(), Tally()
    ledger.add_call(call(), [own, total, measured])
    ledger.add_call(call(model="other"), [total, measured])
    one, two, three = ledger.snapshot_tallies(own, total, measured)
    assert (one.model_calls, one.input_tokens, one.output_tokens, one.cost_units, one.models) == (1, 10, 5, 3, ("m",))
    assert (two.model_calls, two.cost_units, two.models) == (2, 6, ("m", "other"))
    assert (three.model_calls, three.cost_units) == (2, 6)


@pytest.mark.parametrize(
    ("price", "reason"),
    [(MISSING_USAGE, "usage"), (MISSING_MODEL, "model"), (MISSING_PRICE, "price"), (EURO, "currency")],
)
def test_a_call_without_a_dollar_price_counts_its_tokens_and_is_missing(price: Price, reason: str) -> None:
    ledger, tally = Ledger(), Tally()
    ledger.add_call(call(price=price), [tally])
    assert sums(ledger) == {("ann", "m"): (1, 10, 5, 0)}
    assert ledger.snapshot().missing == {("m", reason): 1}
    (snapshot,) = ledger.snapshot_tallies(tally)
    assert (snapshot.cost_units, snapshot.incomplete_calls, snapshot.complete) == (0, 1, False)


def test_tokens_that_were_not_reported_add_nothing() -> None:
    ledger = Ledger()
    ledger.add_call(call(tokens=(None, None), price=MISSING_USAGE))
    ledger.add_call(call(tokens=(7, None), price=MISSING_USAGE))
    assert sums(ledger) == {("ann", "m"): (2, 7, 0, 0)}


def test_money_is_exact_far_beyond_what_a_float_holds() -> None:
    ledger = Ledger()
    odd = 10**40 + 1
    for _ in range(3):
        ledger.add_call(call(price=Price(odd)))
    assert ledger.snapshot().cost_units == 3 * odd


def test_an_open_call_makes_every_scope_above_it_incomplete_until_it_ends() -> None:
    ledger, own, total = Ledger(), Tally(), Tally()
    ledger.open_call([own, total])
    assert [(s.open_calls, s.complete) for s in ledger.snapshot_tallies(own, total)] == [(1, False), (1, False)]
    ledger.add_call(call(), [own, total], opened=True)
    assert [(s.open_calls, s.complete) for s in ledger.snapshot_tallies(own, total)] == [(0, True), (0, True)]


def test_a_call_that_nobody_announced_leaves_open_calls_alone() -> None:
    ledger, tally = Ledger(), Tally()
    ledger.open_call([tally])
    ledger.add_call(call(), [tally])
    assert ledger.snapshot_tallies(tally)[0].open_calls == 1


def test_executions_are_counted_by_agent_model_and_status() -> None:
    ledger = Ledger()
    for status in ("success", "success", "error", "cancelled"):
        ledger.end_execution("ann", "m", status, ledger.start_execution("ann"))
    ledger.end_execution("bob", "none", "success")  # reported by another system: nobody saw it starting
    assert ledger.snapshot().executions == {
        ("ann", "m", "success"): 2,
        ("ann", "m", "error"): 1,
        ("ann", "m", "cancelled"): 1,
        ("bob", "none", "success"): 1,
    }


def test_a_snapshot_does_not_change_afterwards() -> None:
    ledger = Ledger()
    ledger.add_call(call())
    before = ledger.snapshot()
    ledger.add_call(call())
    ledger.end_execution("ann", "m", "success")
    assert before.calls["ann", "m"].calls == 1
    assert before.executions == {}


# -- bounds -------------------------------------------------------------------------------------------------------

CALLS = st.lists(
    st.builds(
        call,
        st.sampled_from("abcdef"),
        st.sampled_from("klmnop"),
        st.tuples(st.none() | st.integers(0, 2**40), st.none() | st.integers(0, 2**40)),
        st.builds(Price, st.integers(0, 10**30)) | st.sampled_from([MISSING_USAGE, MISSING_MODEL, MISSING_PRICE, EURO]),
    ),
    max_size=60,
)


@given(CALLS, st.integers(1, 12))
@settings(max_examples=150, deadline=None)
def test_sums_are_exact_whatever_the_number_of_keys(calls: list[CallRecord], max_keys: int) -> None:
    ledger, tally = Ledger(max_keys), Tally()
    for one in calls:
        ledger.add_call(one, [tally])
    snapshot = ledger.snapshot()

    assert len(snapshot.calls) <= max_keys + 1
    known = list(dict.fromkeys((one.agent_name, one.model) for one in calls))[:max_keys]
    expected: dict[tuple[str, str], list[int]] = {}
    for one in calls:
        key = (one.agent_name, one.model)
        row = expected.setdefault(key if key in known else (OVERFLOW, OVERFLOW), [0, 0, 0, 0])
        row[0] += 1
        row[1] += one.usage.input_tokens or 0
        row[2] += one.usage.output_tokens or 0
        row[3] += (one.price.amount or 0) if one.price.missing is None else 0
    assert sums(ledger) == {key: tuple(row) for key, row in expected.items()}
    assert sum(snapshot.missing.values()) == sum(one.price.missing is not None for one in calls)
    assert len(snapshot.missing) <= max_keys + 4
    (total,) = ledger.snapshot_tallies(tally)
    assert [total.model_calls, total.input_tokens, total.output_tokens, total.cost_units] == [
        sum(column) for column in zip(*expected.values(), strict=True)
    ] or not calls
    assert total.incomplete_calls == sum(snapshot.missing.values())


def test_executions_beyond_the_bound_are_counted_together_by_status() -> None:
    ledger = Ledger(max_keys=2)
    for number in range(10):
        ledger.end_execution(f"agent-{number}", "m", "success" if number % 2 else "error")
    executions = ledger.snapshot().executions
    assert sum(executions.values()) == 10
    assert executions[OVERFLOW, OVERFLOW, "success"] + executions[OVERFLOW, OVERFLOW, "error"] == 8
    assert len(executions) == 4


def test_reasons_beyond_the_bound_keep_their_reason() -> None:
    ledger = Ledger(max_keys=1)
    for number in range(5):
        ledger.add_call(call(model=f"m{number}", price=MISSING_PRICE))
    assert ledger.snapshot().missing == {("m0", "price"): 1, (OVERFLOW, "price"): 4}


# -- active agents ------------------------------------------------------------------------------------------------


def test_an_agent_is_active_while_it_runs_and_for_five_minutes_after() -> None:
    clock = SteppingClock(step_ns=0)
    ledger = Ledger(clock=clock)
    assert ledger.active_agents() == 0
    first, second = ledger.start_execution("ann"), ledger.start_execution("ann")
    clock.advance(3_600)
    assert ledger.active_agents() == 1
    ledger.end_execution("ann", "m", "success", first)
    ledger.end_execution("ann", "m", "success", second)
    clock.advance(ACTIVE_WITHIN_NS / 1e9)
    assert ledger.active_agents() == 1
    clock.advance(1e-3)
    assert ledger.active_agents() == 0


def test_agents_that_all_run_at_once_are_bounded_in_memory() -> None:
    ledger = Ledger(max_keys=3)
    running = [ledger.start_execution(f"agent-{number}") for number in range(1_000)]
    assert len(ledger._active) == 4
    assert ledger.active_agents() == 4
    for number, activity in enumerate(running):
        ledger.end_execution(f"agent-{number}", "m", "success", activity)
    assert {name: one.running for name, one in ledger._active.items()} == {
        "agent-0": 0,
        "agent-1": 0,
        "agent-2": 0,
        OVERFLOW: 0,
    }
    assert sum(ledger.snapshot().executions.values()) == 1_000


def test_agents_that_are_idle_make_room_for_others() -> None:
    clock = SteppingClock(step_ns=0)
    ledger = Ledger(max_keys=2, clock=clock)
    for name in ("ann", "bob"):
        ledger.end_execution(name, "m", "success", ledger.start_execution(name))
    clock.advance(ACTIVE_WITHIN_NS / 1e9 + 1)
    ledger.start_execution("cid")
    assert set(ledger._active) == {"cid"}


def test_a_run_that_began_in_the_overflow_ends_there() -> None:
    """The name may have a place of its own by then: its count must not be taken from that one."""
    clock = SteppingClock(step_ns=0)
    ledger = Ledger(max_keys=1, clock=clock)
    first = ledger.start_execution("ann")
    crowded_out = ledger.start_execution("bob")
    ledger.end_execution("ann", "m", "success", first)
    clock.advance(ACTIVE_WITHIN_NS / 1e9 + 1)
    ledger.end_execution("bob", "m", "success", crowded_out)
    clock.advance(ACTIVE_WITHIN_NS / 1e9 + 1)
    assert ledger.active_agents() == 0
    own = ledger.start_execution("bob")
    assert set(ledger._active) == {"bob"}
    ledger.end_execution("bob", "m", "success", own)
    assert {one.running for one in ledger._active.values()} == {0}


# -- threads ------------------------------------------------------------------------------------------------------


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


# -- forks --------------------------------------------------------------------------------------------------------

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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_starts_from_an_empty_ledger_with_free_locks() -> None:
    done = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "child fine\nparent fine\n"), done.stderr


def test_a_ledger_that_is_gone_is_not_kept_for_later_forks() -> None:
    from kaizen_processors import forking

    before = len(forking._forked)
    ledger = Ledger()
    assert len(forking._forked) == before + 1
    del ledger
    gc.collect()
    assert len(forking._forked) == before
