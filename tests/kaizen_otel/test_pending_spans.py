"""What runs for long is told of before it ends: placeholders, on a tick, by our own ways out only."""

from __future__ import annotations

import sys
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Decision, Sampler, SamplingResult
from opentelemetry.trace import SpanKind, StatusCode

import kaizen_otel
from kaizen_otel.invocations.call import CallRequest
from kaizen_otel.invocations.create_agent import CreateAgentInvocation
from kaizen_otel.invocations.mcp import McpClientScope, McpInvocation, McpRequest, McpServer
from kaizen_otel.invocations.mcp_server import McpServerInvocation
from kaizen_otel.invocations.scope import current_scope
from kaizen_otel.invocations.store import StoreInvocation
from kaizen_otel.invocations.task import ProcessInvocation, Queue, SendInvocation
from kaizen_otel.invocations.workflow import NodeInvocation, ToolInvocation, WorkflowInvocation
from kaizen_otel.pending import MAX_TOLD
from kaizen_otel.testing import capture
from kaizen_otel.transparency.trace import ExecutionTrace
from kaizen_semconv import attributes as k
from kaizen_semconv import gen_ai as g
from kaizen_semconv.attributes import KaizenMemoryOperation
from tests.kaizen_otel.running_operations import INTERVAL_S, agent, call, names, telemetry_in_force, used, wait_and_tick

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.sdk.trace import ReadableSpan

    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured


@pytest.fixture
def captured() -> Iterator[Captured]:
    with capture(pending_spans_s=INTERVAL_S) as caught:
        yield caught


def test_nothing_is_told_of_before_its_time(captured: Captured) -> None:
    with agent(), call():
        wait_and_tick(captured, INTERVAL_S / 2)
        assert captured.pending_spans == []


def test_what_has_run_for_the_interval_is_told_of_below_what_runs_above_it(captured: Captured) -> None:
    with agent(), call():
        wait_and_tick(captured, INTERVAL_S)
        above, below = captured.pending_spans
    assert (above.name, below.name) == ("invoke_agent desk (running)", "chat gpt-4o (running)")
    assert below.parent_id == above.span_id
    # The topmost hangs below the span that it stands for: when that arrives, the tree is whole.
    real = captured.span("invoke_agent")
    assert above.parent_id == real.span_id == above[k.KAIZEN_PENDING_SPAN_ID]
    assert below[k.KAIZEN_PENDING_PARENT_SPAN_ID] == real.span_id
    assert {above.trace_id, below.trace_id} == {real.trace_id}
    assert above.span_id != real.span_id


def test_a_placeholder_looks_like_nothing_that_is_counted(captured: Captured) -> None:
    with agent(), call() as running:
        running.span.set_attribute(g.GEN_AI_USAGE_INPUT_TOKENS, 7)
        wait_and_tick(captured, 3 * INTERVAL_S)
        told = captured.pending_spans[1]
    assert told[k.KAIZEN_SPAN_PENDING] is True
    assert told[k.KAIZEN_PENDING_OPERATION] == "chat"
    assert told[k.KAIZEN_PENDING_ELAPSED] == pytest.approx(3 * INTERVAL_S, abs=1)
    assert told[g.GEN_AI_REQUEST_MODEL] == "gpt-4o"
    assert told.kind == SpanKind.INTERNAL.name
    assert told.raw.status.status_code is StatusCode.UNSET
    assert told.duration_ms < 1
    summed = ("gen_ai.usage.", "gen_ai.operation.", "kaizen.usage.", "kaizen.execution.own.", "kaizen.execution.total.")
    assert [key for key in told.attributes if key.startswith(summed)] == []


def test_an_execution_is_told_of_again_as_its_time_doubles_with_what_it_has_used(captured: Captured) -> None:
    with agent():
        wait_and_tick(captured, INTERVAL_S)
        with call() as ended:
            used(ended)
        for _ in range(7):
            wait_and_tick(captured, INTERVAL_S)
        told = captured.pending_spans
    assert [round(one[k.KAIZEN_PENDING_ELAPSED] / INTERVAL_S) for one in told] == [1, 2, 4, 8]
    assert [one[k.KAIZEN_PENDING_INPUT_TOKENS] for one in told] == [0, 100, 100, 100]
    assert [one[k.KAIZEN_PENDING_MODEL_CALLS] for one in told] == [0, 1, 1, 1]
    assert told[1][k.KAIZEN_PENDING_OUTPUT_TOKENS] == 10
    assert told[1][k.KAIZEN_PENDING_COST_AMOUNT] > 0
    assert told[1][k.KAIZEN_EXECUTION_COST_COMPLETE] is True
    assert [one.parent_id for one in told[1:]] == [told[0].span_id] * 3
    # Each one is seen where it was made, the first where the execution began.
    starts_s = [(one.raw.start_time or 0) / 1e9 for one in told]
    assert [round((start - starts_s[0]) / INTERVAL_S) for start in starts_s] == [0, 2, 4, 8]


