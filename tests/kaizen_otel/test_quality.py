from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import kaizen_otel
from kaizen_otel.demo.script import Reply

if TYPE_CHECKING:
    from kaizen_otel import EvaluationInput
    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured


def _ask() -> Any:
    from kaizen.core.framework import Kaizen

    return Kaizen().create_agent("qa", {"model": "gpt-4o", "provider": "openai"}).execute(question="hi")


def _signed_agent() -> Any:
    from kaizen.core.base_agent import BaseAgent
    from kaizen.core.config import BaseAgentConfig
    from kaizen.signatures import InputField, OutputField, Signature

    class Sure(Signature):
        question: str = InputField(desc="q")
        answer: str = OutputField(desc="a")
        confidence: float = OutputField(desc="c")

    class Answerer(BaseAgent):
        pass

    return Answerer(config=BaseAgentConfig(llm_provider="openai", model="gpt-4o"), signature=Sure(), mcp_servers=[])


def test_an_answer_is_scored_by_its_form(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    _ask()

    assert len(kaizen_offline.requests) == 1
    assert kaizen_telemetry.span("invoke_agent")["kaizen.quality.score"] == 1.0
    (point,) = kaizen_telemetry.metrics()["kaizen.quality.score"]
    assert dict(point.attributes) == {"agent_name": "qa", "evaluation": "structural"}
    assert kaizen_telemetry.events == []


def test_a_truncated_answer_lowers_the_score_and_is_an_event(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    kaizen_offline.script([Reply(text="It was the best of", finish_reason="length")])
    _ask()

    agent = kaizen_telemetry.span("invoke_agent")
    assert agent["kaizen.quality.score"] < 1.0
    (event,) = kaizen_telemetry.events
    assert event.event_name == "gen_ai.evaluation.result"
    assert event.attributes["gen_ai.evaluation.name"] == "truncated"
    assert event.attributes["gen_ai.evaluation.score.label"] == "fail"
    assert event.attributes["kaizen.execution.id"] == agent["kaizen.execution.id"]
    assert f"{event.span_id:016x}" == agent.span_id


def test_confidence_and_missing_fields_come_from_the_signature(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    kaizen_offline.script([Reply.json({"answer": "42", "confidence": 0.9})])
    _signed_agent().run(question="?")

    agent = kaizen_telemetry.span("invoke_agent")
    assert agent["kaizen.confidence"] == 0.9
    assert agent["kaizen.quality.score"] == 1.0
    assert kaizen_telemetry.executions[0].confidence == 0.9


@pytest.mark.kaizen_otel(structural_quality=False)
def test_without_an_evaluator_there_is_no_quality(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    _ask()

    assert len(kaizen_offline.requests) == 1
    assert "kaizen.quality.score" not in kaizen_telemetry.span("invoke_agent").attributes
    assert kaizen_telemetry.executions[0].quality_score is None


async def polite(given: EvaluationInput) -> float:
    from kaizen.llm.client import LlmClient
    from kaizen.llm.deployment_resolver import resolve_deployment_for

    assert given.output_text
    client = LlmClient.from_deployment_sync(resolve_deployment_for("openai", "gpt-4o-mini"))
    await client.complete([{"role": "user", "content": "is this polite?"}])
    return 0.75


def concise(given: EvaluationInput) -> bool:
    return len(given.output_text or "") < 5_000


@pytest.mark.kaizen_otel(evaluators=(polite, concise))
def test_evaluators_run_off_the_path_and_their_calls_are_their_own(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    _ask()
    assert kaizen_telemetry.flush()

    assert len(kaizen_offline.requests) == 2
    results = {e.attributes["gen_ai.evaluation.name"]: e.attributes for e in kaizen_telemetry.events}
    assert results["polite"]["gen_ai.evaluation.score.value"] == 0.75
    assert results["concise"]["gen_ai.evaluation.score.label"] == "pass"
    assert [(call.agent_name, call.model) for call in kaizen_telemetry.calls] == [
        ("qa", "gpt-4o"),
        ("evaluator:polite", "gpt-4o-mini"),
    ]
    (execution,) = kaizen_telemetry.executions
    assert execution.model_calls == 1
    labels = {point.attributes["evaluation"] for point in kaizen_telemetry.metrics()["kaizen.quality.score"]}
    assert labels == {"structural", "polite", "concise"}


def test_an_evaluation_can_be_reported_later_by_execution_or_span(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    _ask()
    agent = kaizen_telemetry.span("invoke_agent")

    kaizen_otel.record_evaluation(
        "helpful", score=0.5, explanation="asked ann@example.com", execution_id=agent["kaizen.execution.id"]
    )
    kaizen_otel.record_evaluation("correct", label="pass", span=agent.raw.get_span_context())

    assert len(kaizen_offline.requests) == 1
    helpful, correct = kaizen_telemetry.events
    assert helpful.attributes["gen_ai.agent.name"] == correct.attributes["gen_ai.agent.name"] == "qa"
    assert helpful.attributes["gen_ai.evaluation.explanation"] == "asked [redacted:email]"
    assert f"{helpful.span_id:016x}" == f"{correct.span_id:016x}" == agent.span_id


@pytest.mark.usefixtures("kaizen_telemetry")
def test_an_evaluation_that_says_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="score, a label"):
        kaizen_otel.record_evaluation("empty")
    with pytest.raises(ValueError, match="score"):
        kaizen_otel.record_evaluation("wrong", score=1.5)


def test_business_figures_stand_on_the_execution(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    del kaizen_offline
    from kaizen_otel.invocations.agent import AgentRequest
    from kaizen_otel.patches.switch import active

    telemetry = active()
    assert telemetry is not None
    with telemetry.agent(lambda: AgentRequest("desk", None)):
        kaizen_otel.record_business_metrics(user_satisfaction=4.5, task_completion_rate=1.0, business_value_score=12)

    agent = kaizen_telemetry.span("invoke_agent desk")
    assert agent["kaizen.user_satisfaction"] == 4.5
    assert agent["kaizen.task_completion_rate"] == 1.0
    assert agent["kaizen.business_value_score"] == 12.0
    assert kaizen_telemetry.executions[0]["metadata"]["user_satisfaction"] == 4.5
    with pytest.raises(ValueError, match="user_satisfaction"):
        kaizen_otel.record_business_metrics(user_satisfaction=float("nan"))


def test_a_hanging_evaluator_holds_nobody_up(kaizen_offline: ModelServer) -> None:
    from kaizen_otel.testing import capture

    async def hang(_given: EvaluationInput) -> float:
        await asyncio.Event().wait()
        return 1.0

    with capture(evaluators=(hang, concise), evaluator_timeout_s=0.2) as captured:
        _ask()
        assert captured.flush()
        names = [event.attributes["gen_ai.evaluation.name"] for event in captured.events]
        dropped = kaizen_otel.stats()["evaluations_dropped"]
    assert len(kaizen_offline.requests) == 1
    assert names == ["concise"]
    assert dropped["timeout"] == 1


def test_a_confidence_that_is_none_is_counted(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    kaizen_offline.script([Reply.json({"answer": "42", "confidence": 7})])
    _signed_agent().run(question="?")

    assert "kaizen.confidence" not in kaizen_telemetry.span("invoke_agent").attributes
    assert kaizen_otel.stats()["evaluations_dropped"] == {"confidence_range": 1}


def test_json_that_was_asked_for_and_did_not_come_lowers_the_score(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from kaizen.core.framework import Kaizen

    kaizen_offline.script([Reply(text="no braces here")])
    config = {
        "model": "gpt-4o",
        "provider": "openai",
        "generation_config": {"response_format": {"type": "json_object"}},
    }
    Kaizen().create_agent("qa", config).execute(question="hi")

    assert [event.attributes["gen_ai.evaluation.name"] for event in kaizen_telemetry.events] == ["invalid_json"]
    assert kaizen_telemetry.span("chat")["gen_ai.output.type"] == "json"


def test_an_answer_that_kaizen_could_not_parse_is_marked_and_no_error(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    kaizen_offline.script([Reply(text="no braces here")])
    assert _signed_agent().run(question="hi")["error"] == "JSON_PARSE_FAILED"

    agent = kaizen_telemetry.span("invoke_agent")
    assert agent["kaizen.execution.status"] == "success"  # the model did answer, and the caller has the text
    assert agent["kaizen.quality.score"] < 1.0
    assert "invalid_json" in [event.attributes["gen_ai.evaluation.name"] for event in kaizen_telemetry.events]


def second_opinion(_: EvaluationInput) -> float:
    from kaizen.core.framework import Kaizen

    Kaizen().create_agent("judge", {"model": "gpt-4o-mini", "provider": "openai"}).execute(question="is it good?")
    return 0.5


@pytest.mark.kaizen_otel(evaluators=(second_opinion,))
def test_an_agent_that_an_evaluator_runs_is_the_evaluators_and_is_not_judged(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    _ask()
    assert kaizen_telemetry.flush()

    assert len(kaizen_offline.requests) == 2
    assert [one.agent_name for one in kaizen_telemetry.executions] == ["qa", "evaluator:second_opinion"]
    judged, judging = kaizen_telemetry.spans_named("invoke_agent")
    assert (judged["gen_ai.agent.name"], judged["kaizen.quality.score"]) == ("qa", 1.0)
    assert judging["gen_ai.agent.name"] == "evaluator:second_opinion"
    assert "kaizen.quality.score" not in judging.attributes
    (event,) = kaizen_telemetry.events
    assert event.attributes["kaizen.execution.id"] == judged["kaizen.execution.id"]
