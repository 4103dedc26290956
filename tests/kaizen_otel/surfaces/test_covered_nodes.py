"""What `docs/coverage.md` says of nodes that are run by hand, by a retry policy, or before a workflow's switches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.kaizen_otel.surfaces.covered import goes_well, well_and_refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured

RETRYING: dict[str, Any] = {
    "retry_policy_config": {"default_strategy": {"type": "fixed_delay", "max_attempts": 2, "delay": 0.0}}
}


# -- parts of a run -----------------------------------------------------------------------------------------------


def asking() -> Any:
    from kaizen.nodes.ai.llm_agent import LLMAgentNode

    from tests.kaizen_otel.surfaces import scenes

    return LLMAgentNode(name="n", **scenes.LLM_CONFIG)


async def by_hand() -> None:
    from kailash.runtime.local import LocalRuntime

    with LocalRuntime() as runtime:
        await runtime.execute_node_with_enterprise_features(asking(), "n", {})


def by_hand_blocking() -> None:
    from kailash.runtime.local import LocalRuntime

    with LocalRuntime() as runtime:
        runtime.execute_node_with_enterprise_features_sync(asking(), "n", {})


async def by_hand_in_a_running_loop() -> None:
    by_hand_blocking()


def before_switches() -> None:
    from kailash.runtime.local import LocalRuntime
    from kailash.workflow.builder import WorkflowBuilder

    from tests.kaizen_otel.surfaces import scenes

    builder = WorkflowBuilder()
    builder.add_node("LLMAgentNode", "ask", dict(scenes.LLM_CONFIG))
    for name, source, output in (("first", "ask", "response"), ("second", "first", "true_output")):
        builder.add_node("SwitchNode", name, {"condition_field": "model", "operator": "==", "value": scenes.MODEL})
        builder.add_connection(source, output, name, "input_data")
    with LocalRuntime(conditional_execution="skip_branches") as runtime:
        runtime.execute(builder.build())


PARTS: dict[str, Callable[[], Any]] = {
    "kailash.runtime.local:LocalRuntime.execute_node_with_enterprise_features": by_hand,
    "kailash.runtime.local:LocalRuntime.execute_node_with_enterprise_features_sync": by_hand_in_a_running_loop,
    "kailash.runtime.hierarchical_switch_executor:HierarchicalSwitchExecutor.execute_switches_hierarchically": (
        before_switches
    ),
}


@pytest.mark.covers_each("method", "tokens", "cost", "error", "context")
@pytest.mark.parametrize("method", PARTS)
def test_a_part_of_a_run(method: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    well_and_refused(PARTS[method], kaizen_offline, kaizen_telemetry)


def cycle_of(kind: str) -> Any:
    """A workflow that goes round once, with a node of this kind in it."""
    from kailash.workflow.builder import WorkflowBuilder

    builder = WorkflowBuilder()
    builder.add_node(kind, "n", {})
    builder.add_node("SyncProbe", "after", {})
    builder.add_connection("n", "result", "after", "before")
    workflow = builder.build()
    workflow.create_cycle("round").connect("after", "n", {"result": "before"}).max_iterations(1).build()
    return workflow


@pytest.mark.parametrize("failures", [1, 2])
def test_each_attempt_that_a_retry_policy_makes_of_an_awaited_node_is_a_span(
    failures: int, kaizen_telemetry: Captured
) -> None:
    from kailash.nodes.base import register_node
    from kailash.runtime.local import LocalRuntime

    from tests.kaizen_otel.surfaces import scenes

    tries = []

    @register_node()
    class Unsteady(scenes.AsyncProbe):
        async def async_run(self, **_: Any) -> dict[str, Any]:
            tries.append(self)
            if len(tries) <= failures:
                raise ConnectionError("gone")
            return {"result": []}

    def scene() -> Any:
        with LocalRuntime(**RETRYING) as runtime:
            return runtime.execute(cycle_of("Unsteady"))

    results, _ = scenes.play_under_caller(kaizen_telemetry, scene)

    assert (results["n"].success, results["n"].total_attempts) == (failures == 1, 2)
    first, second = kaizen_telemetry.spans_named("node Unsteady")
    assert (first.status, first["error.type"]) == ("ERROR", "ConnectionError")
    assert second.status == ("UNSET" if failures == 1 else "ERROR")
    run = kaizen_telemetry.span("invoke_workflow")
    assert (run.status, {first.parent_id, second.parent_id}) == (second.status, {run.span_id})
    assert run.attributes.get("error.type") == second.attributes.get("error.type")


# -- nodes with a way of their own --------------------------------------------------------------------------------


@pytest.mark.covers(
    "kaizen.nodes.compliance.gdpr:GDPRComplianceNode.execute_async", "traced", "tokens", "cost", "error", "context"
)
def test_a_node_that_lets_a_model_look_at_personal_data(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from kaizen.nodes.compliance.gdpr import GDPRComplianceNode

    async def scene() -> None:
        node = GDPRComplianceNode(ai_model="gpt-4o")
        await node.execute_async(action="check_compliance", data_type="x", data={"email": "ada@example.com"})
        await node.execute_async(action="nothing")

    goes_well(scene, kaizen_offline, kaizen_telemetry)
    looked, refused = kaizen_telemetry.spans_named("node GDPRComplianceNode")
    assert (looked.status, refused["error.type"]) == ("UNSET", "node_error")
    assert refused.status_message == "Unknown action: nothing"
    assert kaizen_telemetry.span("invoke_agent").parent_id == looked.span_id


@pytest.mark.covers(
    "kaizen.nodes.security.ai_behavior_analysis:AIBehaviorAnalysisNode.execute", "traced", "error", "context"
)
@pytest.mark.covers(
    "kaizen.nodes.security.ai_threat_detection:AIThreatDetectionNode.execute", "traced", "error", "context"
)
def test_nodes_that_analyze_events_tell_the_error_that_they_return(kaizen_telemetry: Captured) -> None:
    # Either lacks its `name` and never comes to ask a model (2.46).
    from kaizen.nodes.security.ai_behavior_analysis import AIBehaviorAnalysisNode
    from kaizen.nodes.security.ai_threat_detection import AIThreatDetectionNode

    from tests.kaizen_otel.surfaces import scenes

    def scene() -> list[str]:
        nodes = (AIBehaviorAnalysisNode(model="gpt-4o"), AIThreatDetectionNode(model="gpt-4o"))
        return [node.execute({"user_id": "u", "events": []})["error"] for node in nodes]

    errors = scenes.play_under_caller(kaizen_telemetry, scene)

    assert all("has no attribute 'name'" in error for error in errors)
    told = kaizen_telemetry.spans_named("node")
    assert [(span["error.type"], span.status_message) for span in told] == [("node_error", error) for error in errors]
