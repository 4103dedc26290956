"""Evaluators off the application's path: delivered or counted, whatever they do."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import logging
import subprocess
import sys
import textwrap
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.trace import SpanContext, TraceFlags

from kaizen_processors.fence import Fence
from kaizen_processors.quality import (
    Evaluation,
    EvaluationInput,
    Evaluator,
    EvaluatorError,
    EvaluatorRunner,
    RunnerOptions,
    evaluator,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WAIT_S = 30.0
"""How long a test waits for what must happen; it does not wait this long unless it fails."""

TIMEOUT_S = 0.05
"""Time limit of evaluators that are meant to exceed it."""

SPAN = SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(1))
ANSWER = EvaluationInput({"answer": "42"}, agent_name="desk", execution_id="0" * 32)


class Desk:
    """Collects results, and ends its runners."""

    def __init__(self) -> None:
        self.results: list[tuple[EvaluationInput, Evaluation, SpanContext | None]] = []
        self.gate = threading.Event()
        self.fence = Fence()
        self._runners: list[EvaluatorRunner] = []

    def runner(self, *evaluators: Any, options: RunnerOptions | None = None, **given_options: Any) -> EvaluatorRunner:
        made = EvaluatorRunner(evaluators, self.receive, fence=self.fence, options=options, **given_options)
        self._runners.append(made)
        return made

    def receive(self, given_input: EvaluationInput, found: Evaluation, span_context: SpanContext | None) -> None:
        self.results.append((given_input, found, span_context))

    @property
    def evaluations(self) -> list[Evaluation]:
        return sorted((found for _, found, _ in self.results), key=lambda found: found.name)

    def close(self) -> None:
        self.gate.set()
        for runner in self._runners:
            runner.shutdown(WAIT_S)


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()
    yield made
    made.close()


@evaluator
def half(_: EvaluationInput) -> float:
    return 0.5


@evaluator
async def kind(_: EvaluationInput) -> bool:
    await asyncio.sleep(0)
    return True


def test_sync_and_async_evaluators_deliver_their_verdicts(desk: Desk) -> None:
    @evaluator(name="graded")
    def graded(given_input: EvaluationInput) -> Evaluation:
        return Evaluation("other name", 0.25, "poor", given_input.output_text)

    runner = desk.runner(half, kind, graded)

    assert runner.submit(ANSWER, SPAN) == 3
    assert runner.flush(WAIT_S)
    assert desk.evaluations == [
        Evaluation("graded", 0.25, "poor", "42"),
        Evaluation("half", 0.5),
        Evaluation("kind", 1.0, "pass"),
    ]
    assert [span_context for _, _, span_context in desk.results] == [SPAN] * 3
    assert {given_input.execution_id for given_input, _, _ in desk.results} == {"0" * 32}
    assert runner.dropped() == {}
    assert runner.delivered() == 3


def test_nothing_runs_before_the_first_submission(desk: Desk) -> None:
    before = set(threading.enumerate())

    desk.runner(half, kind)

    assert set(threading.enumerate()) == before


def test_evaluator_sees_the_output_as_it_was(desk: Desk) -> None:
    seen: list[object] = []

    @evaluator
    def look(given_input: EvaluationInput) -> None:
        desk.gate.wait(WAIT_S)
        seen.append(given_input.output)

    output = {"answer": "before"}
    runner = desk.runner(look)
    runner.submit(EvaluationInput(output))
    output["answer"] = "after"
    desk.gate.set()

    assert runner.flush(WAIT_S)
    assert seen == [{"answer": "before"}]


def test_no_verdict_is_no_result_and_no_drop(desk: Desk) -> None:
    runner = desk.runner(evaluator(name="silent")(lambda _: None))
    runner.submit(ANSWER)

    assert runner.flush(WAIT_S)
    assert desk.results == []
    assert (runner.delivered(), runner.dropped()) == (1, {})


@pytest.mark.parametrize("verdict", ["good", 1.5, -1, float("nan"), [0.5], object()], ids=lambda _: "")
def test_bad_verdict_is_counted_and_logged_once(desk: Desk, verdict: Any, caplog: pytest.LogCaptureFixture) -> None:
    runner = desk.runner(evaluator(name="bad")(lambda _: verdict), half)
    with caplog.at_level(logging.WARNING, "kaizen_otel"):
        for _ in range(3):
            runner.submit(ANSWER)
        assert runner.flush(WAIT_S)

    assert runner.dropped() == {"bad_verdict": 3}
    assert [record.message for record in caplog.records if "evaluator bad returned" in record.message] == [
        record.message for record in caplog.records
    ]
    assert len(caplog.records) == 1
    assert len(desk.results) == 3


@pytest.mark.parametrize("kind_of_error", [ValueError, SystemExit, KeyboardInterrupt, asyncio.CancelledError])
def test_raising_evaluator_is_counted_and_stops_nothing(desk: Desk, kind_of_error: type[BaseException]) -> None:
    error = kind_of_error("no")

    @evaluator
    def boom(_: EvaluationInput) -> float:
        raise error

    @evaluator
    async def aboom(_: EvaluationInput) -> float:
        raise error

    runner = desk.runner(boom, aboom, half, kind)
    for _ in range(3):
        runner.submit(ANSWER)

    assert runner.flush(WAIT_S)
    assert runner.dropped() == {"error": 6}
    assert len(desk.results) == 6
    assert desk.fence.counts() == {
        f"evaluator:boom:{kind_of_error.__name__}": 3,
        f"evaluator:aboom:{kind_of_error.__name__}": 3,
    }


def test_hanging_function_is_given_up_and_the_others_go_on(desk: Desk) -> None:
    @evaluator(timeout_s=TIMEOUT_S)
    def hang(_: EvaluationInput) -> float:
        desk.gate.wait(WAIT_S)
        return 1.0

    runner = desk.runner(hang, half)
    for _ in range(20):
        runner.submit(ANSWER)

    assert runner.flush(WAIT_S)
    dropped = runner.dropped()
    assert dropped["timeout"] >= 1
    assert dropped["timeout"] + dropped.get("suspended", 0) == 20
    assert [found.name for found in desk.evaluations] == ["half"] * 20


def test_evaluator_that_comes_back_late_runs_again_and_its_late_verdict_is_ignored(desk: Desk) -> None:
    returned = threading.Event()

    @evaluator(timeout_s=TIMEOUT_S)
    def late(_: EvaluationInput) -> float:
        desk.gate.wait(WAIT_S)
        returned.set()
        return 1.0

    runner = desk.runner(late, options=RunnerOptions(max_threads=1, max_abandoned=0))
    runner.submit(ANSWER)
    assert runner.flush(WAIT_S)
    assert runner.dropped() == {"timeout": 1}
    assert runner.submit(ANSWER) == 0
    assert runner.dropped() == {"timeout": 1, "suspended": 1}

    desk.gate.set()
    assert returned.wait(WAIT_S)
    submitted_again(runner)

    assert runner.flush(WAIT_S)
    assert [found.score for found in desk.evaluations] == [1.0]


def submitted_again(runner: EvaluatorRunner) -> None:
    """Submit until the evaluator that came back is accepted again: its thread reports a moment after it returned."""
    accepted = threading.Event()
    deadline = threading.Timer(WAIT_S, accepted.set)
    deadline.start()
    while not accepted.is_set():
        if runner.submit(ANSWER):
            accepted.set()
            deadline.cancel()
            return
    pytest.fail("the evaluator stayed suspended")


def test_hanging_coroutines_are_cancelled_and_the_others_go_on(desk: Desk) -> None:
    cancelled = threading.Event()

    @evaluator(timeout_s=TIMEOUT_S)
    async def hang(_: EvaluationInput) -> float:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return 1.0

    runner = desk.runner(hang, kind)
    runner.submit(ANSWER)

    assert runner.flush(WAIT_S)
    assert cancelled.wait(WAIT_S)
    assert runner.dropped() == {"timeout": 1}
    assert [found.name for found in desk.evaluations] == ["kind"]


def test_coroutine_that_ignores_its_cancellation_is_suspended(desk: Desk) -> None:
    ignored = threading.Event()

    @evaluator(timeout_s=TIMEOUT_S)
    async def stubborn(_: EvaluationInput) -> float:
        while not desk.gate.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)
            ignored.set()
        return 1.0

    runner = desk.runner(stubborn, kind)
    runner.submit(ANSWER)
    assert runner.flush(WAIT_S)
    assert ignored.wait(WAIT_S)

    assert runner.submit(ANSWER) == 1
    assert runner.flush(WAIT_S)
    assert runner.dropped() == {"timeout": 1, "suspended": 1}
    assert [found.name for found in desk.evaluations] == ["kind", "kind"]


def test_coroutine_that_blocks_its_loop_gets_the_loop_replaced(desk: Desk) -> None:
    @evaluator(timeout_s=TIMEOUT_S)
    async def block(_: EvaluationInput) -> float:
        desk.gate.wait(WAIT_S)
        return 1.0

    runner = desk.runner(block, kind)
    runner.submit(ANSWER)
    while not runner.dropped().get("timeout"):
        runner.flush(TIMEOUT_S)
    # Queued behind the blocked loop: it runs when the loop has been replaced.
    runner.submit(ANSWER)

    while not desk.results:
        runner.flush(TIMEOUT_S)
    desk.gate.set()
    assert runner.flush(WAIT_S)
    assert runner.dropped()["timeout"] == 1
    assert {found.name for found in desk.evaluations} == {"kind"}


def test_when_too_many_evaluators_hang_work_is_dropped_not_kept_for_ever(desk: Desk) -> None:
    def hanging(number: int) -> Evaluator:
        return evaluator(name=f"hang{number}", timeout_s=TIMEOUT_S)(lambda _: desk.gate.wait(WAIT_S))

    runner = desk.runner(*map(hanging, range(5)), half, options=RunnerOptions(max_threads=1, max_abandoned=1))
    runner.submit(ANSWER)

    assert runner.flush(WAIT_S)
    assert runner.dropped() == {"timeout": 2, "no_worker": 4}


def test_full_queue_drops_and_counts(desk: Desk) -> None:
    waiting = evaluator(name="wait")(lambda _: desk.gate.wait(WAIT_S))
    runner = desk.runner(waiting, options=RunnerOptions(max_pending=2))

    assert [runner.submit(ANSWER) for _ in range(5)] == [1, 1, 0, 0, 0]
    assert runner.dropped() == {"queue_full": 3}
    assert not runner.flush(0)
    desk.gate.set()
    assert runner.flush(WAIT_S)
    assert runner.delivered() == 2


def test_queue_is_bounded_in_characters_too(desk: Desk) -> None:
    waiting = evaluator(name="wait")(lambda _: desk.gate.wait(WAIT_S))
    runner = desk.runner(waiting, options=RunnerOptions(max_pending_chars=1000))
    large = EvaluationInput({"answer": "x" * 600})

    assert [runner.submit(large), runner.submit(large), runner.submit(ANSWER)] == [1, 0, 1]
    desk.gate.set()
    assert runner.flush(WAIT_S)
    assert runner.submit(large) == 1


def test_sampling_takes_the_given_part_and_counts_the_rest(desk: Desk) -> None:
    chances = iter([0.0, 0.29, 0.3, 0.99])
    often = evaluator(name="often", sample_rate=0.3)(lambda _: 1.0)
    never = evaluator(name="never", sample_rate=0)(lambda _: 1.0)
    runner = desk.runner(often, never, options=RunnerOptions(random=lambda: next(chances)))

    assert [runner.submit(ANSWER) for _ in range(4)] == [1, 1, 0, 0]
    assert runner.dropped() == {"sampled_out": 6}


def test_evaluator_runs_inside_the_context_it_is_entered_in(desk: Desk) -> None:
    current: contextvars.ContextVar[str] = contextvars.ContextVar("current", default="none")
    seen: dict[str, str] = {}

    @contextlib.contextmanager
    def enter(name: str) -> Iterator[None]:
        token = current.set(name)
        yield
        current.reset(token)

    @evaluator
    def sync(_: EvaluationInput) -> None:
        seen["sync"] = current.get()

    @evaluator
    async def aio(_: EvaluationInput) -> None:
        await asyncio.sleep(0)
        seen["aio"] = current.get()

    current.set("the application's")
    runner = desk.runner(sync, aio, enter=enter)
    runner.submit(ANSWER)

    assert runner.flush(WAIT_S)
    assert seen["sync"] == "evaluator:sync"
    assert seen["aio"] == "evaluator:aio"


def test_context_that_cannot_be_entered_is_an_error_of_that_run(desk: Desk) -> None:
    def enter(_: str) -> contextlib.AbstractContextManager[None]:
        raise RuntimeError("no context")

    runner = desk.runner(half, kind, enter=enter)
    runner.submit(ANSWER)

    assert runner.flush(WAIT_S)
    assert runner.dropped() == {"error": 2}


def test_failing_receiver_is_counted_and_stops_nothing() -> None:
    received = 0

    def receive(*_: object) -> None:
        nonlocal received
        received += 1
        raise RuntimeError("receiver")

    fence = Fence()
    runner = EvaluatorRunner([half, kind], receive, fence=fence)
    runner.submit(ANSWER)
    runner.submit(ANSWER)

    assert runner.flush(WAIT_S)
    assert received == 4
    assert runner.dropped() == {"error": 4}
    assert fence.counts() == {"evaluation.result:RuntimeError": 4}
    assert runner.shutdown(WAIT_S)


def test_function_that_returns_a_coroutine_is_awaited(desk: Desk) -> None:
    async def judge(_: EvaluationInput) -> float:
        await asyncio.sleep(0)
        return 0.75

    runner = desk.runner(evaluator(name="lambda")(lambda _: judge(ANSWER)))
    runner.submit(ANSWER)

    assert runner.flush(WAIT_S)
    assert desk.evaluations == [Evaluation("lambda", 0.75)]


def test_many_executions_from_many_threads_are_each_delivered_or_counted(desk: Desk) -> None:
    runner = desk.runner(half, kind, options=RunnerOptions(max_pending=50))
    accepted: list[int] = []

    def work() -> None:
        accepted.extend(runner.submit(ANSWER) for _ in range(100))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert runner.flush(WAIT_S)
    assert len(desk.results) == sum(accepted) == runner.delivered()
    assert runner.delivered() + runner.dropped().get("queue_full", 0) == 1600


def test_shutdown_waits_then_refuses(desk: Desk) -> None:
    runner = desk.runner(half, kind)
    runner.submit(ANSWER)

    assert runner.shutdown(WAIT_S)
    assert len(desk.results) == 2
    assert runner.submit(ANSWER) == 0
    assert runner.dropped() == {"shutdown": 2}


def test_shutdown_that_cannot_wait_says_so_and_counts_what_it_drops(desk: Desk) -> None:
    @evaluator
    async def hang(_: EvaluationInput) -> float:
        await asyncio.Event().wait()
        return 1.0

    waiting = evaluator(name="wait")(lambda _: desk.gate.wait(WAIT_S))
    runner = desk.runner(waiting, hang, options=RunnerOptions(max_threads=1, max_tasks=1))
    for _ in range(3):
        runner.submit(ANSWER)

    assert not runner.shutdown(0)
    assert runner.dropped() == {"shutdown": 6}
    assert runner.flush(0)
    desk.gate.set()
    assert desk.results == []


def test_flush_does_not_wait_for_what_comes_later(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    held = threading.Event()

    @evaluator
    def waits(given_input: EvaluationInput) -> None:
        (held if given_input.agent_name == "held" else desk.gate).wait(WAIT_S)

    runner = desk.runner(waits, options=RunnerOptions(max_threads=1))
    runner.submit(EvaluationInput("x", agent_name="held"))
    settled = runner._docket._settled
    wait_for = settled.wait_for

    def submit_then_wait(predicate: Callable[[], bool], timeout: float) -> bool:
        runner.submit(EvaluationInput("x", agent_name="later"))
        held.set()
        return wait_for(predicate, timeout)

    monkeypatch.setattr(settled, "wait_for", submit_then_wait)

    assert runner.flush(WAIT_S)
    assert runner.delivered() == 1


FORK = textwrap.dedent(
    """
    import os, sys, threading, warnings
    from kaizen_processors.quality import EvaluationInput, EvaluatorRunner, evaluator

    warnings.simplefilter("ignore")  # 3.12 warns of every fork with threads, which is what is tried here
    gate = threading.Event()
    results = []

    @evaluator
    def sync(given):
        if given.agent_name == "parent":
            gate.wait(30)
        return 0.5

    @evaluator
    async def aio(given):
        return 1.0

    runner = EvaluatorRunner([sync, aio], lambda given, found, _: results.append((given.agent_name, found.name)))
    runner.submit(EvaluationInput("x", agent_name="warm"))
    runner.flush(30)
    runner.submit(EvaluationInput("x", agent_name="parent"))
    child = os.fork()
    if child == 0:
        results.clear()
        runner.submit(EvaluationInput("x", agent_name="child"))
        ok = runner.flush(30) and sorted(results) == [("child", "aio"), ("child", "sync")]
        ok = ok and runner.delivered() == 2 and runner.shutdown(30)
        os._exit(0 if ok else 1)
    _, status = os.waitpid(child, 0)
    gate.set()
    ok = runner.flush(30) and runner.shutdown(30)
    print(os.waitstatus_to_exitcode(status), ok, sorted(results))
    """
)


@pytest.mark.skipif(sys.platform == "win32", reason="no fork there")
def test_forked_child_evaluates_its_own_and_leaves_the_parents_alone() -> None:
    done = subprocess.run(  # noqa: S603 - our own interpreter and script
        [sys.executable, "-c", FORK], capture_output=True, text=True, timeout=120, check=True
    )

    expected = [("parent", "aio"), ("parent", "sync"), ("warm", "aio"), ("warm", "sync")]
    assert done.stdout.strip() == f"0 True {expected}"
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: evaluator(name="no spaces")(lambda _: 1.0), "evaluator name 'no spaces' must match"),
        (lambda: evaluator(lambda _: 1.0), "evaluator name '<lambda>' must match"),
        (lambda: evaluator(name="empty")(lambda _: 1.0), "'empty' is taken by the structural evaluators"),
        (lambda: evaluator(name="x", sample_rate=1.1)(lambda _: 1.0), "sample_rate must be from 0 to 1, got 1.1"),
        (lambda: evaluator(name="x", sample_rate=True)(lambda _: 1.0), "sample_rate must be from 0 to 1"),
        (lambda: evaluator(name="x", timeout_s=0)(lambda _: 1.0), "timeout_s must be above 0"),
        (lambda: evaluator(name="x", timeout_s=float("nan"))(lambda _: 1.0), "timeout_s must be above 0"),
        (lambda: evaluator(name="x")(7), "evaluator 'x' is not callable"),  # type: ignore[arg-type]
        (lambda: EvaluatorRunner([half, half], print), "two evaluators are named 'half'"),
        (lambda: EvaluatorRunner([7], print), "an evaluator must be callable, got int"),  # type: ignore[list-item]
    ],
)
def test_unusable_evaluator_is_refused_at_once_and_named(make: Callable[[], object], message: str) -> None:
    with pytest.raises(EvaluatorError, match=message.replace("(", r"\(")):
        make()


@pytest.mark.parametrize("name", ["max_pending", "max_threads", "max_tasks", "max_pending_chars"])
def test_unusable_bound_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        RunnerOptions(**{name: 0})  # type: ignore[arg-type]  # a bound, by its name
    with pytest.raises(ValueError, match="max_abandoned must not be negative"):
        RunnerOptions(max_abandoned=-1)


def test_plain_callables_and_own_classes_are_evaluators(desk: Desk) -> None:
    def plain(_: EvaluationInput) -> float:
        return 0.1

    class Own:
        name = "own"
        sample_rate = 1.0
        timeout_s = 5.0

        async def __call__(self, _: EvaluationInput, /) -> float:
            return 0.2

    runner = desk.runner(functools.partial(plain), Own(), half)
    runner.submit(ANSWER)

    assert runner.flush(WAIT_S)
    assert [(found.name, found.score) for found in desk.evaluations] == [("half", 0.5), ("own", 0.2), ("plain", 0.1)]
    assert [judge.name for judge in runner.evaluators] == ["plain", "own", "half"]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(["score", "none", "bad", "raise", "ascore", "araise"]), min_size=1, max_size=30))
def test_every_accepted_evaluation_is_settled_exactly_once(behaviours: list[str]) -> None:
    @evaluator
    def sync(given_input: EvaluationInput) -> Any:
        return behave(given_input.agent_name.removeprefix("a"))

    @evaluator
    async def aio(given_input: EvaluationInput) -> Any:
        return behave(given_input.agent_name.removeprefix("a"))

    def behave(behaviour: str) -> Any:
        if behaviour == "raise":
            raise ValueError
        return {"score": 0.5, "none": None, "bad": "x"}[behaviour]

    results: list[Evaluation] = []
    runner = EvaluatorRunner([sync, aio], lambda _given, found, _span: results.append(found))
    accepted = sum(runner.submit(EvaluationInput("x", agent_name=behaviour)) for behaviour in behaviours)

    assert runner.shutdown(WAIT_S)
    assert accepted == 2 * len(behaviours) == runner.delivered() + sum(runner.dropped().values())
    assert len(results) == 2 * sum(behaviour.endswith("score") for behaviour in behaviours)


def test_without_threads_to_be_had_work_is_dropped_and_counted(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    runner = desk.runner(half, kind)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    runner.submit(ANSWER)
    monkeypatch.undo()

    assert runner.dropped() == {"no_worker": 2}
    assert runner.flush(0)
    runner.submit(ANSWER)
    assert runner.flush(WAIT_S)
    assert len(desk.results) == 2
