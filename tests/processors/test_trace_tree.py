from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags, set_span_in_context

from kaizen_processors.trace_totals import Totals, call_cost, totals_by_agent, totals_of
from kaizen_processors.trace_tree import SpanNode, Trace, build_traces

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[..., SpanNode]

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
START = 1_764_000_000_000_000_000
SECOND = 1_000_000_000


@pytest.fixture
def make() -> Make:
    """Makes spans with consecutive ids; `start` and `seconds` are relative."""
    made = 0

    def span(name: str, parent: SpanNode | None = None, start: float = 0, seconds: float = 1, **given: Any) -> SpanNode:
        nonlocal made
        made += 1
        node = SpanNode(given.pop("trace", TRACE), f"{made:016x}", name)
        node.parent_id = parent.span_id if parent is not None else None
        node.start_ns = START + int(start * SECOND)
        node.end_ns = node.start_ns + int(seconds * SECOND)
        node.status = given.pop("status", "unset")
        node.attributes = {key.replace("__", "."): value for key, value in given.items()}
        return node

    return span


def agent(make: Make, name: str, parent: SpanNode | None = None, **given: Any) -> SpanNode:
    given = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": name, **given}
    return make(f"invoke_agent {name}", parent, **given)


def chat(
    make: Make, parent: SpanNode | None = None, used: tuple[int, int] = (10, 5), cost: Any = 0.1, **given: Any
) -> SpanNode:
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.usage.input_tokens": used[0],
        "gen_ai.usage.output_tokens": used[1],
    }
    if cost is not None:
        attributes["kaizen.usage.cost.amount"] = cost
    return make("chat gpt-4o", parent, **{**attributes, **given})


def own(tokens_in: int, tokens_out: int, cost: float, *, complete: bool = True) -> dict[str, Any]:
    return {
        "kaizen.execution.own.input_tokens": tokens_in,
        "kaizen.execution.own.output_tokens": tokens_out,
        "kaizen.execution.own.cost.amount": cost,
        "kaizen.execution.cost.complete": complete,
    }


def names(trace: Trace) -> list[tuple[str, int]]:
    return [(node.name, depth) for node, depth in trace.walk()]


# -- trees ------------------------------------------------------------------------------------------------------------


def test_children_stand_below_their_parents_by_start_time_whatever_the_order_given(make: Make) -> None:
    root = make("root")
    late, early = make("late", root, start=0.5), make("early", root, start=0.1)
    leaf = make("leaf", late, start=0.6)
    (trace,) = build_traces([leaf, late, early, root])
    assert names(trace) == [("root", 0), ("early", 1), ("late", 1), ("leaf", 2)]
    assert not any(node.orphan for node, _ in trace.walk())


def test_traces_come_by_their_start(make: Make) -> None:
    second, first = make("b", start=2, trace="b" * 32), make("a", start=1, trace="a" * 32)
    assert [trace.trace_id for trace in build_traces([second, first])] == ["a" * 32, "b" * 32]


def test_a_span_whose_parent_is_not_there_is_a_marked_root(make: Make) -> None:
    (trace,) = build_traces([make("orphan", make("never seen"), start=1), make("root")])
    assert [(root.name, root.orphan) for root in trace.roots] == [("root", False), ("orphan", True)]


def test_a_span_called_from_another_process_is_a_root_but_no_orphan(make: Make) -> None:
    node = make("server", make("elsewhere"))
    node.remote_parent = True
    (trace,) = build_traces([node])
    assert trace.roots == [node]
    assert not node.orphan


def test_of_spans_with_the_same_id_the_first_counts(make: Make) -> None:
    node = make("once")
    again = SpanNode(node.trace_id, node.span_id, "again")
    (trace,) = build_traces([node, again])
    assert names(trace) == [("once", 0)]


def test_parents_in_a_circle_lose_no_span(make: Make) -> None:
    a, b, below = make("a", start=1), make("b", start=2), make("below", start=0)
    a.parent_id, b.parent_id, below.parent_id = b.span_id, a.span_id, b.span_id
    own_parent = make("own", start=3)
    own_parent.parent_id = own_parent.span_id
    (trace,) = build_traces([a, b, below, own_parent])
    assert names(trace) == [("a", 0), ("b", 1), ("below", 2), ("own", 0)]
    assert [root.orphan for root in trace.roots] == [True, True]


def test_nodes_can_be_joined_again_with_later_ones(make: Make) -> None:
    root, child = make("root"), make("child")
    child.parent_id = root.span_id
    build_traces([child])
    assert child.orphan
    (trace,) = build_traces([child, root])
    assert names(trace) == [("root", 0), ("child", 1)]
    assert not child.orphan


