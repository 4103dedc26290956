"""Ends that nobody plans: interrupts, an empty stack, no memory, garbage. And copies of what we patched."""

from __future__ import annotations

import asyncio
import copy
import gc
import logging
import pickle
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import context as otel_context

from kaizen_otel.demo.loopback import lift_loopback_guard
from kaizen_otel.invocations.scope import current_scope
from kaizen_processors.ledger import Ledger
from tests.hostile.test_matrix import HEALTHY_CALL, healthy_call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from kaizen_otel.testing import Captured

FRAMES_WE_MAY_NEED = 4
"""How many frames nearer to the end of the stack a watched node may give up than an unwatched one."""


@pytest.fixture(scope="module", autouse=True)
def offline() -> Iterator[None]:
    from tests.hostile import fakes

    run = vars(fakes.Script)["run"]
    with lift_loopback_guard("http://localhost:9"):
        yield
    fakes.Script.run = run


def node_that(run: Callable[[], Any]) -> Any:
    from tests.hostile import fakes

    fakes.Script.run = staticmethod(run)
    return fakes.OddNode()


def agent_that(answer: Callable[[], Any]) -> Any:
    from tests.hostile import fakes

    return fakes.base_agent(answer, agent_id="worker")


# -- what ends a call ---------------------------------------------------------------------------------------------


# Classes, not instances: an exception that outlives its test keeps every frame it passed, and what was live there.
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_an_interrupt_passes_and_its_spans_end_as_cancelled(
    kind: type[BaseException], kaizen_telemetry: Captured
) -> None:
    error = kind("the end")
    before = otel_context.get_current()

    def stop() -> Any:
        node_that(raise_it).execute()

    def raise_it() -> Any:
        raise error

    with pytest.raises(kind) as raised:
        agent_that(stop).run(question="x")

    assert raised.value is error
    assert (otel_context.get_current(), current_scope()) == (before, None)
    assert kaizen_telemetry.tree() == "invoke_agent worker\n  node OddNode"
    assert [(e.status, e.error_type) for e in kaizen_telemetry.executions] == [
        ("cancelled", "asyncio.exceptions.CancelledError" if kind is asyncio.CancelledError else kind.__name__)
    ]
    assert healthy_call(kaizen_telemetry) == HEALTHY_CALL


def test_running_out_of_memory_in_a_node_is_the_nodes_error(kaizen_telemetry: Captured) -> None:
    error = MemoryError()

    def fail() -> Any:
        raise error

    from kailash.sdk_exceptions import NodeExecutionError

    with pytest.raises(NodeExecutionError) as raised:
        node_that(fail).execute()

    assert raised.value.__cause__ is error
    (span,) = kaizen_telemetry.spans
    assert (span.status, span["error.type"]) == ("ERROR", "MemoryError")
    assert healthy_call(kaizen_telemetry) == HEALTHY_CALL


# -- the end of the stack -----------------------------------------------------------------------------------------


def stack_depth() -> int:
    depth = 0
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        depth, frame = depth + 1, frame.f_back
    return depth


def with_frames_left(frames: int, call: Callable[[], Any]) -> Any:
    """Make a call with so many frames left, and give its result or the class of what it raised."""

    def descend(levels: int) -> Any:
        if levels:
            return descend(levels - 1)
        return call()

    try:
        return descend(sys.getrecursionlimit() - stack_depth() - frames)
    except RecursionError:
        return RecursionError


def fewest_frames(call: Callable[[], Any], result: Any, most: int = 300) -> int:
    """With how many frames a call succeeds; with fewer it must raise RecursionError, with more succeed."""
    outcomes = [with_frames_left(frames, call) for frames in range(10, most)]
    first = outcomes.index(result)
    assert set(map(str, outcomes[:first])) <= {str(RecursionError)}
    assert all(outcome == result for outcome in outcomes[first:])
    return first + 10


def test_near_the_end_of_the_stack_a_node_needs_few_frames_more(caplog: pytest.LogCaptureFixture) -> None:
    from kaizen_otel.testing import capture

    logging.getLogger("kailash").setLevel(logging.CRITICAL)
    node = node_that(lambda: {"result": 1})

    def run() -> Any:
        try:
            return node.execute()
        except Exception as error:
            raise RecursionError from error

    alone = fewest_frames(run, {"result": 1})
    with capture() as captured, caplog.at_level(logging.CRITICAL):
        before = otel_context.get_current()
        watched = fewest_frames(run, {"result": 1})
        assert (otel_context.get_current(), current_scope()) == (before, None)
        assert healthy_call(captured) == HEALTHY_CALL

    assert watched <= alone + FRAMES_WE_MAY_NEED


@pytest.mark.telemetry_fails
def test_endless_recursion_through_an_agent_ends_as_without_us(kaizen_telemetry: Captured) -> None:
    """Agents that call themselves until the stack is used up: a RecursionError becomes an answer, as Kaizen has it."""
    depth = 0

    def again() -> Any:
        nonlocal depth
        depth += 1
        return agent.run(question="x")

    agent = agent_that(again)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(stack_depth() + 180)
    try:
        answer = agent.run(question="x")
    finally:
        sys.setrecursionlimit(limit)

    assert answer["success"] is False
    assert depth > 1
    assert current_scope() is None
    assert healthy_call(kaizen_telemetry) == HEALTHY_CALL


