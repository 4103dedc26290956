"""`kaizen-otel demo` with an OTLP endpoint: Jaeger shows what happened, and its spans add up to the ledger."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.backends.conftest import Jaeger
    from tests.backends.demo import Totals
    from tests.backends.jaeger import JaegerSpan, JaegerTrace

# What the four customers of the desk cause. `!` marks a failed span.
EXPECTED_TREES: Final = (
    """\
invoke_agent Supervisor
  invoke_workflow
    node LLMAgentNode
      chat gpt-4o-mini
  invoke_agent OrderClerk
    invoke_workflow
      node LLMAgentNode
        chat gpt-4o
    execute_tool lookup_order
      initialize
      tools/list
    invoke_workflow
      node LLMAgentNode
        chat gpt-4o
  invoke_agent Writer
    chat gpt-4o""",
    """\
invoke_agent Supervisor
  invoke_workflow
    node LLMAgentNode
      chat gpt-4o-mini
  invoke_agent Technician
    chat gpt-4o !
    chat gpt-4o""",
    """\
invoke_agent Supervisor
  invoke_workflow
    node LLMAgentNode
      chat gpt-4o-mini
  invoke_agent BillingClerk !
    invoke_workflow !
      node LLMAgentNode !
        chat gpt-4o !""",
    """\
invoke_workflow
  invoke_agent ShiftReport
    chat gpt-4o-mini""",
)
RELATIVE_TOLERANCE: Final = 1e-9  # a sum of doubles; the ledger's is exact


@pytest.fixture(scope="module")
def traces(demo_totals: Totals, jaeger: Jaeger) -> list[JaegerTrace]:
    """The demo's traces as Jaeger has them, complete, in the order in which they began."""
    sizes = [len(tree.splitlines()) for tree in EXPECTED_TREES]
    return [jaeger.client.trace(id_, spans=size) for id_, size in zip(demo_totals.traces, sizes, strict=True)]


@pytest.fixture(scope="module")
def executions(traces: list[JaegerTrace]) -> list[JaegerSpan]:
    return spans_of("invoke_agent", traces)


@pytest.fixture(scope="module")
def calls(traces: list[JaegerTrace]) -> list[JaegerSpan]:
    return spans_of("chat", traces)


def spans_of(operation: str, traces: Iterable[JaegerTrace]) -> list[JaegerSpan]:
    return [span for trace in traces for span in trace.spans() if span.tags.get("gen_ai.operation.name") == operation]


def number(span: JaegerSpan, key: str) -> float:
    """A numeric tag; 0 where the span does not have it."""
    value = span.tags.get(key, 0)
    assert isinstance(value, int | float), (span.name, key, value)
    return value


def by_agent_and_model(spans: list[JaegerSpan], key: str) -> dict[tuple[str, str], float]:
    sums: dict[tuple[str, str], float] = defaultdict(float)
    for span in spans:
        sums[str(span.tags["gen_ai.agent.name"]), str(span.tags["gen_ai.request.model"])] += number(span, key)
    return dict(sums)


def test_everything_was_delivered(demo_totals: Totals) -> None:
    assert demo_totals.delivered


def test_each_customer_is_one_trace_with_exactly_this_tree(traces: list[JaegerTrace]) -> None:
    assert [trace.outline() for trace in traces] == list(EXPECTED_TREES)


def test_nothing_else_of_the_demo_is_in_jaeger_but_what_is_done_outside_of_its_agents(
    traces: list[JaegerTrace], jaeger: Jaeger, demo_service: str
) -> None:
    others = set(jaeger.client.trace_ids(demo_service)) - {trace.trace_id for trace in traces}
    outlines = sorted(jaeger.client.trace(id_, spans=1).outline() for id_ in others)
    assert outlines == ["create_agent ShiftReport", "initialize", "tools/list"]


def test_jaeger_warns_of_nothing(traces: list[JaegerTrace]) -> None:
    assert [warning for trace in traces for warning in trace.warnings()] == []


def test_every_span_is_within_its_parent(traces: list[JaegerTrace]) -> None:
    rounding_us = 1  # Jaeger cuts nanoseconds off starts and durations alike
    for trace in traces:
        for parent in trace.spans():
            for child in parent.children:
                assert parent.start_us <= child.start_us, child.name
                latest_us = parent.start_us + parent.duration_us + rounding_us
                assert child.start_us + child.duration_us <= latest_us, child.name


