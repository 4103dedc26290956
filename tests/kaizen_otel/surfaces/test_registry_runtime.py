"""kaizen_agents' runtime with a registry of agents: what one call of it starts is one tree, with the agents' names."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from kaizen_otel.demo.model_server import Reply
from tests.kaizen_otel.surfaces.covered import JUDGED
from tests.versions.capabilities import needs

if TYPE_CHECKING:
    from collections.abc import Callable

    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured

# As in test_patterns.
pytestmark = [
    needs("delegate"),
    pytest.mark.usefixtures("forgotten_clients", "no_own_mcp_servers"),
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]

GROUP = "invoke_workflow OrchestrationRuntime"


def registered(use: Callable[[Any], Any], *agents: Any) -> Any:
    """What comes of the use of a runtime that knows these agents, with no span around."""
    from kaizen_agents.patterns.runtime import OrchestrationRuntime, RetryPolicy

    async def scene() -> Any:
        runtime = OrchestrationRuntime()
        runtime.config.retry_policy = RetryPolicy(max_retries=2, initial_delay=0.0)
        await runtime.start()
        try:
            for agent in agents:
                await runtime.register_agent(agent)
            return await use(runtime)
        finally:
            await runtime.shutdown()

    return asyncio.run(scene())


def agent(agent_id: str | None = None) -> Any:
    from tests.kaizen_otel.surfaces import scenes

    return scenes.base_agent(agent_id=agent_id, use_async_llm=True)


async def three_tasks(runtime: Any) -> Any:
    return await runtime.execute_multi_agent_workflow(["x", "y", "z"], routing_strategy="round-robin")


@pytest.mark.covers(
    "kaizen_agents.patterns.runtime:OrchestrationRuntime.execute_multi_agent_workflow", "traced", "tokens", "cost"
)
def test_tasks_are_one_group_of_executions_with_their_agents_names(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    kaizen_offline.script(lambda _: Reply.json({"answer": "Paris."}))

    assert registered(three_tasks, agent("a"), agent())["completed_tasks"] == 3

    # Kaizen's keys have the place of the task in them, and the address of an agent that nobody named.
    assert {one.agent_name for one in kaizen_telemetry.executions} == {"a", "BaseAgent"}
    assert kaizen_telemetry.tree().splitlines()[:3] == [GROUP, "  invoke_workflow", "    invoke_agent a"]
    keys = {span["kaizen.node.id"] for span in kaizen_telemetry.spans_named("invoke_agent a")}
    assert keys == {"agent_0_a", "agent_2_a"}
    assert len({span.trace_id for span in kaizen_telemetry.spans}) == 1


@pytest.mark.covers("kaizen_agents.patterns.runtime:OrchestrationRuntime.execute_multi_agent_workflow", "error")
def test_tasks_none_of_which_is_carried_out_are_an_error(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    kaizen_offline.script(lambda _: Reply.unauthorized())

    registered(three_tasks, agent("a"))

    group = kaizen_telemetry.span(GROUP)
    assert (group.status, group["error.type"]) == ("ERROR", "kaizen.llm.errors.ProviderError")


def test_tasks_that_no_agent_is_there_for_are_an_error(kaizen_telemetry: Captured) -> None:
    assert registered(three_tasks)["failed_tasks"] == 3
    assert kaizen_telemetry.span(GROUP)["error.type"] == "unsuccessful"


@pytest.mark.covers("kaizen_agents.patterns.runtime:OrchestrationRuntime.execute_task", "traced", "error")
def test_each_attempt_at_a_task_is_in_its_group(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    kaizen_offline.script(lambda _: Reply.unauthorized())
    refused = agent("a")

    async def run(**inputs: Any) -> Any:
        raise LookupError((await refused.run_async(**inputs))["error"])

    refused.run = run  # it awaits what `run` returns, of every agent (0.13)

    with pytest.raises(LookupError):
        registered(lambda runtime: runtime.execute_task("a", {"question": "x"}), refused)

    (group,) = [span for span in kaizen_telemetry.spans if span.parent_id is None]
    assert (group.name, group.status) == (GROUP, "ERROR")
    assert [(one.agent_name, one.status) for one in kaizen_telemetry.executions] == [("a", "error")] * 2


@pytest.mark.covers("kaizen_agents.patterns.runtime:OrchestrationRuntime.route_task", "traced", "tokens")
def test_a_choice_by_a_model_is_a_group(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEFAULT_LLM_MODEL", "gpt-4o")
    kaizen_offline.script(lambda _: Reply.json({**JUDGED, "matches": True}))

    registered(lambda runtime: runtime.route_task("choose one of two"), agent("a"), agent("b"))

    assert kaizen_telemetry.executions
    assert [span.name for span in kaizen_telemetry.spans if span.parent_id is None] == [GROUP]


def test_a_choice_that_asks_nobody_is_no_group(kaizen_telemetry: Captured) -> None:
    registered(lambda runtime: runtime.route_task("choose", "round-robin"), agent("a"))
    assert kaizen_telemetry.spans == []
