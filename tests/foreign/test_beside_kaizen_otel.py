"""Recorded spans of other libraries on a provider that kaizen-otel has joined."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import kaizen_otel
from kaizen_otel.invocations.agent import AgentInvocation, AgentRequest
from kaizen_otel.invocations.call import CallInvocation, CallRequest
from kaizen_otel.invocations.scope import EvaluatorScope, attach, detach, with_scope
from kaizen_otel.patches.switch import active
from tests.foreign.replay import LIBRARIES, replay, replayed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from opentelemetry.sdk.metrics.export import NumberDataPoint

    from kaizen_otel.telemetry import Telemetry


class _Application:
    """An application with a provider of its own, beside which other instrumentations run."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        meters = MeterProvider([self.reader], shutdown_on_exit=False)
        kaizen_otel.instrument(tracer_provider=self.provider, meter_provider=meters)

    @property
    def telemetry(self) -> Telemetry:
        telemetry = active()
        assert telemetry is not None
        return telemetry

    def agent(self, name: str) -> AbstractContextManager[AgentInvocation]:
        return cast("AgentInvocation", self.telemetry.agent(lambda: AgentRequest(name, None)))

    def our_call(self) -> AbstractContextManager[CallInvocation]:
        return cast("CallInvocation", self.telemetry.call(lambda: CallRequest("chat", "openai", "gpt-4o")))

    def counted(self) -> dict[tuple[str, str], int]:
        assert kaizen_otel.stats()["failures"] == {}
        return {key: sums["model_calls"] for key, sums in kaizen_otel.stats()["calls"].items()}

    def spans(self, name: str) -> list[dict[str, Any]]:
        return [dict(span.attributes or {}) for span in self.exporter.get_finished_spans() if span.name == name]

    def points(self, metric: str) -> dict[tuple[Any, ...], float]:
        data = self.reader.get_metrics_data()
        assert data is not None
        found = [
            one
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for one in scope.metrics
            if one.name == metric
        ]
        points = [cast("NumberDataPoint", point) for one in found for point in one.data.data_points]
        return {tuple((point.attributes or {}).values()): point.value for point in points}


@pytest.fixture
def application() -> Iterator[_Application]:
    assert active() is None
    yield _Application()
    kaizen_otel.uninstrument()


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_call_in_an_agents_run_is_that_agents(application: _Application, library: str) -> None:
    with application.agent("researcher"):
        replay(application.provider, library)

    assert application.counted() == {("researcher", "gpt-4o"): 1}
    (agent,) = application.spans("invoke_agent researcher")
    assert agent["kaizen.execution.model_calls"] == 1
    assert agent["kaizen.execution.own.input_tokens"] == 1200
    assert agent["kaizen.execution.own.output_tokens"] == 300
    assert agent["kaizen.execution.own.cost.amount"] > 0
    assert agent["kaizen.execution.cost.complete"] is True


def test_own_and_total_hold_it_where_it_belongs(application: _Application) -> None:
    with application.agent("supervisor"), application.agent("researcher"):
        replay(application.provider, "openinference")

    assert application.counted() == {("researcher", "gpt-4o"): 1}
    (supervisor,) = application.spans("invoke_agent supervisor")
    assert supervisor["kaizen.execution.own.input_tokens"] == 0
    assert supervisor["kaizen.execution.total.input_tokens"] == 1200


def test_a_call_without_an_agent_is_accounted_to_none_and_measured(application: _Application) -> None:
    with kaizen_otel.measure() as measured:
        replay(application.provider, "genai-openai")

    assert application.counted() == {("none", "gpt-4o"): 1}
    assert (measured.model_calls, measured.input_tokens, measured.output_tokens) == (1, 1200, 300)


def test_the_counters_hold_it(application: _Application) -> None:
    with application.agent("researcher"):
        replay(application.provider, "genai-openai")

    assert application.points("kaizen.cost.usd") == {("researcher", "gpt-4o"): 0.00472}
    assert application.points("kaizen.tokens.consumed") == {
        ("researcher", "gpt-4o", "input"): 1200,
        ("researcher", "gpt-4o", "output"): 300,
    }