def test_number_of_calls_is_the_ledgers(calls: list[JaegerSpan], demo_totals: Totals) -> None:
    found = Counter((span.tags["gen_ai.agent.name"], span.tags["gen_ai.request.model"]) for span in calls)
    assert found == {key: row.model_calls for key, row in demo_totals.calls.items()}


def test_tokens_of_the_calls_are_the_ledgers(calls: list[JaegerSpan], demo_totals: Totals) -> None:
    ledger = demo_totals.calls.items()
    assert sum(row.input_tokens for _, row in ledger) > 0
    assert by_agent_and_model(calls, "gen_ai.usage.input_tokens") == {key: row.input_tokens for key, row in ledger}
    assert by_agent_and_model(calls, "gen_ai.usage.output_tokens") == {key: row.output_tokens for key, row in ledger}


def test_cost_of_the_calls_is_the_ledgers(calls: list[JaegerSpan], demo_totals: Totals) -> None:
    expected = {key: float(row.cost_usd) for key, row in demo_totals.calls.items()}
    assert sum(expected.values()) > 0
    assert by_agent_and_model(calls, "kaizen.usage.cost.amount") == pytest.approx(
        expected, rel=RELATIVE_TOLERANCE, abs=0
    )


def test_executions_are_the_ledgers(executions: list[JaegerSpan], demo_totals: Totals) -> None:
    keys = ("gen_ai.agent.name", "gen_ai.request.model", "kaizen.execution.status")
    found = Counter(tuple(span.tags.get(key, "none") for key in keys) for span in executions)
    assert found == demo_totals.executions


@pytest.mark.parametrize("what", ["input_tokens", "output_tokens", "cost.amount"])
def test_total_of_an_execution_is_its_own_and_that_of_the_executions_below(
    executions: list[JaegerSpan], what: str
) -> None:
    for span in executions:
        below = [inner for inner in span.walk() if inner.tags.get("gen_ai.operation.name") == "invoke_agent"]
        own = sum(number(inner, f"kaizen.execution.own.{what}") for inner in below)
        assert number(span, f"kaizen.execution.total.{what}") == pytest.approx(own, rel=RELATIVE_TOLERANCE, abs=0)


def test_own_cost_over_all_executions_is_the_cost_over_all_calls(
    executions: list[JaegerSpan], demo_totals: Totals
) -> None:
    own = sum(number(span, "kaizen.execution.own.cost.amount") for span in executions)
    ledger = float(sum(row.cost_usd for row in demo_totals.calls.values()))
    assert own == pytest.approx(ledger, rel=RELATIVE_TOLERANCE, abs=0)


def test_calls_without_usage_are_marked_and_make_their_executions_incomplete(
    calls: list[JaegerSpan], executions: list[JaegerSpan], demo_totals: Totals
) -> None:
    reasons = Counter(
        (span.tags["gen_ai.request.model"], span.tags["kaizen.usage.missing.reason"])
        for span in calls
        if "kaizen.usage.missing.reason" in span.tags
    )
    assert reasons == demo_totals.missing
    for span in executions:
        incomplete = any("kaizen.usage.missing.reason" in inner.tags for inner in span.walk())
        assert span.tags["kaizen.execution.cost.complete"] is not incomplete, span.name


def test_failed_calls_carry_the_status_of_the_answer(calls: list[JaegerSpan]) -> None:
    failed = [span.tags for span in calls if span.is_error]
    assert [tags["http.response.status_code"] for tags in failed] == [429, 500]
    assert [tags["error.type"] for tags in failed] == [
        "kaizen.llm.errors.RateLimited",
        "kaizen.llm.errors.ProviderError",
    ]


def test_a_session_is_found_by_its_id(jaeger: Jaeger, demo_service: str, demo_totals: Totals) -> None:
    assert jaeger.client.trace_ids(demo_service, tags={"session.id": "app-7"}) == [demo_totals.traces[1]]
    assert jaeger.client.trace_ids(demo_service, tags={"user.id": "ada"}) == [demo_totals.traces[0]]
