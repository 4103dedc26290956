"""Slots of Kaizen's judges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.hostile.slot import Slots

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.hostile.stage import Stage

SLOTS = Slots()
JUDGE = "kaizen.judges._judge:LLMJudge.__call__"
WRAPPERS = "kaizen.judges._wrappers"


def _judge(answer: Callable[[], Any]) -> Any:
    from kaizen.judges import LLMJudge

    class Delegate:
        async def run_structured(self, **_: Any) -> Any:
            return answer()

    return LLMJudge(judge_model="gpt-4o", delegate=Delegate())


def _asked(**given: Any) -> Any:
    from kailash.diagnostics.protocols import JudgeInput

    return JudgeInput(**{"prompt": "?", "candidate_a": "a", "rubric": "r", **given})


def _told(result: Any) -> Any:
    return [getattr(result, name, None) for name in ("score", "mean_score", "winner", "reasoning")]


@SLOTS.add(JUDGE)
def judge_input(stage: Stage) -> Any:
    return stage.run(_judge(dict)(stage.value))


@SLOTS.add(JUDGE)
def judge_answer(stage: Stage) -> Any:
    return _told(stage.run(_judge(stage.give)(_asked())))


@SLOTS.add(JUDGE)
def judge_score(stage: Stage) -> Any:
    return _told(stage.run(_judge(lambda: {"score": stage.give(), "reasoning": stage.value})(_asked())))


@SLOTS.add(JUDGE)
def judge_winner(stage: Stage) -> Any:
    answer = _judge(lambda: {"winner": stage.give(), "score_a": stage.value})
    return _told(stage.run(answer(_asked(candidate_b="b"))))


@SLOTS.add(JUDGE)
def judge_of_a_subclass(stage: Stage) -> Any:
    """A result of the application's own making."""
    from kaizen.judges import LLMJudge

    class Own(LLMJudge):
        async def _score_pointwise(self, _: Any) -> Any:
            return stage.give()

    return stage.run(Own(judge_model="gpt-4o", delegate=object())(_asked()))


@SLOTS.add(JUDGE, takes="error")
def judge_raises(stage: Stage) -> Any:
    return stage.run(_judge(stage.throw)(_asked()))


@SLOTS.add(f"{WRAPPERS}:FaithfulnessJudge.__call__")
def faithfulness_answer(stage: Stage) -> Any:
    from kaizen.judges import FaithfulnessJudge

    return _told(stage.run(FaithfulnessJudge(_judge(stage.give))(_asked())))


@SLOTS.add(f"{WRAPPERS}:RefusalCalibrator.__call__")
def refusal_answer(stage: Stage) -> Any:
    from kaizen.judges import RefusalCalibrator

    return _told(stage.run(RefusalCalibrator(_judge(stage.give))(_asked())))


@SLOTS.add(f"{WRAPPERS}:SelfConsistencyJudge.__call__")
def consistency_answer(stage: Stage) -> Any:
    from kaizen.judges import SelfConsistencyJudge

    return _told(stage.run(SelfConsistencyJudge(_judge(lambda: {"score": stage.give()}), n_samples=2)(_asked())))


@SLOTS.add(f"{WRAPPERS}:SelfConsistencyJudge.evaluate")
def consistency_report(stage: Stage) -> Any:
    from kaizen.judges import SelfConsistencyJudge

    return _told(
        stage.run(SelfConsistencyJudge(_judge(lambda: {"score": stage.give()}), n_samples=2).evaluate(_asked()))
    )


@SLOTS.add(f"{WRAPPERS}:SelfConsistencyJudge.evaluate", takes="error")
def consistency_raises(stage: Stage) -> Any:
    from kaizen.judges import SelfConsistencyJudge

    return stage.run(SelfConsistencyJudge(_judge(stage.throw), n_samples=2).evaluate(_asked()))


@SLOTS.add("kaizen.judges.llm_diagnostics:_run_async")
def diagnosed_answer(stage: Stage) -> Any:
    from kaizen.judges import llm_diagnostics

    async def ask() -> Any:
        return stage.give()

    return llm_diagnostics._run_async(ask())
