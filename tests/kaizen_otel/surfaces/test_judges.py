"""Kaizen's judges: what they ask is an evaluator's, in the caller's trace; what they find is an event."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

import kaizen_otel
from kaizen_otel.demo.model_server import Reply, ReplyUsage, Rule
from tests.kaizen_otel.surfaces.trees import assert_one_trace
from tests.versions.capabilities import needs

if TYPE_CHECKING:
    from collections.abc import Callable

    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured

pytestmark = [
    needs("judge"),
    needs("delegate"),  # which answers for the judges here
    pytest.mark.usefixtures("forgotten_clients"),
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]

USAGE = ReplyUsage(input_tokens=1_000, output_tokens=100)


def judge(**given: Any) -> Any:
    """A judge whose Delegate works: the one that Kaizen makes refuses the judge's arguments (kaizen-agents 0.13)."""
    from kaizen.judges import LLMJudge

    return LLMJudge(judge_model="gpt-4o", delegate=Structured(), **given)


class Structured:
    """What a judge asks of a Delegate, with a real one for each question."""

    async def run_structured(self, *, signature: Any, inputs: dict[str, Any]) -> dict[str, Any]:
        from tests.kaizen_otel.surfaces import delegates

        del signature
        last = [event async for event in delegates.delegate().run(json.dumps(inputs))][-1]
        if hasattr(last, "error"):
            raise ConnectionError(last.error)
        return dict(json.loads(last.text))


def asked(**fields: Any) -> Any:
    from kailash.diagnostics.protocols import JudgeInput

    return JudgeInput(**{"prompt": "Capital of France?", "candidate_a": "Paris.", "rubric": "true", **fields})


def says(server: ModelServer, *answers: dict[str, Any], **reply: Any) -> None:
    server.script([Rule(replies=tuple(Reply(text=json.dumps(answer), usage=USAGE, **reply) for answer in answers))])


def in_caller(captured: Captured, call: Any) -> Any:
    """Await `call()` in a span of the application's."""

    async def run() -> Any:
        with captured.tracer_provider.get_tracer("app").start_as_current_span("caller"):
            return await call()

    return asyncio.run(run())


def verdicts(captured: Captured) -> list[dict[str, Any]]:
    return [dict(event.attributes) for event in captured.events if event.event_name == "gen_ai.evaluation.result"]


def measured(captured: Captured) -> dict[str, float]:
    points = captured.metrics().get("kaizen.quality.score", [])
    return {point.attributes["evaluation"]: point.value for point in points}


