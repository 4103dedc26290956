"""Evaluators that hang: given up, counted, and never in the way of the others."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest

from kaizen_processors.quality import (
    EvaluationInput,
    Evaluator,
    EvaluatorRunner,
    RunnerOptions,
    evaluator,
)
from tests.processors.quality.support import ANSWER, TIMEOUT_S, WAIT_S, Desk, half, kind


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
