from __future__ import annotations

import os
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from kaizen_processors.dialects import NOBODY, Attribution, ForeignCalls
from kaizen_processors.fence import Fence
from kaizen_processors.ledger import Ledger, Tally
from kaizen_processors.money import to_decimal
from kaizen_processors.pipeline import Observer, Pipeline, PipelineSpanProcessor
from kaizen_processors.pricing import PriceBook
from tests.foreign.replay import LIBRARIES, replay, replayed

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context

    from kaizen_processors.execution import CallRecord


_CHAT: dict[str, Any] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.system": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.usage.input_tokens": 10,
    "gen_ai.usage.output_tokens": 1,
}


class _Calls(Observer):
    def __init__(self) -> None:
        self.records: list[CallRecord] = []

    def on_call(self, record: CallRecord) -> None:
        self.records.append(record)


class _Watched:
    """A provider of an application, watched without Kaizen."""

    def __init__(
        self, attribute: Callable[[Context | None], Attribution | None] = lambda _: NOBODY, max_open: int = 10_000
    ) -> None:
        self.fence = Fence()
        self.ledger = Ledger()
        self.calls = _Calls()
        self.foreign = ForeignCalls(self.ledger, PriceBook(), attribute, max_open=max_open)
        self.pipeline = Pipeline(self.fence, (self.calls,), foreign=self.foreign)
        self.shell = PipelineSpanProcessor(self.fence)
        self.shell.arm(self.pipeline)
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(self.shell)
        self.tracer = self.provider.get_tracer("the application's")

    def counted(self) -> int:
        assert self.fence.counts() == {}
        assert len(self.calls.records) == sum(sums.calls for sums in self.ledger.snapshot().calls.values())
        return len(self.calls.records)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_call_of_any_library_is_priced_and_counted_once(library: str) -> None:
    watched = _Watched()

    replay(watched.provider, library)

    ((key, sums),) = watched.ledger.snapshot().calls.items()
    assert key == ("none", "gpt-4o")
    assert (sums.calls, sums.input_tokens, sums.output_tokens) == (1, 1200, 300)
    # $2.50, $1.25 cached and $10.00 a million; openai-v2 does not tell what was cached.
    expected = "0.006" if library.startswith("openai-v2") else "0.00472"
    assert to_decimal(sums.cost_units) == Decimal(expected)
    (record,) = watched.calls.records
    assert (record.provider, record.operation, record.execution_id) == ("openai", "chat", None)
    assert record.span_id != 0
    assert record.duration_ns > 0
    assert watched.fence.counts() == {}


def test_a_call_is_accounted_to_whom_the_context_of_its_start_says() -> None:
    tally = Tally()
    account = Attribution("researcher", "e" * 32, (tally,))
    watched = _Watched(lambda context: account if context and context.get("agent") else NOBODY)

    span = watched.tracer.start_span("chat", otel_context.set_value("agent", "researcher"), attributes=_CHAT)
    span.end()

    (record,) = watched.calls.records
    assert (record.agent_name, record.execution_id) == ("researcher", "e" * 32)
    assert (tally.model_calls, tally.input_tokens, tally.output_tokens) == (1, 10, 1)
    assert tally.cost_units == watched.ledger.snapshot().cost_units > 0


def test_a_call_that_belongs_to_nobody_here_is_not_counted() -> None:
    watched = _Watched(lambda _: None)

    replay(watched.provider, "genai-openai")

    assert watched.counted() == 0


@pytest.mark.parametrize("between", [0, 1, 3])
def test_of_two_libraries_the_inner_one_counts(between: int) -> None:
    watched = _Watched()

    with replayed(watched.provider, "openinference"):
        opened = [watched.tracer.start_as_current_span(f"between {level}") for level in range(between)]
        for one in opened:
            one.__enter__()
        replay(watched.provider, "openai-v2")
        for one in reversed(opened):
            one.__exit__(None, None, None)

    assert watched.counted() == 1
    (record,) = watched.calls.records
    assert record.usage.cache_read_tokens is None  # openai-v2's: OpenInference would have said


def test_an_inner_span_that_ends_after_the_outer_one_is_not_counted_again() -> None:
    watched = _Watched()
    outer = watched.tracer.start_span("outer", attributes=_CHAT)
    between = watched.tracer.start_span("between", trace.set_span_in_context(outer))
    inner = watched.tracer.start_span("inner", trace.set_span_in_context(between), attributes=_CHAT)

    outer.end()
    inner.end()

    assert watched.counted() == 1


def test_calls_side_by_side_are_each_counted() -> None:
    watched = _Watched()

    with watched.tracer.start_as_current_span("work"):
        replay(watched.provider, "openai-v2")
        replay(watched.provider, "traceloop")

    assert watched.counted() == 2


def test_a_claimed_span_is_not_counted_and_its_siblings_are() -> None:
    watched = _Watched()

    with replayed(watched.provider, "genai-openai"), watched.tracer.start_as_current_span("between") as between:
        watched.foreign.claim(between.get_span_context().span_id)
    replay(watched.provider, "genai-openai")

    assert watched.counted() == 1


def test_agents_and_tools_of_other_libraries_are_passed_over() -> None:
    watched = _Watched()

    for operation in ("invoke_agent", "execute_tool", "create_agent"):
        usage: dict[str, Any] = {"gen_ai.operation.name": operation, "gen_ai.usage.input_tokens": 1200}
        watched.tracer.start_span("other", attributes=usage).end()

    assert watched.counted() == 0


def test_our_own_spans_are_never_parsed() -> None:
    watched = _Watched()
    ours = watched.provider.get_tracer("kaizen_otel")

    ours.start_span("chat gpt-4o", attributes={"gen_ai.operation.name": "chat"}).end()

    assert watched.counted() == 0
    assert not watched.foreign.watching


def test_a_span_that_started_before_we_watched_is_accounted_to_none() -> None:
    watched = _Watched(lambda _: Attribution("researcher"))
    watched.shell.disarm()
    with replayed(watched.provider, "genai-openai"):
        watched.shell.arm(watched.pipeline)

    (record,) = watched.calls.records
    assert record.agent_name == "none"


def test_ended_spans_are_forgotten_and_those_that_never_end_are_bounded() -> None:
    watched = _Watched(lambda _: Attribution("researcher"), max_open=10)
    replay(watched.provider, "genai-openai")
    assert len(watched.foreign._open) == 0

    never_ended = [watched.tracer.start_span("work") for _ in range(500)]
    assert len(watched.foreign._open) <= 20
    replay(watched.provider, "genai-openai")

    assert len(never_ended) == 500
    assert [record.agent_name for record in watched.calls.records] == ["researcher", "researcher"]


def test_a_failing_attribution_reaches_nobody_and_is_counted() -> None:
    def fails(_: Context | None) -> Attribution | None:
        raise RuntimeError("ours")

    watched = _Watched(fails)

    replay(watched.provider, "genai-openai")

    assert watched.fence.counts() == {"foreign.start:RuntimeError": 1}
    assert [record.agent_name for record in watched.calls.records] == ["none"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_forgets_the_open_spans_of_its_parent() -> None:
    watched = _Watched()
    with replayed(watched.provider, "genai-openai"):
        child = os.fork()
        if child == 0:
            os._exit(1 if watched.foreign.watching else 0)
        _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert watched.counted() == 1