# -- garbage ------------------------------------------------------------------------------------------------------


def test_a_coroutine_that_nobody_finishes_prints_nothing_and_is_counted(
    kaizen_telemetry: Captured, caplog: pytest.LogCaptureFixture
) -> None:
    from tests.hostile import fakes

    class Forever(fakes.Http):
        async def post(self, *_: Any, **__: Any) -> Any:
            return await asyncio.get_running_loop().create_future()

    call = fakes.llm_client().complete(fakes.MESSAGES, http_client=Forever())
    loop = asyncio.new_event_loop()

    async def first_step() -> None:
        call.send(None)

    loop.run_until_complete(first_step())
    loop.close()
    before = otel_context.get_current()

    # The garbage collector closes it in a context where what it attached means nothing.
    thread = threading.Thread(target=call.close)
    thread.start()
    thread.join()

    assert [record.name for record in caplog.records if record.name.startswith("opentelemetry")] == []
    assert otel_context.get_current() is before
    (recorded,) = kaizen_telemetry.calls
    assert (recorded.error_type, recorded.price.missing) == ("GeneratorExit", "usage")
    assert kaizen_telemetry.span("chat").status == "UNSET"


def test_a_call_that_the_collector_ends_in_the_middle_of_counting_does_not_block() -> None:
    """Locks are reentrant: collecting garbage may end an abandoned call while another one is being counted."""
    ledger = Ledger()
    counted = []

    class Abandoned:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            ledger.end_execution("abandoned", "none", "cancelled")
            counted.append(1)

    class Tallies:
        def __iter__(self) -> Iterator[Any]:
            Abandoned()
            gc.collect()
            return iter(())

    done = threading.Event()

    def count() -> None:
        ledger.add_tool_call(Tallies())
        done.set()

    thread = threading.Thread(target=count, daemon=True)
    thread.start()
    assert done.wait(20), "the ledger waits for itself"
    thread.join()
    assert counted
    assert ledger.snapshot().executions == {("abandoned", "none", "cancelled"): 1}


def test_a_finished_run_keeps_no_conversation_in_memory(kaizen_telemetry: Captured) -> None:
    """A task started inside a call carries its context on; the prompt and the answer must not live as long."""
    import weakref

    from tests.hostile import fakes

    class Prompt(list[Any]):
        """A list that can be watched going."""

    scopes: list[Any] = []

    def answer() -> Any:
        scopes.append(current_scope())
        return fakes.HEALTHY

    prompt = Prompt(fakes.MESSAGES)
    gone = weakref.ref(prompt)
    asyncio.run(fakes.llm_client().complete(prompt, http_client=fakes.Http(answer)))
    del prompt
    gc.collect()

    assert scopes[0].ended
    assert gone() is None
    assert len(kaizen_telemetry.calls) == 1


def test_an_error_is_not_kept_alive_by_telemetry() -> None:
    import weakref

    from kaizen_otel.testing import capture

    class Payload:
        """Something large that a failing node holds."""

    def fail() -> Any:
        payload = Payload()
        seen.append(weakref.ref(payload))
        raise ValueError("with a frame that holds the payload")

    seen: list[Any] = []
    with capture():
        agent_that(fail).run(question="x")
        gc.collect()
        assert seen[0]() is None


# -- copies -------------------------------------------------------------------------------------------------------


def test_patched_functions_are_copied_and_pickled_by_name(kaizen_telemetry: Captured) -> None:
    from kailash.runtime.local import LocalRuntime
    from kaizen.core.agent_loop import AgentLoop
    from kaizen.llm.wire_protocols import openai_chat

    for function in (openai_chat.parse_response, AgentLoop.run_sync, LocalRuntime.execute):
        assert copy.copy(function) is function
        assert copy.deepcopy(function) is function
        assert pickle.loads(pickle.dumps(function)) == function  # noqa: S301 - what we pickled ourselves
    assert kaizen_telemetry.spans == []


class Holder:
    """An object whose method is patched, and that keeps it, as agents do."""

    def __init__(self) -> None:
        self.name = "holder"
        self.kept = self.execute

    def execute(self) -> str:
        return self.name


def test_an_object_that_keeps_its_own_patched_method_is_copied_with_it() -> None:
    from kaizen_otel.patches.patcher import Patcher, Surface
    from kaizen_processors.fence import Fence

    def apply(patcher: Patcher, _module: Any) -> None:
        patcher.wrap(Holder, "execute", lambda wrapped, _instance, args, kwargs: wrapped(*args, **kwargs))

    patcher = Patcher((Surface(__name__, apply),))
    sys.modules.setdefault(__name__, sys.modules[Holder.__module__])
    patcher.turn_on(Fence())
    try:
        holder = Holder()
        twin = copy.deepcopy(holder)
        twin.name = "twin"
        assert (holder.kept(), twin.kept()) == ("holder", "twin")
        assert pickle.loads(pickle.dumps(holder.kept))() == "holder"  # noqa: S301 - as above
    finally:
        patcher.turn_off()
    assert type(vars(Holder)["execute"]).__name__ == "function"
