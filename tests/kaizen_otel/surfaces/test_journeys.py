"""kaizen_agents' journeys: each message is a group in the journey's session, whatever its pathway runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kaizen_otel.demo.model_server import Reply
from tests.kaizen_otel.surfaces import scenes
from tests.kaizen_otel.surfaces import test_patterns as patterns
from tests.kaizen_otel.surfaces.covered import USAGE
from tests.kaizen_otel.surfaces.trees import assert_one_trace
from tests.versions.capabilities import needs

if TYPE_CHECKING:
    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured

# As in test_patterns.
pytestmark = [
    needs("delegate"),
    pytest.mark.usefixtures("forgotten_clients", "no_own_mcp_servers"),
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]


async def booking(*agents: Any) -> Any:
    """A journey that has begun; from its first pathway, of one agent, it goes on to one of two in parallel."""
    from kaizen_agents.journey.core import Journey, Pathway

    class Booking(Journey):
        __entry_pathway__ = "intake"

        class IntakePath(Pathway):
            __agents__ = ("clerk",)
            __next__ = "offers"

        class OffersPath(Pathway):
            __agents__ = ("clerk", "seller")
            __pipeline__ = "parallel"

    journey = Booking(session_id="guest-7")
    for agent in agents:
        journey.register_agent(agent.agent_id, agent)
    await journey.start()
    return journey


@pytest.mark.covers(
    "kaizen_agents.journey.manager:PathwayManager.process_message", "traced", "tokens", "cost", "context"
)
@pytest.mark.covers("kaizen_agents.journey.core:Journey.process_message", "tokens", "cost", "context")
@pytest.mark.covers("kaizen_agents.journey.core:Pathway.execute", "tokens", "cost", "context")
def test_a_message_is_one_tree_in_the_journeys_session(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    kaizen_offline.script(lambda _: Reply.json({"answer": "yes"}, usage=USAGE))

    async def two_messages() -> None:
        journey = await booking(*patterns.agents("clerk", "seller"))
        await journey.process_message("a room, please")
        await journey.process_message("with a view")

    scenes.play_under_caller(kaizen_telemetry, two_messages)

    assert_one_trace(kaizen_telemetry)
    names = {span.span_id: span.name for span in kaizen_telemetry.spans}
    found = sorted((names.get(span.parent_id or "", ""), span.name) for span in kaizen_telemetry.spans)
    assert [pair for pair in found if pair[1] not in {"invoke_workflow", "node LLMAgentNode", "chat gpt-4o"}] == [
        ("", "caller"),
        ("caller", "invoke_workflow Booking"),
        ("caller", "invoke_workflow Booking"),
        ("invoke_workflow Booking", "invoke_workflow ParallelPipeline"),
        ("invoke_workflow Booking", "invoke_workflow SequentialPipeline"),
        ("invoke_workflow ParallelPipeline", "invoke_agent clerk"),
        ("invoke_workflow ParallelPipeline", "invoke_agent seller"),
        ("invoke_workflow SequentialPipeline", "invoke_agent clerk"),
    ]
    ours = [span for span in kaizen_telemetry.spans if span.name != "caller"]
    assert {span["session.id"] for span in ours} == {"guest-7"}
    assert {one.session_id for one in kaizen_telemetry.executions} == {"guest-7"}


@pytest.mark.covers("kaizen_agents.journey.manager:PathwayManager.process_message", "error")
def test_what_a_pathway_fails_with_is_the_messages_error(kaizen_telemetry: Captured) -> None:
    async def message() -> Any:
        journey = await booking()  # nobody has registered its agents
        return await journey.process_message("a room, please")

    response = scenes.play_under_caller(kaizen_telemetry, message)

    group = kaizen_telemetry.span("invoke_workflow Booking")
    assert (group.status, group["error.type"]) == ("ERROR", "unsuccessful")
    assert response.metadata["error"] == "Agent 'clerk' not registered"


@pytest.mark.covers("kaizen_agents.journey.core:Journey.process_message", "error")
@pytest.mark.covers("kaizen_agents.journey.core:Pathway.execute", "error")
def test_what_a_provider_refuses_is_the_pipelines_error(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    kaizen_offline.script(lambda _: Reply.unauthorized())

    async def message() -> Any:
        journey = await booking(*patterns.agents("clerk"))
        return await journey.process_message("a room, please")

    response = scenes.play_under_caller(kaizen_telemetry, message)

    assert patterns.told(kaizen_telemetry.span("invoke_workflow SequentialPipeline")) == patterns.ROOT_CAUSE
    # Kaizen says nothing of it: no error, and the empty message of a pathway whose agents answer with other fields.
    assert (response.message, response.metadata["error"]) == ("", None)
    assert kaizen_telemetry.span("invoke_workflow Booking").status == "UNSET"


def test_a_journeys_own_session_is_nearer_than_the_one_around_it(kaizen_telemetry: Captured) -> None:
    import kaizen_otel

    async def message() -> None:
        journey = await booking()
        with kaizen_otel.attributes(user_id="ada", session_id="web-1", tags=["beta"]):
            await journey.process_message("a room, please")

    scenes.play_under_caller(kaizen_telemetry, message)

    group = kaizen_telemetry.span("invoke_workflow Booking")
    assert (group["user.id"], group["session.id"], group["kaizen.tags"]) == ("ada", "guest-7", ("beta",))
