"""Names of executions that are nodes of a workflow: what Kaizen generates anew each time is no part of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kaizen_otel.demo.model_server import Reply
from tests.versions.capabilities import needs

if TYPE_CHECKING:
    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured

# As in test_patterns.
pytestmark = [
    needs("delegate"),
    pytest.mark.usefixtures("forgotten_clients", "no_own_mcp_servers"),
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:Instance-based API usage detected:UserWarning"),
]


def template(kind: str, **config: Any) -> Any:
    """The workflow of one of kaizen_agents' templates."""
    from tests.kaizen_otel.surfaces import test_patterns as patterns

    kaizen, _ = patterns.enterprise()
    return kaizen.create_enterprise_workflow(kind, config)


@pytest.mark.parametrize(
    ("kind", "config", "name"),
    [
        ("approval", {"approval_levels": ["head"]}, "approval_head"),
        ("customer_service", {"routing_rules": "round_robin", "escalation_levels": ["tier1"]}, "service_tier1"),
    ],
)
def test_the_id_of_a_template_is_no_part_of_its_nodes_names(
    kind: str, config: dict[str, Any], name: str, kaizen_telemetry: Captured
) -> None:
    # Its agents lack their provider, and are refused (2.45): executions all the same.
    keys = []
    for _ in range(2):
        made = template(kind, **config)
        made.execute()
        keys.append(f"{name}_{made.workflow_id[:8]}")

    assert [one.agent_name for one in kaizen_telemetry.executions] == [name] * 2
    assert [span["kaizen.node.id"] for span in kaizen_telemetry.spans_named(f"invoke_agent {name}")] == keys


@pytest.mark.parametrize("first", ["initial_data", "initial_data_0123abcd"])
def test_an_applications_own_key_is_left_as_it_is(
    first: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from kailash.runtime.local import LocalRuntime
    from kailash.workflow.builder import WorkflowBuilder

    from tests.kaizen_otel.surfaces import scenes

    kaizen_offline.script(lambda _: Reply(text="Paris."))
    builder = WorkflowBuilder()
    for key in ("release_deadbeef", "agent_0_a"):
        builder.add_node("LLMAgentNode", key, dict(scenes.LLM_CONFIG))
    builder.add_node("PythonCodeNode", first, {"code": "result = 1"})
    with LocalRuntime() as runtime:
        runtime.execute(builder.build())

    assert {one.agent_name for one in kaizen_telemetry.executions} == {"release_deadbeef", "agent_0_a"}
