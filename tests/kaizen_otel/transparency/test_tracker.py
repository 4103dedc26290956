"""A tracked block is asked where its time went."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

import kaizen_otel
from kaizen_otel.demo.script import Reply
from kaizen_otel.testing import capture
from kaizen_otel.transparency import WorkflowTracker
from kaizen_otel.transparency.collector import MAX_SPANS, SpanCollector
from kaizen_processors.trace_tree import SpanNode
from tests.kaizen_otel.surfaces import scenes

if TYPE_CHECKING:
    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured


def run(workflow: object) -> None:
    from kailash.runtime.local import LocalRuntime

    with LocalRuntime() as runtime:
        runtime.execute(workflow)


def test_the_trace_has_every_span_in_the_order_of_the_tree(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    with WorkflowTracker().instrument() as instrumentation:
        scenes.base_agent(agent_id="qa").run(question="x")

    told = instrumentation.get_execution_trace()
    assert [(span["depth"], span["name"], span["status"]) for span in told["spans"]] == [
        (0, "invoke_agent qa", "success"),
        (1, "invoke_workflow", "success"),
        (2, "node LLMAgentNode", "success"),
        (3, "chat gpt-4o", "success"),
    ]
    agent, *_, chat = told["spans"]
    (execution,) = kaizen_telemetry.executions
    assert (agent["agent_name"], agent["execution_id"]) == ("qa", execution.execution_id)
    assert (chat["model"], chat["tokens_input"], chat["tokens_output"]) == ("gpt-4o", 100, 20)
    assert chat["cost_usd"] == pytest.approx(execution.cost_usd)
    assert 0 <= agent["start_ms"] <= chat["start_ms"]
    assert chat["duration_ms"] <= agent["duration_ms"] <= told["duration_ms"]
    assert (told["recorded"], told["spans_dropped"], told["status"]) == (True, 0, "success")
    assert told["metrics"]["tokens_consumed"] == 120
    assert len(kaizen_offline.requests) == 1


def test_nodes_are_named_by_their_keys(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    with WorkflowTracker().instrument() as instrumentation:
        run(scenes.workflow("SyncProbe", "llm"))
        run(scenes.workflow("FailingNode"))

    nodes = instrumentation.get_node_performance()
    assert {key: (figures["type"], figures["executions"], figures["errors"]) for key, figures in nodes.items()} == {
        "n0": ("SyncProbe", 2, 1),  # the key is the same in both workflows
        "n1": ("LLMAgentNode", 1, 0),
    }
    slowest = nodes["n1"]
    assert slowest["min_ms"] == slowest["max_ms"] == slowest["p95_ms"] == slowest["total_ms"] > slowest["self_ms"] > 0
    assert next(iter(nodes)) == "n1"
    assert len(kaizen_offline.requests) == 1
    assert len(kaizen_telemetry.executions) == 1


def test_an_agent_and_the_node_that_it_runs_under_its_own_name_are_one_run(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    agent = scenes.kaizen_agent("Guide")
    with WorkflowTracker().instrument() as instrumentation:
        agent.execute("x")
        agent.execute("y")

    spans = instrumentation.get_execution_trace()["spans"]
    assert [span["name"] for span in spans].count("node LLMAgentNode") == 2
    (node,) = instrumentation.get_node_performance().items()
    assert (node[0], node[1]["type"], node[1]["executions"]) == ("Guide", "agent", 2)
    whole_ms = sum(span["duration_ms"] for span in spans if span["name"] == "invoke_agent Guide")
    assert node[1]["total_ms"] == pytest.approx(whole_ms)
    assert (len(kaizen_offline.requests), len(kaizen_telemetry.executions)) == (2, 2)


def test_bottlenecks_are_what_the_block_waited_for(kaizen_offline: ModelServer) -> None:
    kaizen_offline.script([Reply(delay_s=0.4)])
    with capture(deterministic=False), WorkflowTracker().instrument("slow") as instrumentation:
        scenes.base_agent(agent_id="qa").run(question="x")

    first, *others = instrumentation.analyze_bottlenecks()
    assert (first["name"], first["calls"]) == ("chat gpt-4o", 1)
    assert first["waited_ms"] >= 400
    assert {one["name"] for one in others} <= {"trace slow", "invoke_agent qa", "invoke_workflow", "node LLMAgentNode"}
    assert sum(one["share"] for one in (first, *others)) == pytest.approx(1.0)
    assert len(instrumentation.analyze_bottlenecks(limit=2)) == 2


def test_what_ran_beside_the_block_is_not_in_it(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    agent = scenes.base_agent(agent_id="qa")
    with kaizen_telemetry.tracer_provider.get_tracer("app").start_as_current_span("caller"):
        agent.run(question="before")
        with WorkflowTracker().instrument() as instrumentation:
            pass
        agent.run(question="after")
    assert instrumentation.get_execution_trace()["spans"] == []
    assert instrumentation.trace.executions == 0
    assert len(kaizen_offline.requests) == 2


def test_inside_the_block_it_knows_what_has_ended(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    agent = scenes.base_agent(agent_id="qa")
    with WorkflowTracker().instrument() as instrumentation:
        assert instrumentation.get_execution_trace()["spans"] == []
        agent.run(question="one")
        assert len(instrumentation.get_execution_trace()["spans"]) == 4
        assert instrumentation.analyze_bottlenecks()
        agent.run(question="two")
    assert len(instrumentation.get_execution_trace()["spans"]) == 8
    assert len(kaizen_offline.requests) == 2
    assert len(kaizen_telemetry.executions) == 2


def test_resources_are_those_of_the_process() -> None:
    with WorkflowTracker().instrument() as instrumentation:
        sum(range(200_000))
    used = instrumentation.get_resource_utilization()
    assert used["wall_seconds"] > 0
    assert used["cpu_seconds"] > 0
    assert used["memory_start_mb"] > 10
    assert used["memory_end_mb"] > 10
    assert used["network_sent_bytes"] >= 0
    assert instrumentation.get_resource_utilization() == used


def test_spans_that_are_not_sampled_are_not_known_but_counted(kaizen_offline: ModelServer) -> None:
    with (
        capture(tracer_provider=TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)),
        WorkflowTracker().instrument() as instrumentation,
    ):
        scenes.base_agent(agent_id="qa").run(question="x")
    assert instrumentation.recorded is False
    assert instrumentation.analyze_bottlenecks() == []
    assert instrumentation.get_execution_trace()["spans"] == []
    assert instrumentation.get_execution_trace()["metrics"]["tokens_consumed"] == 120
    assert len(kaizen_offline.requests) == 1


def test_without_an_output_of_any_kind_spans_are_made_for_the_block(kaizen_offline: ModelServer) -> None:
    kaizen_otel.instrument()
    try:
        with WorkflowTracker().instrument() as instrumentation:
            scenes.base_agent(agent_id="qa").run(question="x")
        assert len(instrumentation.get_execution_trace()["spans"]) == 4
    finally:
        kaizen_otel.uninstrument()
    assert len(kaizen_offline.requests) == 1


def test_without_instrumentation_nothing_is_known() -> None:
    with WorkflowTracker().instrument() as instrumentation:
        pass
    assert instrumentation.recorded is False
    assert instrumentation.get_node_performance() == {}
    assert instrumentation.get_execution_trace()["status"] == "success"


def test_a_block_of_very_many_spans_keeps_the_first() -> None:
    collector = SpanCollector(7)
    provider = TracerProvider(shutdown_on_exit=False)
    tracer = provider.get_tracer("app")
    spans = [tracer.start_span("s") for _ in range(3)]
    collector._trace_id = spans[0].get_span_context().trace_id
    collector._nodes = [SpanNode("t", str(place), "s") for place in range(MAX_SPANS)]
    for span in spans:
        span.end()
        collector.on_span(span)  # type: ignore[arg-type]  # an SDK span is readable
    assert (len(collector._nodes), collector.dropped) == (MAX_SPANS, 1)