def test_a_chain_deeper_than_pythons_stack_is_walked(make: Make) -> None:
    chain = [make("0")]
    for depth in range(1, 5_000):
        chain.append(make(str(depth), chain[-1]))
    (trace,) = build_traces(chain)
    assert [depth for _, depth in trace.walk()] == list(range(5_000))


@given(parents=st.lists(st.integers(min_value=-1, max_value=20), max_size=20))
def test_every_span_is_in_the_forest_exactly_once(parents: list[int]) -> None:
    nodes = [SpanNode(TRACE, f"{number:016x}", str(number)) for number in range(1, len(parents) + 1)]
    for node, parent in zip(nodes, parents, strict=True):
        node.parent_id = None if parent < 0 else f"{parent:016x}"
    seen = [node.name for trace in build_traces(nodes) for node, _ in trace.walk()]
    assert sorted(seen) == sorted(node.name for node in nodes)


# -- from the SDK and from OTLP-JSON --------------------------------------------------------------------------------


def test_an_sdk_span_keeps_what_a_tree_needs() -> None:
    provider = TracerProvider(resource=Resource({"service.name": "desk"}))
    remote = SpanContext(0xABC, 0xDEF, is_remote=True, trace_flags=TraceFlags(1))
    tracer = provider.get_tracer("some.scope")
    span = tracer.start_span(
        "chat m", set_span_in_context(NonRecordingSpan(remote)), SpanKind.CLIENT, {"a": 1, "b": "x"}, start_time=START
    )
    span.set_status(StatusCode.ERROR, "broken")
    span.end(START + SECOND)
    assert isinstance(span, ReadableSpan)
    node = SpanNode.from_sdk(span)
    assert (node.trace_id, node.parent_id, node.remote_parent) == (f"{0xABC:032x}", f"{0xDEF:016x}", True)
    assert (node.name, node.kind, node.status, node.status_message) == ("chat m", "client", "error", "broken")
    assert (node.start_ns, node.duration_ns, node.service, node.scope) == (START, SECOND, "desk", "some.scope")
    assert node.attributes == {"a": 1, "b": "x"}
    assert SpanNode.from_sdk(span, only={"b"}).attributes == {"b": "x"}


def test_an_otlp_span_keeps_what_a_tree_needs() -> None:
    node = SpanNode.from_otlp(
        {
            "traceId": TRACE.upper(),
            "spanId": "00000000000000AB",
            "parentSpanId": "00000000000000CD",
            "flags": 0x300,
            "name": "chat m",
            "kind": 3,
            "startTimeUnixNano": str(START),
            "endTimeUnixNano": START + 5,
            "status": {"code": 2, "message": "broken"},
            "attributes": [
                {"key": "s", "value": {"stringValue": "x"}},
                {"key": "i", "value": {"intValue": "12"}},
                {"key": "d", "value": {"doubleValue": 0.5}},
                {"key": "n", "value": {"doubleValue": "NaN"}},
                {"key": "b", "value": {"boolValue": False}},
                {"key": "l", "value": {"arrayValue": {"values": [{"stringValue": "x"}, {"intValue": 3}]}}},
                {"key": "m", "value": {"kvlistValue": {"values": [{"key": "k", "value": {"intValue": "1"}}]}}},
            ],
        },
        service="desk",
        scope="scope",
    )
    assert (node.trace_id, node.span_id, node.parent_id) == (TRACE, "00000000000000ab", "00000000000000cd")
    assert (node.remote_parent, node.kind, node.status, node.status_message) == (True, "client", "error", "broken")
    assert (node.start_ns, node.duration_ns, node.service, node.scope) == (START, 5, "desk", "scope")
    assert math.isnan(node.attributes["n"])
    rest = {key: value for key, value in node.attributes.items() if key != "n"}
    assert rest == {"s": "x", "i": 12, "d": 0.5, "b": False, "l": ["x", 3], "m": {"k": 1}}


@pytest.mark.parametrize("parent", [None, "", "0000000000000000"])
def test_an_otlp_span_without_a_parent_is_a_root(parent: str | None) -> None:
    node = SpanNode.from_otlp({"traceId": TRACE, "spanId": "0" * 15 + "1", "parentSpanId": parent})
    assert node.parent_id is None


