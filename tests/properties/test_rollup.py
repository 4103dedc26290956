"""Random trees of agents, calls, failures, late and concurrent children: each token and dollar counts once."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import kaizen_otel
from kaizen_otel.invocations.agent import AgentInvocation, AgentRequest
from kaizen_otel.invocations.call import CallInvocation, CallRequest
from kaizen_otel.patches.switch import active
from kaizen_otel.quality import as_evaluator_scope
from kaizen_otel.testing import capture

if TYPE_CHECKING:
    from kaizen_otel.telemetry import Telemetry
    from kaizen_otel.testing import Captured

SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class OutageError(Exception):
    """What a failing call raises."""


@dataclass(frozen=True)
class Call:
    model: str
    input_tokens: int | None
    output_tokens: int | None
    ending: str = "ok"  # ok, fails, cancelled, late


@dataclass(frozen=True)
class Agent:
    name: str
    children: tuple[Any, ...] = ()
    concurrently: bool = False


@dataclass(frozen=True)
class Evaluator:
    name: str
    children: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Block:
    children: tuple[Any, ...] = ()


PRICED = {"gpt-4o", "gpt-4o-mini"}
"""What the provider of these calls, OpenAI, has a price for."""

TOKENS = st.none() | st.integers(0, 10**9)
CALLS = st.builds(
    Call,
    st.sampled_from(["gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5", "house-model-1"]),
    TOKENS,
    TOKENS,
    st.sampled_from(["ok", "ok", "ok", "fails", "cancelled", "late"]),
)
AGENTS = st.sampled_from(["ann", "bob", "cid"])
TREES = st.recursive(
    CALLS,
    lambda below: (
        st.builds(Agent, AGENTS, st.lists(below, max_size=4).map(tuple), st.booleans())
        | st.builds(Block, st.lists(below, max_size=3).map(tuple))
        | st.builds(Evaluator, st.sampled_from(["polite", "right"]), st.lists(CALLS, max_size=2).map(tuple))
    ),
    max_leaves=14,
)


@dataclass
class Seen:
    """What the player of a tree knows to be true."""

    agents: list[AgentInvocation] = field(default_factory=list)
    blocks: list[tuple[kaizen_otel.context.Measurement, tuple[Any, ...]]] = field(default_factory=list)
    late: list[CallInvocation] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


def play(telemetry: Telemetry, tree: Any, seen: Seen) -> None:
    """Live one tree through the invocations, as patches do."""
    match tree:
        case Call():
            play_call(telemetry, tree, seen)
        case Agent():
            with telemetry.agent(lambda: AgentRequest(tree.name, None)) as run:
                play_all(telemetry, tree.children, seen, concurrently=tree.concurrently)
            assert isinstance(run, AgentInvocation)
            with seen.lock:
                seen.agents.append(run)
        case Evaluator():
            with as_evaluator_scope(f"evaluator:{tree.name}"):
                play_all(telemetry, tree.children, seen)
        case Block():
            with kaizen_otel.measure() as measured:
                play_all(telemetry, tree.children, seen)
            with seen.lock:
                seen.blocks.append((measured, tree.children))


def play_all(telemetry: Telemetry, trees: tuple[Any, ...], seen: Seen, *, concurrently: bool = False) -> None:
    if not concurrently:
        for tree in trees:
            play(telemetry, tree, seen)
        return
    context = contextvars.copy_context()
    threads = [threading.Thread(target=context.copy().run, args=(play, telemetry, tree, seen)) for tree in trees]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def play_call(telemetry: Telemetry, call: Call, seen: Seen) -> None:
    def answered(made: CallInvocation) -> None:
        made.usage.input_tokens = call.input_tokens
        made.usage.output_tokens = call.output_tokens

    made = telemetry.call(lambda: CallRequest("chat", "openai", call.model))
    assert isinstance(made, CallInvocation)
    made.observe(answered)
    if call.ending == "late":
        with seen.lock:
            seen.late.append(made)
    else:
        endings = {"ok": None, "fails": OutageError(), "cancelled": asyncio.CancelledError()}
        made.finish(endings[call.ending])


def calls_of(trees: tuple[Any, ...]) -> list[Call]:
    """Every call below, but for those of evaluators, which are nobody's."""
    found: list[Call] = []
    for tree in trees:
        if isinstance(tree, Call):
            found.append(tree)
        elif not isinstance(tree, Evaluator):
            found += calls_of(tree.children)
    return found


