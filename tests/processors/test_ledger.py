"""The ledger: exact sums by agent and model, bounded whatever it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaizen_otel.testing import SteppingClock
from kaizen_processors.ledger import ACTIVE_WITHIN_NS, OVERFLOW, Ledger, Tally
from kaizen_processors.pricing.price import MISSING_MODEL, MISSING_PRICE, MISSING_USAGE, Price
from tests.processors.ledger_calls import call, sums

if TYPE_CHECKING:
    from kaizen_processors.execution import CallRecord

EURO = Price(7, "EUR", "override", None, "currency")


# -- sums --------------------------------------------------------------------------------------------------------------


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


# -- bounds ------------------------------------------------------------------------------------------------------------


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


# -- active agents -----------------------------------------------------------------------------------------------------


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