@pytest.mark.parametrize("bad", [None, 7, "", "abc", "g" * 32, " " * 32, TRACE + "00"])
def test_an_otlp_span_without_a_hex_id_is_refused(bad: Any) -> None:
    with pytest.raises(ValueError, match="traceId is not 32 hex digits"):
        SpanNode.from_otlp({"traceId": bad, "spanId": "0" * 15 + "1"})


@pytest.mark.parametrize("odd", [None, True, -1, "x", 1.5, [], {}, "9" * 5_000, 1 << 70])
def test_odd_values_in_an_otlp_span_are_left_out_not_raised(odd: Any) -> None:
    node = SpanNode.from_otlp(
        {
            "traceId": TRACE,
            "spanId": "0" * 15 + "1",
            "name": odd,
            "kind": odd,
            "flags": odd,
            "startTimeUnixNano": odd,
            "endTimeUnixNano": odd,
            "status": {"code": odd, "message": odd},
            "attributes": [odd, {"key": odd}, {"key": "k", "value": odd}, {"key": "i", "value": {"intValue": odd}}],
        }
    )
    assert node.duration_ns is None
    assert node.start_ns is None
    assert isinstance(node.name, str)
    assert isinstance(node.status_message, str)
    assert node.status in {"unset", "ok", "error"}
    assert node.text("k") is None


@pytest.mark.parametrize("odd", [None, True, "12", math.nan, math.inf, -1, 1.5, 10**400, [], object()])
def test_a_count_that_is_none_is_not_taken_for_one(make: Make, odd: Any) -> None:
    node = make("chat", n=odd)
    assert node.count("n") is None


def test_counts_may_be_doubles(make: Make) -> None:
    assert make("chat", n=12.0).count("n") == 12


def test_a_clock_that_went_back_gives_no_duration(make: Make) -> None:
    assert make("x", seconds=-1).duration_ns is None


# -- totals ---------------------------------------------------------------------------------------------------------


def by_agent(*nodes: SpanNode) -> dict[str, Totals]:
    return totals_by_agent([root for trace in build_traces(nodes) for root in trace.roots])


def test_an_agents_tokens_and_cost_are_its_executions_own(make: Make) -> None:
    boss = agent(make, "boss", seconds=4, **own(100, 10, 0.5))
    worker = agent(make, "worker", boss, seconds=2, **own(30, 3, 0.25))
    agents = by_agent(boss, worker, chat(make, boss, (100, 10), 0.5), chat(make, worker, (30, 3), 0.25))
    assert list(agents) == ["boss", "worker"]
    assert (agents["boss"].input_tokens, agents["boss"].output_tokens, agents["boss"].cost.usd) == (
        100,
        10,
        Decimal("0.5"),
    )
    assert (agents["worker"].input_tokens, agents["worker"].model_calls) == (30, 1)
    assert agents["boss"].p95_ns == 4 * SECOND


def test_own_attributes_count_where_the_calls_spans_are_missing(make: Make) -> None:
    agents = by_agent(agent(make, "a", **own(100, 10, 0.5)))
    assert (agents["a"].input_tokens, agents["a"].cost.usd, agents["a"].model_calls) == (100, Decimal("0.5"), 0)


def test_displayed_values_are_added_as_decimals(make: Make) -> None:
    total = totals_of([chat(make, cost=0.1), chat(make, cost=0.2), chat(make, cost=0.3)])
    assert total.cost.usd == Decimal("0.6")


def test_calls_that_ended_after_their_agent_are_added_to_its_own(make: Make) -> None:
    boss = agent(make, "boss", seconds=1, **own(10, 5, 0.1, complete=False), kaizen__execution__late_calls=1)
    in_time = chat(make, boss, (10, 5), 0.1, seconds=0.5)
    late = chat(make, boss, (7, 2), 0.05, start=0.5, seconds=2)
    total = by_agent(boss, in_time, late)["boss"]
    assert (total.input_tokens, total.output_tokens, total.cost.usd) == (17, 7, Decimal("0.15"))
    assert total.model_calls == 2
    assert total.cost.complete


def test_late_calls_that_are_not_here_leave_the_cost_incomplete(make: Make) -> None:
    boss = agent(make, "boss", seconds=1, **own(10, 5, 0.1, complete=False), kaizen__execution__late_calls=2)
    total = by_agent(boss, chat(make, boss, (7, 2), 0.05, start=0.5, seconds=2))["boss"]
    assert not total.cost.complete


def test_an_agent_of_another_library_is_the_sum_of_its_calls(make: Make) -> None:
    foreign = agent(make, "foreign", gen_ai__usage__input_tokens=999)
    node = make("step", foreign)
    total = by_agent(foreign, node, chat(make, node, (4, 2), 0.1), chat(make, node, (6, 1), None))["foreign"]
    assert (total.input_tokens, total.output_tokens, total.cost.usd) == (10, 3, Decimal("0.1"))
    assert not total.cost.complete