def played(tree: Any, captured: Captured) -> Seen:
    telemetry = active()
    assert telemetry is not None
    seen = Seen()
    play(telemetry, tree, seen)
    for late in seen.late:
        late.finish()
    assert kaizen_otel.stats()["failures"] == {}
    assert len(captured.executions) == len(seen.agents)
    return seen


@given(TREES)
@SETTINGS
def test_own_sums_of_executions_and_the_rest_are_the_calls_and_the_ledger(tree: Any) -> None:
    with capture() as captured:
        seen = played(tree, captured)
        telemetry = active()
        assert telemetry is not None
        ledger = telemetry.ledger.snapshot()

        calls = captured.calls
        money = sum(call.price.amount or 0 for call in calls if call.price.missing is None)
        assert ledger.cost_units == money
        assert sum(totals.calls for totals in ledger.calls.values()) == len(calls)
        for name in ("input_tokens", "output_tokens"):
            told = sum(getattr(call.usage, name) or 0 for call in calls)
            assert sum(getattr(totals, name) for totals in ledger.calls.values()) == told

        runs = {run.execution_id: run for run in seen.agents}
        own = sum(run.own.cost_units for run in runs.values())
        others = sum(
            call.price.amount or 0 for call in calls if call.execution_id is None and call.price.missing is None
        )
        assert own + others == money
        assert sum(run.own.model_calls for run in runs.values()) == sum(call.execution_id is not None for call in calls)
        assert sum(ledger.missing.values()) == sum(call.price.missing is not None for call in calls)


@given(TREES)
@SETTINGS
def test_total_is_own_and_everything_below(tree: Any) -> None:
    with capture() as captured:
        seen = played(tree, captured)

        def below(run: AgentInvocation) -> list[AgentInvocation]:
            return [other for other in seen.agents if run in above(other)]

        def above(run: AgentInvocation) -> list[Any]:
            scopes, scope = [], run.parent
            while scope is not None:
                scopes.append(scope)
                scope = scope.parent
            return scopes

        for run in seen.agents:
            for name in ("model_calls", "input_tokens", "output_tokens", "cost_units", "incomplete_calls"):
                own = getattr(run.own, name)
                assert getattr(run.total, name) == own + sum(getattr(other.own, name) for other in below(run)), name


@given(TREES)
@SETTINGS
def test_a_measured_block_is_the_sum_of_its_calls_and_knows_when_it_is_not(tree: Any) -> None:
    with capture() as captured:
        seen = played(tree, captured)
        for measured, children in seen.blocks:
            expected = calls_of(children)
            assert measured.model_calls == len(expected)
            assert measured.input_tokens == sum(call.input_tokens or 0 for call in expected)
            assert measured.output_tokens == sum(call.output_tokens or 0 for call in expected)
            known = all(
                call.model in PRICED and None not in (call.input_tokens, call.output_tokens) for call in expected
            )
            assert measured.complete == known


@given(TREES)
@SETTINGS
def test_spans_say_what_was_known_when_they_ended(tree: Any) -> None:
    with capture() as captured:
        seen = played(tree, captured)
        late = Counter(call.execution.execution_id for call in seen.late if call.execution is not None)
        for span in captured.spans_named("invoke_agent"):
            run = next(r for r in seen.agents if r.execution_id == span["kaizen.execution.id"])
            missed = late[run.execution_id]
            assert span.attributes.get("kaizen.execution.late_calls", 0) == missed
            assert span["kaizen.execution.model_calls"] == run.own.model_calls - missed
            if missed:
                assert span["kaizen.execution.cost.complete"] is False


@given(TREES)
@SETTINGS
def test_counters_are_the_ledger(tree: Any) -> None:
    with capture() as captured:
        played(tree, captured)
        telemetry = active()
        assert telemetry is not None
        ledger = telemetry.ledger.snapshot()
        metrics = captured.metrics()

        def read(name: str, *labels: str) -> dict[tuple[Any, ...], float]:
            return {tuple(p.attributes[label] for label in labels): p.value for p in metrics.get(name, [])}

        tokens = read("kaizen.tokens.consumed", "agent_name", "model", "token_type")
        for (agent, model), totals in ledger.calls.items():
            assert tokens[agent, model, "input"] == totals.input_tokens
            assert tokens[agent, model, "output"] == totals.output_tokens
        assert read("kaizen.agent.executions", "agent_name", "model", "status") == ledger.executions
        assert read("kaizen.usage.missing", "model", "reason") == ledger.missing