def test_a_placeholder_outlasts_the_one_above_or_jaeger_would_warn_of_clocks(captured: Captured) -> None:
    with agent(), agent("below"), call():
        wait_and_tick(captured, INTERVAL_S)
        lasted = [(one.raw.end_time or 0) - (one.raw.start_time or 0) for one in captured.pending_spans]
    assert lasted == [1_000, 2_000, 3_000]


def test_nobody_counts_what_is_told(captured: Captured) -> None:
    with agent(), call() as ended:
        wait_and_tick(captured, INTERVAL_S)
        assert kaizen_otel.stats()["pending_spans"] == {"told": 2, "sent": 2}
        assert kaizen_otel.stats()["calls"] == {}
        assert captured.spans == []
        assert captured.executions == []
        used(ended)
    assert len(captured.executions) == 1
    assert len(captured.calls) == 1
    captured.tick()
    assert kaizen_otel.stats()["pending_spans"] == {"told": 0, "sent": 2}


def test_events_and_links_so_far_are_told(captured: Captured) -> None:
    with ExecutionTrace("nightly") as group:
        group.add_event("halfway")
        wait_and_tick(captured, INTERVAL_S)
        (told,) = captured.pending_spans
    assert [event.name for event in told.raw.events] == ["halfway"]


@pytest.mark.parametrize("conventions", [41, 42])
def test_every_kind_of_operation_is_told_of(conventions: int) -> None:
    with capture(pending_spans_s=INTERVAL_S, conventions=conventions) as captured, ExitStack() as stack:
        everything(stack)
        wait_and_tick(captured, INTERVAL_S)
        assert names(captured.pending_spans) == [
            "trace nightly (running)",
            "process tasks (running)",
            "invoke_workflow report (running)",
            "node SyncProbe (running)",
            "invoke_agent desk (running)",
            "memory load (running)",
            "retrieval (running)",
            "execute_tool search (running)",
            "create_agent helper (running)",
            "chat gpt-4o (running)",
            "embeddings text-embedding-3-small (running)",
            "generate_content whisper-1 (running)",
            "prompts/get greeting (running)",
            "tools/call lookup (running)",
            "prompts/get greeting (running)",
            "send tasks (running)",
        ]


def everything(stack: ExitStack) -> None:
    """One running operation of every kind, each in the one before."""
    told, tasks = telemetry_in_force(), Queue("tasks")
    server = McpServer("tcp", "http")
    stack.enter_context(kaizen_otel.attributes(user_id="u", session_id="s", conversation_id="c", tags=["t"]))
    stack.enter_context(ExecutionTrace("nightly"))
    stack.enter_context(
        told.operation(
            "process",
            lambda: ProcessInvocation(told, current_scope(), tasks, "task-1", attempt=1, max_attempts=3, origin=None),
        )
    )
    stack.enter_context(
        told.workflow(
            lambda: WorkflowInvocation(told, current_scope(), subject=None, name="report", runtime="LocalRuntime")
        )
    )
    stack.enter_context(
        told.node(lambda: NodeInvocation(told, current_scope(), subject=None, node_class="SyncProbe", node_key="n"))
    )
    stack.enter_context(agent())
    load = KaizenMemoryOperation.LOAD
    stack.enter_context(
        told.store(lambda: StoreInvocation(told, current_scope(), store_type="BufferMemory", memory_operation=load))
    )
    stack.enter_context(told.store(lambda: StoreInvocation(told, current_scope(), store_type="VectorStore")))
    stack.enter_context(
        told.tool(
            lambda: ToolInvocation(told, current_scope(), tool_name="search", tool_type="function", call_id="call-1")
        )
    )
    stack.enter_context(
        told.create_agent(lambda: CreateAgentInvocation(told, current_scope(), agent_name="helper", model="gpt-4o"))
    )
    stack.enter_context(call())
    stack.enter_context(told.call(lambda: CallRequest("embeddings", "openai", "text-embedding-3-small")))
    stack.enter_context(told.call(lambda: CallRequest("generate_content", "openai", "whisper-1")))
    stack.enter_context(
        told.operation(
            "mcp",
            lambda: McpInvocation(
                told,
                McpClientScope(current_scope(), server),
                McpRequest("prompts/get", server, prompt="greeting"),
                lambda _: None,
            ),
        )
    )
    called = McpRequest("tools/call", server, tool="lookup")
    stack.enter_context(told.operation("mcp_server", lambda: McpServerInvocation(told, called, {})))
    greeting = McpRequest("prompts/get", server, prompt="greeting")
    stack.enter_context(told.operation("mcp_server", lambda: McpServerInvocation(told, greeting, {})))
    stack.enter_context(told.operation("send", lambda: SendInvocation(told, current_scope(), tasks, "task-2")))


