"""Every evaluation is delivered or counted: bounds, sampling, threads, the end, forks."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaizen_processors.quality import (
    Evaluation,
    EvaluationInput,
    EvaluatorRunner,
    RunnerOptions,
    evaluator,
)

if TYPE_CHECKING:
    from collections.abc import Callable
from tests.processors.quality.support import ANSWER, WAIT_S, Desk, half, kind


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