def test_a_call_without_usage_makes_the_cost_incomplete(application: _Application) -> None:
    with application.agent("researcher"):
        replay(application.provider, "traceloop", "chat_stream_without_usage")

    (agent,) = application.spans("invoke_agent researcher")
    assert agent["kaizen.execution.cost.complete"] is False
    assert kaizen_otel.stats()["missing"] == {("gpt-4o", "usage"): 1}


@pytest.mark.parametrize("library", LIBRARIES)
def test_their_span_below_our_call_is_our_call(application: _Application, library: str) -> None:
    with application.agent("researcher"), application.our_call() as call:
        replay(application.provider, library)
        call.usage.input_tokens, call.usage.output_tokens = 10, 1

    assert application.counted() == {("researcher", "gpt-4o"): 1}
    assert kaizen_otel.stats()["calls"]["researcher", "gpt-4o"]["input_tokens"] == 10
    (agent,) = application.spans("invoke_agent researcher")
    assert agent["kaizen.execution.own.input_tokens"] == 10


@pytest.mark.parametrize("library", LIBRARIES)
def test_our_call_below_their_span_is_their_call(application: _Application, library: str) -> None:
    tracer = application.provider.get_tracer("the application's")
    with (
        replayed(application.provider, library),
        tracer.start_as_current_span("between"),
        application.agent("researcher"),
        application.our_call() as call,
    ):
        call.usage.input_tokens, call.usage.output_tokens = 10, 1

    assert application.counted() == {("researcher", "gpt-4o"): 1}


def test_our_call_takes_the_place_of_theirs_also_without_a_span_of_its_own(application: _Application) -> None:
    telemetry = application.telemetry
    with replayed(application.provider, "genai-openai"):
        telemetry.providers.tracer = None
        telemetry.providers.settled = True
        with application.our_call():
            pass

    assert application.counted() == {("none", "gpt-4o"): 1}


def test_their_next_call_counts_again(application: _Application) -> None:
    with application.agent("researcher"):
        with application.our_call():
            replay(application.provider, "openai-v2")
        replay(application.provider, "openai-v2")

    assert application.counted() == {("researcher", "gpt-4o"): 2}


def test_a_call_in_the_context_of_an_ended_call_of_ours_counts(application: _Application) -> None:
    with application.agent("researcher"):
        with application.our_call() as call:
            outlives_the_call = call.context()  # as that of a task started in it does
        attached = attach(outlives_the_call)
        replay(application.provider, "openai-v2")
        detach(attached)

    assert application.counted() == {("researcher", "gpt-4o"): 2}


def test_an_agent_inside_a_model_call_has_calls_of_its_own(application: _Application) -> None:
    with application.our_call(), application.agent("researcher"):
        replay(application.provider, "openai-v2")

    assert application.counted() == {("researcher", "gpt-4o"): 1, ("none", "gpt-4o"): 1}


def test_an_evaluators_call_is_the_evaluators(application: _Application) -> None:
    with application.agent("researcher"):
        attached = attach(with_scope(EvaluatorScope("evaluator:tone")))
        replay(application.provider, "openinference")
        detach(attached)

    assert application.counted() == {("evaluator:tone", "gpt-4o"): 1}


def test_below_an_agent_that_is_not_monitored_nothing_counts(application: _Application) -> None:
    application.telemetry.settings_desk.agent_created("silent", {"transparency": {"monitoring_level": "off"}})
    with application.agent("silent"), kaizen_otel.measure():
        replay(application.provider, "openinference")

    assert application.counted() == {}


def test_an_uninstrumented_application_is_left_alone(application: _Application) -> None:
    telemetry = application.telemetry
    kaizen_otel.uninstrument()

    replay(application.provider, "genai-openai")

    assert telemetry.ledger.snapshot().calls == {}
    assert len(application.exporter.get_finished_spans()) == 1