def test_calls_without_an_agent_are_accounted_to_none(make: Make) -> None:
    agents = by_agent(make("root"), chat(make, None, (4, 2), 0.1))
    assert list(agents) == ["none"]
    assert (agents["none"].executions, agents["none"].model_calls) == (0, 1)


def test_an_evaluators_call_is_not_the_evaluated_agents(make: Make) -> None:
    judged = agent(make, "judged", **own(10, 5, 0.1))
    agents = by_agent(judged, chat(make, judged, (99, 9), 0.9, gen_ai__agent__name="evaluator:tone"))
    assert (agents["judged"].input_tokens, agents["judged"].cost.usd) == (10, Decimal("0.1"))
    assert (agents["evaluator:tone"].input_tokens, agents["evaluator:tone"].cost.usd) == (99, Decimal("0.9"))


def test_errors_and_cancellations_are_counted_apart(make: Make) -> None:
    agents = by_agent(
        agent(make, "a", kaizen__execution__status="success"),
        agent(make, "a", status="error", kaizen__execution__status="error"),
        agent(make, "a", error__type="Timeout"),
        agent(make, "a", status="error", kaizen__execution__status="cancelled", error__type="CancelledError"),
    )
    assert (agents["a"].executions, agents["a"].errors, agents["a"].cancelled) == (4, 2, 1)


def test_p95_is_a_duration_that_occurred(make: Make) -> None:
    agents = by_agent(*(agent(make, "a", seconds=second) for second in range(1, 22)))
    assert agents["a"].p95_ns == 20 * SECOND
    agents = by_agent(*(agent(make, "a", seconds=second) for second in range(1, 21)))
    assert agents["a"].p95_ns == 19 * SECOND
    assert by_agent(agent(make, "b", seconds=7))["b"].p95_ns == 7 * SECOND
    assert by_agent(agent(make, "c", seconds=-1))["c"].p95_ns is None


def test_quality_is_the_mean_of_the_executions_that_have_one(make: Make) -> None:
    agents = by_agent(
        agent(make, "a", kaizen__quality__score=0.5),
        agent(make, "a", kaizen__quality__score=1),
        agent(make, "a", kaizen__quality__score=math.nan),
        agent(make, "a"),
    )
    assert agents["a"].quality == 0.75
    assert Totals().quality is None


def test_what_is_missing_below_makes_the_agent_below_incomplete_not_the_one_above(make: Make) -> None:
    boss = agent(make, "boss", **own(10, 5, 0.1, complete=False))
    worker = agent(make, "worker", boss, **own(3, 1, 0.0, complete=False))
    agents = by_agent(boss, worker, chat(make, boss), chat(make, worker, (3, 1), None))
    assert agents["boss"].cost.complete
    assert not agents["worker"].cost.complete


@pytest.mark.parametrize("odd", [None, math.nan, math.inf, "0.1", True])
def test_a_cost_that_is_no_number_is_unknown(make: Make, odd: Any) -> None:
    cost = call_cost(chat(make, cost=odd))
    assert cost.usd == 0
    assert not cost.complete


def test_a_failed_call_without_a_price_is_not_a_gap(make: Make) -> None:
    assert call_cost(chat(make, cost=None, status="error")).complete
    assert not call_cost(chat(make, cost=None, status="error", kaizen__usage__missing__reason="usage")).complete


def test_other_currencies_stay_apart(make: Make) -> None:
    euros = chat(make, cost=0.5, kaizen__usage__cost__currency="EUR", kaizen__usage__missing__reason="currency")
    boss = agent(make, "boss", **own(10, 5, 0.1, complete=False))
    euros.parent_id = boss.span_id
    total = by_agent(boss, euros, chat(make, boss, cost=0.1))["boss"]
    assert total.cost.amounts == {"USD": Decimal("0.1"), "EUR": Decimal("0.5")}
    assert not total.cost.complete


def test_failed_calls_and_cached_tokens_are_counted(make: Make) -> None:
    boss = agent(make, "boss", **own(10, 5, 0.1))
    cached = chat(make, boss, gen_ai__usage__cache_read__input_tokens=8)
    total = by_agent(boss, cached, chat(make, boss, (0, 0), None, status="error"))["boss"]
    assert (total.model_calls, total.failed_calls, total.cache_read_tokens) == (2, 1, 8)