def test_a_judges_calls_are_an_evaluators_and_its_verdict_an_event(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    says(kaizen_offline, {"score": 0.8, "reasoning": "Paris is the capital."})

    result = in_caller(kaizen_telemetry, lambda: judge()(asked()))

    assert result.score == 0.8
    assert kaizen_telemetry.tree() == "caller\n  invoke_agent evaluator:LLMJudge\n    chat gpt-4o"
    (call,) = kaizen_telemetry.calls
    assert (call.agent_name, call.usage.input_tokens) == ("evaluator:LLMJudge", 1_000)
    assert kaizen_telemetry.executions[0].agent_name == "evaluator:LLMJudge"
    assert kaizen_telemetry.executions[0].quality_score is None
    assert verdicts(kaizen_telemetry) == [
        {
            "gen_ai.evaluation.name": "LLMJudge",
            "gen_ai.agent.name": "none",
            "gen_ai.evaluation.score.value": 0.8,
        }
    ]
    assert f"{kaizen_telemetry.events[0].span_id:016x}" == kaizen_telemetry.span("caller").span_id
    assert measured(kaizen_telemetry) == {"LLMJudge": 0.8}


def test_an_agent_that_asks_a_judge_does_not_pay_for_it(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import scenes

    says(kaizen_offline, {"answer": "Paris."}, {"score": 0.5, "reasoning": "half"})

    agent = scenes.base_agent(agent_id="writer", use_async_llm=True)
    before = agent.strategy.execute

    async def judged_inside(*args: Any) -> Any:
        answer = await before(*args)
        await judge()(asked(candidate_a=answer["answer"]))
        return answer

    agent.strategy.execute = judged_inside
    with kaizen_otel.measure() as block:
        in_caller(kaizen_telemetry, lambda: agent.run_async(question="x"))

    assert_one_trace(kaizen_telemetry)
    writer = next(one for one in kaizen_telemetry.executions if one.agent_name == "writer")
    assert (writer.model_calls, writer.tokens_input) == (1, 1_000)
    span = kaizen_telemetry.span("invoke_agent writer")
    assert span["kaizen.execution.total.input_tokens"] == span["kaizen.execution.own.input_tokens"] == 1_000
    assert block.input_tokens == 2_000
    (verdict,) = verdicts(kaizen_telemetry)
    assert verdict["gen_ai.agent.name"] == "writer"
    assert verdict["kaizen.execution.id"] == span["kaizen.execution.id"]


def test_a_comparison_is_told_with_its_winner_and_is_no_measure_of_quality(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    says(kaizen_offline, {"winner": "A", "score_a": 0.9}, {"winner": "B", "score_a": 0.3})

    result = in_caller(kaizen_telemetry, lambda: judge()(asked(candidate_b="Lyon.")))

    (verdict,) = verdicts(kaizen_telemetry)
    assert verdict["gen_ai.evaluation.score.label"] == result.winner == "A"
    assert verdict["gen_ai.evaluation.score.value"] == result.score == pytest.approx(0.8)
    assert measured(kaizen_telemetry) == {}
    assert kaizen_telemetry.tree().count("invoke_agent evaluator:LLMJudge") == 2


def test_judges_of_judges_give_one_verdict_under_their_own_name(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from kaizen.judges import FaithfulnessJudge, RefusalCalibrator, SelfConsistencyJudge

    scores = [{"score": score} for score in (0.2, 0.4, 0.6, 0.9, 1.0, 0.0)]
    says(kaizen_offline, *scores)

    async def ask_all() -> Any:
        report = await SelfConsistencyJudge(judge(), n_samples=2).evaluate(asked())
        mean = await SelfConsistencyJudge(judge(), n_samples=2)(asked())
        grounded = await FaithfulnessJudge(judge())(asked(reference="Paris is the capital."))
        refusal = await RefusalCalibrator(judge())(asked())
        return report.mean_score, mean.score, grounded.score, refusal.score

    results = in_caller(kaizen_telemetry, ask_all)

    told = [(one["gen_ai.evaluation.name"], one["gen_ai.evaluation.score.value"]) for one in verdicts(kaizen_telemetry)]
    names = ["SelfConsistencyJudge", "SelfConsistencyJudge", "FaithfulnessJudge", "RefusalCalibrator"]
    assert told == list(zip(names, results, strict=True))
    assert [call.agent_name for call in kaizen_telemetry.calls] == [
        *["evaluator:SelfConsistencyJudge"] * 4,
        "evaluator:FaithfulnessJudge",
        "evaluator:RefusalCalibrator",
    ]
    assert set(measured(kaizen_telemetry)) == {"SelfConsistencyJudge", "FaithfulnessJudge"}


def test_a_judge_that_fails_is_told_and_has_no_score(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    says(kaizen_offline, {}, status=401)

    with pytest.raises(ConnectionError):
        in_caller(kaizen_telemetry, lambda: judge()(asked()))

    assert verdicts(kaizen_telemetry) == [
        {"gen_ai.evaluation.name": "LLMJudge", "gen_ai.agent.name": "none", "error.type": "ConnectionError"}
    ]
    assert measured(kaizen_telemetry) == {}
    assert kaizen_telemetry.span("invoke_agent").status == "ERROR"


def test_a_judge_without_money_left_is_told(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    from kaizen.judges import JudgeBudgetExhaustedError

    poor = judge(budget_microdollars=1)
    poor._spent_microdollars = 1

    with pytest.raises(JudgeBudgetExhaustedError):
        in_caller(kaizen_telemetry, lambda: poor(asked()))

    assert kaizen_offline.requests == []
    (verdict,) = verdicts(kaizen_telemetry)
    assert verdict["error.type"] == "kaizen.judges._judge.JudgeBudgetExhaustedError"


def test_a_judge_that_is_cancelled_says_nothing(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    async def cancel() -> None:
        begun = asyncio.Event()

        class Slow:
            async def run_structured(self, **_: Any) -> dict[str, Any]:
                begun.set()
                await asyncio.Event().wait()
                return {}

        from kaizen.judges import LLMJudge

        task = asyncio.create_task(LLMJudge(judge_model="gpt-4o", delegate=Slow())(asked()))
        await begun.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(cancel())
    assert verdicts(kaizen_telemetry) == []
    assert kaizen_offline.requests == []


async def ask_each(question: Any) -> None:
    """Every judge, and what is made of judges."""
    from kaizen.judges import FaithfulnessJudge, RefusalCalibrator, SelfConsistencyJudge

    for ask in (
        judge(),
        SelfConsistencyJudge(judge(), n_samples=2),
        SelfConsistencyJudge(judge(), n_samples=2).evaluate,
        FaithfulnessJudge(judge()),
        RefusalCalibrator(judge()),
        lambda _: RefusalCalibrator(judge()).calibrate(benign_prompts=["x"], benign_responses=["y"]),
    ):
        with suppress(ConnectionError):
            await ask(question)


@pytest.mark.covers("kaizen.judges._judge:LLMJudge.__call__", "tokens", "cost", "error", "context")
@pytest.mark.covers("kaizen.judges._wrappers:SelfConsistencyJudge.__call__", "tokens", "cost", "error", "context")
@pytest.mark.covers("kaizen.judges._wrappers:SelfConsistencyJudge.evaluate", "tokens", "cost", "error", "context")
@pytest.mark.covers("kaizen.judges._wrappers:FaithfulnessJudge.__call__", "tokens", "cost", "error", "context")
@pytest.mark.covers("kaizen.judges._wrappers:RefusalCalibrator.__call__", "tokens", "cost", "error", "context")
@pytest.mark.covers("kaizen.judges._wrappers:RefusalCalibrator.calibrate", "tokens", "cost", "error", "context")
def test_every_judge_asks_in_the_callers_trace_and_is_told_when_it_fails(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    for reply in ({}, {"status": 401}):
        says(kaizen_offline, *[{"score": 0.5}] * 8, **reply)
        in_caller(kaizen_telemetry, lambda: ask_each(asked(reference="Paris is the capital.")))

    told = ["LLMJudge", *["SelfConsistencyJudge"] * 2, "FaithfulnessJudge", *["RefusalCalibrator"] * 2]
    assert [one["gen_ai.evaluation.name"] for one in verdicts(kaizen_telemetry)] == told * 2
    assert ["error.type" in one for one in verdicts(kaizen_telemetry)] == [False] * 6 + [True] * 6


@pytest.mark.covers("kaizen.judges.llm_diagnostics:LLMDiagnostics.llm_as_judge", "tokens", "cost", "error", "context")
@pytest.mark.covers("kaizen.judges.llm_diagnostics:LLMDiagnostics.faithfulness", "tokens", "cost", "error", "context")
@pytest.mark.covers(
    "kaizen.judges.llm_diagnostics:LLMDiagnostics.self_consistency", "tokens", "cost", "error", "context"
)
@pytest.mark.covers(
    "kaizen.judges.llm_diagnostics:LLMDiagnostics.refusal_calibrator", "tokens", "cost", "error", "context"
)
def test_every_diagnosis_asks_its_judge_in_the_callers_trace(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from kaizen.judges import LLMDiagnostics

    def diagnose() -> None:
        with (
            kaizen_telemetry.tracer_provider.get_tracer("app").start_as_current_span("caller"),
            LLMDiagnostics(judge=judge()) as diagnostics,
        ):
            asks: tuple[Callable[[], Any], ...] = (
                lambda: diagnostics.llm_as_judge("Capital of France?", "Paris."),
                lambda: diagnostics.faithfulness("Paris.", "Paris is the capital."),
                lambda: diagnostics.self_consistency("Capital of France?", "Paris."),
                lambda: diagnostics.refusal_calibrator(
                    benign_prompts=["Capital of France?"], benign_responses=["Paris."]
                ),
            )
            for ask in asks:
                with suppress(ConnectionError):
                    ask()

    for reply in ({}, {"status": 401}):
        says(kaizen_offline, *[{"score": 0.5}] * 12, **reply)
        diagnose()
    assert len({span.trace_id for span in kaizen_telemetry.spans}) == 2


@pytest.mark.parametrize("in_loop", [False, True], ids=["blocking", "in a loop"])
def test_diagnostics_ask_their_judges_in_the_callers_trace(
    in_loop: bool, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from kaizen.judges import LLMDiagnostics

    says(kaizen_offline, {"score": 0.7}, {"score": 0.6})

    def diagnose() -> Any:
        with (
            kaizen_telemetry.tracer_provider.get_tracer("app").start_as_current_span("caller"),
            LLMDiagnostics(judge=judge()) as diagnostics,
        ):
            diagnostics.llm_as_judge("Capital of France?", "Paris.")
            diagnostics.faithfulness("Paris.", "Paris is the capital.")
            return diagnostics.report()

    async def inside() -> Any:
        return diagnose()

    report = asyncio.run(inside()) if in_loop else diagnose()

    assert report["judge"]["mean_score"] == 0.7
    assert_one_trace(kaizen_telemetry)
    told = [one["gen_ai.evaluation.name"] for one in verdicts(kaizen_telemetry)]
    assert told == ["LLMJudge", "FaithfulnessJudge"]


@pytest.mark.kaizen_otel(content="span")
def test_a_judges_reasons_are_content(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    says(kaizen_offline, {"score": 1, "reasoning": "Paris is the capital."})

    in_caller(kaizen_telemetry, lambda: judge()(asked()))

    (verdict,) = verdicts(kaizen_telemetry)
    assert verdict["gen_ai.evaluation.explanation"] == "Paris is the capital."


def test_a_judge_inside_an_evaluator_is_part_of_it(kaizen_offline: ModelServer) -> None:
    from kaizen_otel.testing import capture
    from tests.kaizen_otel.surfaces import scenes

    async def strict(given: kaizen_otel.EvaluationInput) -> float:
        result = await judge()(asked(candidate_a=given.output_text))
        return float(result.score)

    says(kaizen_offline, {"answer": "Paris."}, {"score": 0.3})
    with capture(evaluators=(strict,)) as captured:
        scenes.base_agent(agent_id="writer").run(question="x")
        assert captured.flush()
        told = [(one["gen_ai.evaluation.name"], one["gen_ai.agent.name"]) for one in verdicts(captured)]
        assert told == [("strict", "writer")]
        assert [call.agent_name for call in captured.calls] == ["writer", "evaluator:strict"]


@pytest.mark.kaizen_otel(monitoring_level="off")
def test_nothing_is_told_where_monitoring_is_off(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    from tests.kaizen_otel.surfaces import scenes

    says(kaizen_offline, {"answer": "Paris."}, {"score": 0.3}, {"score": 0.3})
    agent = scenes.base_agent(agent_id="writer", use_async_llm=True)
    execute = agent.strategy.execute

    async def judged_inside(*args: Any) -> Any:
        answer = await execute(*args)
        await judge()(asked())
        return answer

    agent.strategy.execute = judged_inside
    in_caller(kaizen_telemetry, lambda: agent.run_async(question="x"))
    asyncio.run(judge()(asked()))

    assert len(kaizen_offline.requests) == 3
    assert [span.name for span in kaizen_telemetry.spans] == ["caller"]
    assert kaizen_telemetry.events == []
