"""Evaluators off the application's path: what they are given, and what becomes of their verdicts."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest

from kaizen_processors.fence import Fence
from kaizen_processors.quality import (
    Evaluation,
    EvaluationInput,
    EvaluatorError,
    EvaluatorRunner,
    RunnerOptions,
    evaluator,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
from tests.processors.quality.support import ANSWER, SPAN, WAIT_S, Desk, half, kind


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
