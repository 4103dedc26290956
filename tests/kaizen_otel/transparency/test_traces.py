"""Named blocks of the application: counted while they run, a span when they have ended."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

import kaizen_otel
from kaizen_otel.demo.script import Reply, ReplyError
from kaizen_otel.testing import capture
from kaizen_otel.transparency import ExecutionTrace, WorkflowMonitor
from tests.kaizen_otel.surfaces import scenes

if TYPE_CHECKING:
    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured

ONE_CALL = {"executions": 1, "model_calls": 1, "tokens_input": 100, "tokens_output": 20, "tokens_consumed": 120}


def test_a_trace_is_a_span_around_what_runs_inside(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    monitor = WorkflowMonitor()
    with monitor.trace("customer_service_workflow") as trace:
        scenes.base_agent(agent_id="qa").run(question="Where is my order?")

    assert kaizen_telemetry.tree() == (
        "trace customer_service_workflow\n"
        "  invoke_agent qa\n"
        "    invoke_workflow\n"
        "      node LLMAgentNode\n"
        "        chat gpt-4o"
    )
    span = kaizen_telemetry.span("trace customer_service_workflow")
    (execution,) = kaizen_telemetry.executions
    assert span["kaizen.trace.executions"] == 1
    assert span["kaizen.execution.total.input_tokens"] == 100
    assert span["kaizen.execution.total.cost.amount"] == execution.cost_usd > 0
    assert span["kaizen.execution.cost.complete"] is True
    assert trace.execution_ids == (execution.execution_id,)
    assert trace.trace_id == span.trace_id
    assert trace.status == "success"
    assert len(kaizen_offline.requests) == 1


def test_its_figures_are_live_as_attributes_and_as_keys(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    agent = scenes.base_agent(agent_id="qa")
    with ExecutionTrace("work") as trace:
        before = trace.get_current_metrics()
        agent.run(question="one")
        after = trace.get_current_metrics()
        assert trace.status == "running"
        agent.run(question="two")

    assert (before.executions, before.tokens_consumed, before.estimated_cost) == (0, 0, 0.0)
    assert {key: after[key] for key in ONE_CALL} == ONE_CALL
    assert after.estimated_cost == after["estimated_cost"] == kaizen_telemetry.executions[0].cost_usd
    assert trace.tokens_consumed == trace["tokens_consumed"] == 240
    assert trace.execution_time == trace["execution_time"] == trace.duration_ms > after.execution_time > 0
    assert dict(trace)["executions"] == 2
    assert dict(after).keys() >= ONE_CALL.keys()
    assert len(kaizen_offline.requests) == 2


def test_events_are_on_the_span_and_in_the_trace(kaizen_telemetry: Captured) -> None:
    with ExecutionTrace("work") as trace:
        trace.add_event("escalated", "to the second level", {"level": 2})
        trace.add_event("done")
    (span,) = kaizen_telemetry.spans
    assert [(event.name, dict(event.attributes or {})) for event in span.raw.events] == [
        ("escalated", {"description": "to the second level", "level": 2}),
        ("done", {}),
    ]
    assert [(event.event_type, event.description, event.metadata) for event in trace.events] == [
        ("escalated", "to the second level", {"level": 2}),
        ("done", None, {}),
    ]
    assert trace.events[0].timestamp.tzinfo is UTC
    assert trace.get_current_metrics()["events_count"] == 2
    with pytest.raises(TypeError, match="event's type must be text"):
        trace.add_event(7)  # type: ignore[arg-type]


def test_a_report_about_a_trace_is_about_the_execution_inside_it(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    with ExecutionTrace("work") as trace:
        own_id = trace.execution_id
        scenes.base_agent(agent_id="qa").run(question="x")
        assert trace.execution_id == kaizen_telemetry.executions[0].execution_id != own_id
    assert len(kaizen_offline.requests) == 1


def test_what_an_error_does_to_a_trace(kaizen_telemetry: Captured) -> None:
    failed, cancelled = ExecutionTrace("failed"), ExecutionTrace("cancelled")
    with pytest.raises(KeyError), failed:
        raise KeyError("no order")
    with pytest.raises(asyncio.CancelledError), cancelled:
        raise asyncio.CancelledError
    assert (failed.status, cancelled.status) == ("error", "cancelled")
    assert [(span.name, span.status, span.attributes.get("error.type")) for span in kaizen_telemetry.spans] == [
        ("trace failed", "ERROR", "KeyError"),
        ("trace cancelled", "UNSET", None),
    ]


def test_a_call_of_unknown_cost_makes_the_cost_a_lower_bound(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from kaizen_otel.demo.script import Reply

    kaizen_offline.script([Reply(usage=None)])
    with ExecutionTrace("work") as trace:
        asyncio.run(scenes.llm_client().complete(scenes.MESSAGES))
    assert trace.cost_complete is False
    assert kaizen_telemetry.span("trace work")["kaizen.execution.cost.complete"] is False
    assert trace.executions == 0  # a model call with no agent above it is none


def test_traces_may_nest_and_threads_of_kaizen_stay_inside(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    with ExecutionTrace("outer") as outer:
        scenes.kaizen_agent("first").execute(question="one")
        with ExecutionTrace("inner") as inner:
            scenes.kaizen_agent("second").execute(question="two")
    assert (outer.model_calls, inner.model_calls) == (2, 1)
    assert kaizen_telemetry.span("trace inner").parent_id == kaizen_telemetry.span("trace outer").span_id
    assert len(kaizen_offline.requests) == 2


def test_what_is_not_sampled_is_counted_all_the_same(kaizen_offline: ModelServer) -> None:
    with capture(tracer_provider=TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)):
        with ExecutionTrace("work") as trace:
            scenes.base_agent(agent_id="qa").run(question="one")
            trace.add_event("seen")
        assert (trace.executions, trace.tokens_consumed) == (1, 120)
    assert len(kaizen_offline.requests) == 1


def test_without_instrumentation_the_block_runs_and_nothing_is_counted() -> None:
    with ExecutionTrace("work") as trace:
        trace.add_event("seen")
    assert (trace.status, trace.trace_id, trace.executions, trace.estimated_cost) == ("success", None, 0, 0.0)
    assert [event.event_type for event in trace.events] == ["seen"]
    assert isinstance(trace.start_time, datetime)


def test_a_monitor_remembers_the_last_traces() -> None:
    monitor = WorkflowMonitor()
    for number in range(120):
        with monitor.trace("even" if number % 2 == 0 else "odd"):
            pass
    assert len(monitor.get_traces()) == 100
    assert {trace.name for trace in monitor.get_traces("odd")} == {"odd"}
    assert len(monitor.get_traces("odd")) == 50


@pytest.mark.parametrize(("name", "error"), [(7, TypeError), (None, TypeError), ("", ValueError)])
def test_a_name_is_text(name: object, error: type[Exception]) -> None:
    with pytest.raises(error, match="name must"):
        ExecutionTrace(name)  # type: ignore[arg-type]


def test_a_trace_is_one_block() -> None:
    trace = ExecutionTrace("work")
    assert (trace.status, trace.duration_ms) == (None, 0.0)
    with trace:
        pass
    with pytest.raises(RuntimeError, match="entered before"), trace:
        pass
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        trace.nothing  # noqa: B018 - the access is the test
    with pytest.raises(KeyError):
        trace["nothing"]


def test_a_trace_carries_what_the_application_said_around_it(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from kaizen.llm.errors import ProviderError

    kaizen_offline.script([Reply(status=400, error=ReplyError("no", "invalid_request_error"))])
    said = kaizen_otel.attributes(user_id="u-1", session_id="s-1", conversation_id="c-1", tags=["beta"])
    with said, pytest.raises(ProviderError), WorkflowMonitor().trace("desk"):
        asyncio.run(scenes.llm_client().complete(scenes.MESSAGES))

    span = kaizen_telemetry.span("trace desk")
    assert (span["user.id"], span["session.id"], span["gen_ai.conversation.id"]) == ("u-1", "s-1", "c-1")
    assert span["kaizen.tags"] == ("beta",)
    assert (span.status, span["http.response.status_code"]) == ("ERROR", 400)


# -- as dictionaries ---------------------------------------------------------------------------------------------------


def test_what_a_trace_knows_is_one_dictionary_of_plain_values(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    transparency = kaizen_otel.get_transparency_interface()
    monitor = WorkflowMonitor(transparency)
    assert monitor.transparency is transparency
    assert transparency.create_workflow_monitor().transparency is transparency
    trace = monitor.trace(execution_name="work")
    assert trace.trace_data == {}
    with trace:
        trace.add_event("asked", "a customer", {"channel": "web"})
        running = trace.trace_data
        scenes.base_agent(agent_id="qa").run(question="x")

    assert not {"end_time", "success", "error"} & set(running)
    told = json.loads(json.dumps(trace.trace_data))
    (execution,) = kaizen_telemetry.executions
    assert (told["execution_id"], told["execution_name"]) == (execution.execution_id, trace.execution_name)
    assert (told["success"], told["error"], told["status"], told["trace_id"]) == (True, None, "success", trace.trace_id)
    assert told["end_time"] - told["start_time"] == pytest.approx(told["duration_ms"] / 1_000, abs=1e-6)
    assert {key: told[key] for key in ONE_CALL} == ONE_CALL
    (event,) = told["events"]
    assert told["start_time"] <= event.pop("timestamp") <= told["end_time"]
    assert event == {"event_type": "asked", "description": "a customer", "metadata": {"channel": "web"}}
    assert monitor.execution_traces == {execution.execution_id: trace.trace_data}
    assert len(kaizen_offline.requests) == 1


def test_a_trace_of_an_error_says_which() -> None:
    monitor = WorkflowMonitor()
    with pytest.raises(KeyError), monitor.trace("work") as trace:
        raise KeyError("no such order")
    assert (trace.trace_data["success"], trace.trace_data["error"]) == (False, "'no such order'")
    assert monitor.execution_traces[trace.execution_id]["status"] == "error"


def test_a_monitor_keeps_the_last_hundred_that_it_was_told_of() -> None:
    monitor = WorkflowMonitor()
    for number in range(150):
        monitor.record_trace({"execution_id": f"theirs-{number}", "success": True})
    assert list(monitor.execution_traces) == [f"theirs-{number}" for number in range(50, 150)]
    assert monitor.get_traces() == []
    with pytest.raises(ValueError, match="must have an execution_id"):
        monitor.record_trace({"execution_name": "work"})


def test_of_a_block_in_a_block_the_outer_one_has_the_entry(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    monitor = WorkflowMonitor()
    with monitor.trace("outer"), monitor.trace("inner"):
        scenes.base_agent(agent_id="qa").run(question="x")
    (data,) = monitor.execution_traces.values()
    assert data["execution_name"] == "outer"
    assert [trace.name for trace in monitor.get_traces()] == ["inner", "outer"]
    assert len(kaizen_offline.requests) == len(kaizen_telemetry.executions) == 1