class RecordOnly(Sampler):
    """Spans that processors of this process see and that no exporter gets."""

    def should_sample(self, *given: Any, **_: Any) -> SamplingResult:
        _context, _trace_id, _name, _kind, attributes, *_rest = given
        return SamplingResult(Decision.RECORD_ONLY, attributes)

    def get_description(self) -> str:
        return "RecordOnly"


@pytest.mark.parametrize("sampler", [ALWAYS_OFF, RecordOnly()], ids=["dropped", "recorded only"])
def test_what_the_sampler_keeps_back_is_not_told_of(sampler: Sampler) -> None:
    provider = TracerProvider(sampler=sampler)
    with capture(pending_spans_s=INTERVAL_S, tracer_provider=provider) as captured, agent(), call():
        wait_and_tick(captured, INTERVAL_S)
        assert captured.pending_spans == []


def test_off_it_is_not_there() -> None:
    with capture() as captured, agent():
        captured.clock.advance(3_600)
        captured.tick()
        assert captured.pending_spans == []
        assert telemetry_in_force().pending is None
        assert kaizen_otel.stats()["pending_spans"] == {}


def bytecodes(work: Callable[[], object]) -> int:
    """How many bytecodes the interpreter executes for it."""
    executed = 0

    def trace(frame: Any, event: str, _: Any) -> Any:
        nonlocal executed
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        executed += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return executed


@pytest.mark.skipif(
    sys.version_info >= (3, 12), reason="counted on 3.11: later ones tell opcodes to a tracer otherwise"
)
def test_an_operation_below_another_costs_nothing_more_with_it() -> None:
    """It is looked at on a tick; only the top of a tree sees that ticks happen."""

    def one_call() -> None:
        with call():
            pass

    executed = []
    for interval_s in (None, INTERVAL_S):
        with capture(pending_spans_s=interval_s), agent():
            for _ in range(3):
                one_call()
            # The fewest of some: what the collection of garbage calls back is not the call's.
            executed.append(min(bytecodes(one_call) for _ in range(5)))
    assert executed[0] == executed[1]


def test_ten_thousand_running_operations_stay_bounded(captured: Captured) -> None:
    running = 10_000
    with ExitStack() as stack:
        roots = [agent(f"a{number % 7}") for number in range(running)]
        stack.callback(lambda: [one.finish() for one in roots])
        for _ in range(3):
            wait_and_tick(captured, INTERVAL_S)
        pending = telemetry_in_force().pending
        assert pending is not None
        assert pending.stats()["told"] == MAX_TOLD
        assert len(captured.pending_spans) <= 3 * MAX_TOLD
        # When they end, others have their turn.
        for one in roots[:MAX_TOLD]:
            one.finish()
        captured.clear()
        captured.tick()
        assert len(captured.pending_spans) == MAX_TOLD
    captured.tick()
    assert pending.stats()["told"] == 0
    assert telemetry_in_force().running.open == {}


@pytest.mark.telemetry_fails
def test_a_way_out_that_raises_is_counted_and_the_others_are_told(captured: Captured) -> None:
    def raising(span: ReadableSpan) -> None:
        raise OSError(span.name)

    telemetry = telemetry_in_force()
    assert telemetry.pending is not None
    telemetry.pending.watchers.insert(0, raising)
    with agent():
        wait_and_tick(captured, INTERVAL_S)
        assert len(captured.pending_spans) == 1
    assert telemetry.fence.counts() == {"pending.send:OSError": 1}


def test_a_real_agent_in_a_slow_call_is_seen_while_it_runs(kaizen_offline: ModelServer) -> None:
    from tests.kaizen_otel.surfaces.scenes import kaizen_agent

    with capture(pending_spans_s=INTERVAL_S) as captured, held_answers(kaizen_offline) as (asked, answer):
        thread = threading.Thread(target=lambda: kaizen_agent("desk").execute(question="x"))
        thread.start()
        assert asked.wait(30)
        wait_and_tick(captured, INTERVAL_S)
        seen = names(captured.pending_spans)
        answer.set()
        thread.join(30)
        assert seen[0] == "invoke_agent desk (running)"
        assert seen[-1] == "chat gpt-4o (running)"
        by_id = {one.span_id: one for one in captured.pending_spans}
        chain = [captured.pending_spans[-1]]
        while chain[-1].parent_id in by_id:
            chain.append(by_id[chain[-1].parent_id])
        assert names(chain[::-1]) == seen
        assert captured.span("invoke_agent").status == "UNSET"
        captured.tick()
        assert len(captured.pending_spans) == len(seen)


@contextmanager
def held_answers(server: ModelServer) -> Iterator[tuple[threading.Event, threading.Event]]:
    """The server's answers wait for the second event; the first says that a request has come."""
    asked, answer = threading.Event(), threading.Event()
    wait = server.wait

    def held(delay_s: float) -> None:
        asked.set()
        answer.wait(60)
        wait(delay_s)

    server.wait = held  # type: ignore[method-assign]
    try:
        yield asked, answer
    finally:
        answer.set()
        server.wait = wait  # type: ignore[method-assign]
