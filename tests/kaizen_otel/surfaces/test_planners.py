"""kaizen_agents' planners: the agents that they make, or ask again and again, and the runs that those belong to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kaizen_otel.demo.model_server import Reply, Rule
from kaizen_otel.testing import capture
from tests.kaizen_otel.surfaces.test_own_runs import USAGE, in_caller
from tests.versions.capabilities import needs

if TYPE_CHECKING:
    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured

pytestmark = [
    needs("delegate"),
    pytest.mark.usefixtures("forgotten_clients"),
    pytest.mark.filterwarnings("ignore:.* is deprecated since v0.9.0:DeprecationWarning"),  # their own agents, in 0.13
    # What the planner's own configuration says (0.13); as an error it would be the planner's.
    pytest.mark.filterwarnings("ignore:provider_config with 'type' key is deprecated:DeprecationWarning"),
]


def planning() -> Any:
    from kaizen_agents.agents.specialized.planning import PlanningAgent

    return PlanningAgent(llm_provider="openai", model="gpt-4o", mcp_servers=[])


@pytest.mark.covers(
    "kaizen_agents.agents.specialized.planning:PlanningAgent.run", "traced", "tokens", "cost", "context"
)
def test_a_planner_and_the_agent_that_it_makes_for_a_plan_are_one_execution(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    kaizen_offline.script(
        lambda _: Reply.json({"plan": [{"step": 1, "action": "look", "description": "around"}]}, usage=USAGE)
    )

    result = in_caller(kaizen_telemetry, lambda: planning().run(task="look around"))

    assert result["validation_result"] == {"status": "valid"}
    (execution,) = kaizen_telemetry.executions
    assert (execution.agent_name, execution.status, execution.model_calls) == ("PlanningAgent", "success", 1)
    assert execution.tokens_input == 1_000
    assert execution.cost_usd == pytest.approx(0.0035)
    assert kaizen_telemetry.tree() == (
        "caller\n  invoke_agent PlanningAgent\n    invoke_workflow\n      node LLMAgentNode\n        chat gpt-4o"
    )


@pytest.mark.covers("kaizen_agents.agents.specialized.planning:PlanningAgent.run", "error")
def test_a_planner_whose_model_refuses_is_an_error_though_it_answers_with_an_empty_plan(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    kaizen_offline.script([Rule(replies=Reply(status=401))])

    result = in_caller(kaizen_telemetry, lambda: planning().run(task="look around"))

    assert "error" not in result
    (execution,) = kaizen_telemetry.executions
    assert (execution.status, execution.model_calls) == ("error", 2)  # it plans once more
    assert kaizen_telemetry.span("invoke_agent")["error.type"] == "kaizen.llm.errors.ProviderError"


def test_a_planner_without_a_task_says_what_is_wrong(kaizen_telemetry: Captured) -> None:
    planning().run(task=" ")
    agent = kaizen_telemetry.span("invoke_agent PlanningAgent")
    assert (agent.status, agent["error.type"]) == ("ERROR", "INVALID_INPUT")


def test_of_a_planner_made_before_each_plan_is_the_execution(kaizen_offline: ModelServer) -> None:
    # Kaizen keeps the `run` of an agent when it is made (2.46).
    steps = [{"step": 1, "action": "look", "description": "around"}]
    refused, planned = Reply.json({"plan": []}, usage=USAGE), Reply.json({"plan": steps}, usage=USAGE)
    kaizen_offline.script([Rule(replies=[planned, refused, planned])])
    planner = planning()

    with capture() as captured:
        result = planner.run(task="look around")
        assert result["plan"] == steps
        (execution,) = captured.executions
        assert (execution.agent_name, execution.status, execution.model_calls) == ("PlanningAgent", "success", 1)
        assert execution.cost_usd == pytest.approx(0.0035)
        assert captured.tree() == (
            "invoke_agent PlanningAgent\n  invoke_workflow\n    node LLMAgentNode\n      chat gpt-4o"
        )
        planner.run(task="look around")  # which plans once more where a plan is empty
        assert [one.agent_name for one in captured.executions] == ["PlanningAgent"] * 3
    assert len(kaizen_offline.requests) == 3


def test_a_planner_made_before_whose_model_refuses_is_an_error(kaizen_offline: ModelServer) -> None:
    kaizen_offline.script([Rule(replies=Reply(status=401))])
    planner = planning()
    with capture() as captured:
        planner.run(task="look around")
        told = {(execution.agent_name, execution.status) for execution in captured.executions}
        assert told == {("PlanningAgent", "error")}
        errors = {span["error.type"] for span in captured.spans if span.name.startswith("invoke_agent")}
    assert errors == {"kaizen.llm.errors.ProviderError"}


def thinking() -> Any:
    from kaizen_agents.agents.specialized.tree_of_thoughts import ToTAgent

    return ToTAgent(llm_provider="openai", model="gpt-4o", num_paths=2, mcp_servers=[])


@pytest.mark.covers("kaizen_agents.agents.specialized.tree_of_thoughts:ToTAgent.run", "tokens", "cost", "context")
def test_each_path_of_a_tree_of_thoughts_is_an_execution(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    kaizen_offline.script(lambda _: Reply.json({"paths": "a", "evaluations": "b"}, usage=USAGE))
    in_caller(kaizen_telemetry, lambda: thinking().run(task="look around"))

    names = [execution.agent_name for execution in kaizen_telemetry.executions]
    assert names == ["ToTAgent"] * len(kaizen_offline.requests)
    assert len(names) >= 2


@pytest.mark.covers("kaizen_agents.agents.specialized.tree_of_thoughts:ToTAgent.run", "error")
def test_a_tree_of_thoughts_whose_model_refuses_has_failed_executions(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    kaizen_offline.script([Rule(replies=Reply(status=401))])
    in_caller(kaizen_telemetry, lambda: thinking().run(task="look around"))
    assert {execution.status for execution in kaizen_telemetry.executions} == {"error"}
