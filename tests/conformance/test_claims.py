"""A claim of coverage is held to what was emitted: one that is not true is told."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from kaizen_otel.demo.model_server import Reply, ReplyUsage
from tests.conformance.claims import denied, watched
from tests.docs.coverage import CELLS, ERROR_BELOW, Row

if TYPE_CHECKING:
    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured

COMPLETE = "kaizen.llm.client:LlmClient.complete"
RUN = "kaizen.core.base_agent:BaseAgent.run"


@pytest.fixture
def server(kaizen_offline: ModelServer) -> ModelServer:
    kaizen_offline.script(lambda _: Reply.json({"answer": "x"}, usage=ReplyUsage(input_tokens=10, output_tokens=2)))
    return kaizen_offline


def chat() -> None:
    from tests.kaizen_otel.surfaces import scenes

    asyncio.run(scenes.llm_client().complete(scenes.MESSAGES))


def test_a_call_under_a_caller_shows_all_but_an_error(server: ModelServer, kaizen_telemetry: Captured) -> None:
    from tests.kaizen_otel.surfaces import scenes

    with watched({COMPLETE}) as watch:
        scenes.play_under_caller(kaizen_telemetry, chat)
    assert watch.missing(COMPLETE, CELLS) == ["error"]
    assert len(server.requests) == 1


@pytest.mark.usefixtures("server", "kaizen_telemetry")
def test_a_call_without_a_caller_shows_no_context() -> None:
    with watched({COMPLETE}) as watch:
        chat()
    assert watch.missing(COMPLETE, CELLS) == ["error", "context"]


def test_a_call_whose_answer_tells_no_usage_shows_neither_tokens_nor_cost(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    kaizen_offline.script(lambda _: Reply(text="hi", usage=None))
    with watched({COMPLETE}) as watch:
        chat()
    assert len(kaizen_telemetry.calls) == 1
    assert watch.missing(COMPLETE, ("traced", "tokens", "cost")) == ["tokens", "cost"]


def test_a_refused_call_shows_an_error(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    kaizen_offline.script(lambda _: Reply.unauthorized())
    with watched({COMPLETE}) as watch, pytest.raises(Exception, match="401"):
        chat()
    assert kaizen_telemetry.span("chat").status == "ERROR"
    assert watch.missing(COMPLETE, ("traced", "error")) == []


def test_a_span_of_what_a_method_calls_is_not_its_own(server: ModelServer, kaizen_telemetry: Captured) -> None:
    from tests.kaizen_otel.surfaces import scenes

    with watched({RUN}) as watch:
        scenes.play_under_caller(kaizen_telemetry, lambda: scenes.base_agent().run(question="x"))
    assert watch.missing(RUN, CELLS) == ["traced", "error"]
    assert len(server.requests) == 1


def test_a_failure_below_a_span_is_not_its_own(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    from kaizen_agents.patterns.patterns.parallel import ParallelPipeline

    from tests.kaizen_otel.surfaces import scenes

    pipeline = "kaizen_agents.patterns.patterns.parallel:ParallelPipeline.run"
    kaizen_offline.script(lambda _: Reply.unauthorized())
    with watched({pipeline}) as watch:
        group = ParallelPipeline([scenes.base_agent(agent_id="a")], aggregator=lambda answers: {"asked": len(answers)})
        scenes.play_under_caller(kaizen_telemetry, lambda: group.run(question="x"))
    assert watch.missing(pipeline, ("traced", "error", ERROR_BELOW)) == ["error"]


def test_what_begins_after_a_method_returned_is_not_its_own(server: ModelServer, kaizen_telemetry: Captured) -> None:
    from tests.kaizen_otel.surfaces import scenes

    compile_ = "kaizen.core.agents:Agent.compile_workflow"

    def scene() -> None:
        scenes.kaizen_agent().compile_workflow()
        chat()

    with watched({compile_}) as watch:
        scenes.play_under_caller(kaizen_telemetry, scene)
    assert watch.missing(compile_, CELLS) == list(CELLS)
    assert len(server.requests) == 1


def test_what_the_page_denies_is_told_when_it_is_seen(server: ModelServer, kaizen_telemetry: Captured) -> None:
    from tests.kaizen_otel.surfaces import scenes

    with watched({COMPLETE}) as watch:
        scenes.play_under_caller(kaizen_telemetry, chat)
    said = {"traced": "yes", "tokens": "n/a", "cost": "no", "error": "no", "context": "untested"}
    assert denied(watch, [COMPLETE], [Row(("kaizen.llm.*",), said, "")]) == {COMPLETE: ["cost", "tokens"]}
    assert denied(watch, [COMPLETE], []) == {}
    assert len(server.requests) == 1


@pytest.mark.usefixtures("server")
def test_without_us_nothing_is_shown() -> None:
    with watched({COMPLETE}) as watch:
        chat()
    assert watch.missing(COMPLETE, CELLS) == list(CELLS)


def test_a_method_that_never_ran_shows_nothing(kaizen_telemetry: Captured) -> None:
    with watched({COMPLETE}) as watch:
        pass
    assert kaizen_telemetry.spans == []
    assert watch.missing(COMPLETE, CELLS) == ["a run of it"]
