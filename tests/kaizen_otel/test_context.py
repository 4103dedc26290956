from __future__ import annotations

import asyncio
import inspect
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import baggage

import kaizen_otel
from kaizen_otel.demo.script import Reply, Rule

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured


def _ask(name: str = "qa") -> None:
    from kaizen.core.framework import Kaizen

    Kaizen().create_agent(name, {"model": "gpt-4o", "provider": "openai"}).execute(question="hi")


def test_attributes_reach_every_span_below_and_none_after(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    outer = kaizen_otel.attributes(user_id="u-1", session_id="s-1", tags=["beta"])
    with outer, kaizen_otel.attributes(conversation_id="c-1", tags=["night"]):
        _ask()
    _ask("later")

    assert len(kaizen_offline.requests) == 2
    first, second = kaizen_telemetry.spans_named("chat")
    assert (first["user.id"], first["session.id"], first["gen_ai.conversation.id"]) == ("u-1", "s-1", "c-1")
    assert first["kaizen.tags"] == ("beta", "night")
    assert not {"user.id", "session.id", "kaizen.tags"} & set(second.attributes)
    inside, outside = kaizen_telemetry.executions
    assert (inside.user_id, inside.session_id, outside.user_id) == ("u-1", "s-1", None)


def test_attributes_are_on_every_kind_of_span(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    from kaizen.strategies.async_single_shot import AsyncSingleShotStrategy

    from tests.kaizen_otel.surfaces import scenes
    from tests.kaizen_otel.surfaces.test_tools import ORDERS_SERVER

    class Looking(AsyncSingleShotStrategy):
        async def execute(self, agent: Any, inputs: dict[str, Any]) -> Any:
            await scenes.llm_client().embed(["question"], model="text-embedding-3-small")
            await agent.execute_tool("mcp__orders__lookup_order", {"order_id": "A-1042"})
            return await super().execute(agent, inputs)

    kaizen_offline.script([Rule(replies=Reply(text="Shipped."))])
    agent = scenes.base_agent(strategy=Looking(), agent_id="clerk", mcp_servers=(ORDERS_SERVER,))
    with kaizen_otel.attributes(user_id="u-1", session_id="s-1", conversation_id="c-1", tags=["beta"]):
        agent.run(question="x")

    assert len(kaizen_offline.requests) == 2
    assert kaizen_telemetry.tree() == (
        "invoke_agent clerk\n  initialize\n  tools/list\n  embeddings text-embedding-3-small\n"
        "  execute_tool lookup_order\n    initialize\n    tools/list\n"
        "  invoke_workflow\n    node LLMAgentNode\n      chat gpt-4o"
    )
    for span in kaizen_telemetry.spans:
        assert (span["user.id"], span["session.id"], span["gen_ai.conversation.id"]) == ("u-1", "s-1", "c-1"), span.name
        assert span["kaizen.tags"] == ("beta",), span.name
    assert kaizen_telemetry.span("embeddings")["gen_ai.agent.name"] == "clerk"


def test_attributes_decorates_functions_and_coroutines_without_sharing_state() -> None:
    @kaizen_otel.attributes(user_id="u-1")
    async def work(n: int) -> int:
        await asyncio.sleep(0)
        return n + 1

    @kaizen_otel.attributes(user_id="u-2")
    def plain(n: int) -> int:
        return n * 2

    async def many() -> list[int]:
        return await asyncio.gather(*(work(n) for n in range(20)))

    assert asyncio.run(many()) == list(range(1, 21))
    assert plain(4) == 8
    assert inspect.iscoroutinefunction(work)
    assert work.__name__ == "work"


def test_attributes_refuses_what_is_no_text_where_it_is_written() -> None:
    with pytest.raises(TypeError, match="user_id: expected text, got int"):
        kaizen_otel.attributes(user_id=7)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="tags"):
        kaizen_otel.attributes(tags=["a", 3])  # type: ignore[list-item]


@pytest.mark.usefixtures("kaizen_telemetry")
def test_ids_stay_out_of_baggage_by_default() -> None:
    with kaizen_otel.attributes(user_id="u-1"):
        assert baggage.get_all() == {}


@pytest.mark.kaizen_otel(baggage=True)
@pytest.mark.usefixtures("kaizen_telemetry")
def test_ids_travel_in_baggage_when_asked() -> None:
    with kaizen_otel.attributes(user_id="u-1", session_id="s-1"):
        assert baggage.get_all() == {"user.id": "u-1", "session.id": "s-1"}
    assert baggage.get_all() == {}


def test_measure_gives_the_exact_tokens_and_dollars_of_a_block(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    with kaizen_otel.measure() as outer:
        _ask()
        with kaizen_otel.measure() as inner:
            _ask()
    _ask()

    assert len(kaizen_offline.requests) == 3
    assert (outer.model_calls, inner.model_calls) == (2, 1)
    assert outer.input_tokens == 2 * inner.input_tokens > 0
    assert outer.total_tokens == outer.input_tokens + outer.output_tokens
    assert outer.cost * 3 == kaizen_telemetry.cost * 2
    assert isinstance(outer.cost, Decimal)
    assert outer.complete
    assert inner.cost_usd == float(inner.cost)


def test_measure_says_when_a_cost_is_not_known(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    from kaizen.core.framework import Kaizen

    with kaizen_otel.measure() as m:
        Kaizen().create_agent("qa", {"model": "house-model-1", "provider": "openai"}).execute(question="hi")

    assert len(kaizen_offline.requests) == 1
    assert not m.complete
    assert m.cost == 0
    with pytest.raises(AssertionError, match="not known"):
        kaizen_telemetry.assert_cost(max_usd=1)


def test_assert_cost_names_the_limit(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    _ask()

    assert len(kaizen_offline.requests) == 1
    kaizen_telemetry.assert_cost(max_usd="0.01")
    with pytest.raises(AssertionError, match=r"more than \$0\.00001"):
        kaizen_telemetry.assert_cost(max_usd="0.00001")


def test_measure_names_the_executions_for_later_feedback(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    with kaizen_otel.measure() as m:
        _ask()
    kaizen_otel.record_evaluation("thumbs", label="up", execution_id=m.execution_ids[0])

    assert len(kaizen_offline.requests) == 1
    assert m.execution_ids == (kaizen_telemetry.span("invoke_agent")["kaizen.execution.id"],)
    (event,) = kaizen_telemetry.events
    assert event.attributes["kaizen.execution.id"] == m.execution_ids[0]


def test_attributes_refuses_to_decorate_what_it_could_not_cover() -> None:
    async def numbers() -> AsyncIterator[int]:
        yield 1

    with pytest.raises(TypeError, match="cannot decorate an async generator"):
        kaizen_otel.attributes(user_id="u-1")(numbers)


def test_measure_counts_tools_and_reads_well_in_a_debugger(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces.test_tools import WEATHER, call_weather, run_with_tools

    kaizen_offline.script([call_weather(1), Reply(text="It rains.")])
    with kaizen_otel.measure() as m:
        run_with_tools(tools=[WEATHER])

    assert (m.tool_calls, len(kaizen_telemetry.calls)) == (1, 2)
    assert f"input_tokens={m.input_tokens}" in repr(m)
    assert f"complete={m.complete}" in repr(m)
