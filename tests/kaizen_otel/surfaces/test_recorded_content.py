"""Where content is recorded: what real Kaizen agents, tools and calls were told, asked and answered."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from kaizen_otel.demo.model_server import Reply
from tests.kaizen_otel.surfaces.test_tools import ORDERS_SERVER, WEATHER, call_weather, run_with_tools
from tests.versions.capabilities import needs

if TYPE_CHECKING:
    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured, CapturedSpan

pytestmark = pytest.mark.kaizen_otel(content="span")

CONVERSATION = [
    {"role": "system", "content": "Answer ann@example.com only."},
    {"role": "user", "content": "hello"},
]
INSTRUCTIONS = [{"type": "text", "content": "Answer [redacted:email] only."}]
ASKED = [{"role": "user", "parts": [{"type": "text", "content": "hello"}]}]
CONTENT = ("gen_ai.system_instructions", "gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.tool.definitions")


def content_of(span: CapturedSpan) -> dict[str, Any]:
    """What the span's content attributes say."""
    return {key: json.loads(span[key]) for key in CONTENT if key in span.attributes}


def said(span: CapturedSpan, key: str) -> Any:
    """The one text of an attribute that holds one message."""
    (message,) = json.loads(span[key])
    (part,) = message["parts"]
    assert part["type"] == "text"
    return part["content"]


# -- model calls --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("provider", "field"), [("anthropic", "system"), ("google", "systemInstruction")])
def test_instructions_that_a_provider_takes_apart_have_their_own_attribute(
    provider: str, field: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import scenes

    asyncio.run(scenes.llm_client(provider).complete(CONVERSATION))

    content = content_of(kaizen_telemetry.span("chat"))
    assert content["gen_ai.system_instructions"] == INSTRUCTIONS
    assert content["gen_ai.input.messages"] == ASKED
    assert field in kaizen_offline.requests[0].body


def test_instructions_that_are_part_of_the_conversation_stay_in_it(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import scenes

    asyncio.run(scenes.llm_client("openai").complete(CONVERSATION))

    content = content_of(kaizen_telemetry.span("chat"))
    assert "gen_ai.system_instructions" not in content
    assert content["gen_ai.input.messages"] == [{"role": "system", "parts": INSTRUCTIONS}, *ASKED]
    assert [message["role"] for message in kaizen_offline.requests[0].body["messages"]] == ["system", "user"]


def test_each_part_of_each_system_message_is_an_instruction(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import scenes

    messages = [
        {"role": "system", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]},
        {"role": "user", "content": "hello"},
        {"role": "system", "content": "three"},
    ]
    asyncio.run(scenes.llm_client("anthropic").complete(messages))

    content = content_of(kaizen_telemetry.span("chat"))
    assert [part["content"] for part in content["gen_ai.system_instructions"]] == ["one", "two", "three"]
    assert content["gen_ai.input.messages"] == ASKED
    assert kaizen_offline.requests[0].body["system"] == "one\ntwo\nthree"


def test_the_wires_that_take_instructions_apart_are_those_that_kaizen_sends_them_apart_on() -> None:
    from types import SimpleNamespace

    from kaizen.llm.client import _COMPLETE_DISPATCH
    from kaizen.llm.deployment import CompletionRequest

    from kaizen_otel.patches.llm_client import takes_instructions_apart

    request = CompletionRequest(
        model="meta.llama3-8b",  # Bedrock's wire wants a family that it knows
        messages=[{"role": "system", "content": "RULES"}, {"role": "user", "content": "QUESTION"}],
    )
    for wire, dispatch in _COMPLETE_DISPATCH.items():
        fields = [json.dumps(value) for value in dispatch["shaper"].build_request_payload(request).values()]
        apart = any("RULES" in field and "QUESTION" not in field for field in fields)
        assert takes_instructions_apart(SimpleNamespace(wire=wire)) is apart, wire


def test_the_tools_that_a_model_is_offered_are_on_the_span(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import scenes

    asyncio.run(scenes.llm_client("openai").complete(CONVERSATION, tools=[WEATHER]))

    assert len(kaizen_offline.requests) == 1
    assert content_of(kaizen_telemetry.span("chat"))["gen_ai.tool.definitions"] == [
        {
            "type": "function",
            "name": "get_weather",
            "description": "The weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        }
    ]


# -- tools --------------------------------------------------------------------------------------------------------


def test_a_tools_arguments_and_result_are_on_its_span(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    kaizen_offline.script([call_weather(1), Reply(text="It rains.")])
    run_with_tools(tools=[WEATHER])

    tool = kaizen_telemetry.span("execute_tool get_weather")
    assert json.loads(tool["gen_ai.tool.call.arguments"]) == {"city": "Oslo"}
    assert "get_weather" in json.loads(tool["gen_ai.tool.call.result"])["result"]


def test_the_result_of_an_mcp_tool_is_redacted(kaizen_telemetry: Captured) -> None:
    from kailash_mcp.client import MCPClient

    arguments = {"order_id": "A-1042", "password": "swordfish"}
    answer = asyncio.run(MCPClient().call_tool(ORDERS_SERVER, "lookup_order", arguments))

    tool = kaizen_telemetry.span("execute_tool lookup_order")
    assert json.loads(tool["gen_ai.tool.call.arguments"]) == {"order_id": "A-1042", "password": "[redacted:secret]"}
    assert json.loads(tool["gen_ai.tool.call.result"])
    assert answer["content"]


@pytest.mark.kaizen_otel(content="span", content_max_bytes=256)
def test_a_tools_content_is_valid_json_however_much_is_cut(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    kaizen_offline.script([Reply.call("get_weather", {"city": "Oslo" * 500}), Reply(text="It rains.")])
    run_with_tools(tools=[WEATHER])

    arguments = kaizen_telemetry.span("execute_tool")["gen_ai.tool.call.arguments"]
    assert len(arguments.encode()) <= 256
    assert json.loads(arguments)["city"].startswith("OsloOslo")


# -- agents -------------------------------------------------------------------------------------------------------


def test_an_llm_node_that_is_an_execution_has_its_content_on_the_agents_span(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from kaizen.nodes.ai.llm_agent import LLMAgentNode

    from tests.kaizen_otel.surfaces import scenes

    kaizen_offline.script([Reply(text="hi there")] * 2)
    told = "Answer ann@example.com only."
    LLMAgentNode().execute(**scenes.LLM_CONFIG, system_prompt=told)
    LLMAgentNode(**scenes.LLM_CONFIG, system_prompt=told).execute()

    for agent in kaizen_telemetry.spans_named("invoke_agent"):
        assert content_of(agent) == {
            "gen_ai.system_instructions": INSTRUCTIONS,
            "gen_ai.input.messages": ASKED,
            "gen_ai.output.messages": [
                {
                    "role": "assistant",
                    "parts": [{"type": "text", "content": "hi there"}],
                    "finish_reason": "stop",
                }
            ],
        }


def test_an_agents_question_and_answer_are_on_its_span(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    from tests.kaizen_otel.surfaces import scenes

    kaizen_offline.script([Reply(text="hi there")] * 3)
    agent = scenes.kaizen_agent(system_prompt="Answer ann@example.com only.")
    kaizen_telemetry.clear()
    results = [agent.execute(question="hello"), agent.execute("hello"), agent.execute("hello", tone="kind")]

    asked = [said(span, "gen_ai.input.messages") for span in kaizen_telemetry.spans_named("invoke_agent")]
    assert asked[:2] == ["hello", "hello"]
    assert json.loads(asked[2]) == {"question": "hello", "tone": "kind"}
    for span, result in zip(kaizen_telemetry.spans_named("invoke_agent"), results, strict=True):
        assert json.loads(span["gen_ai.system_instructions"]) == INSTRUCTIONS
        assert json.loads(said(span, "gen_ai.output.messages")) == result


def test_a_base_agents_fields_are_on_its_span(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    from tests.kaizen_otel.surfaces import scenes

    kaizen_offline.script([Reply(text='{"answer": "hi there"}')])
    result = scenes.base_agent(agent_id="clerk").run(question="hello", session_id="s-1")

    agent = kaizen_telemetry.span("invoke_agent clerk")
    assert said(agent, "gen_ai.input.messages") == "hello"
    assert result["answer"] == "hi there"
    answer = said(agent, "gen_ai.output.messages")
    assert answer == "hi there" if len(result) == 1 else json.loads(answer) == result


@needs("agent_message")
def test_a_message_to_another_agent_is_what_that_agent_was_asked(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import scenes

    sender, target = scenes.kaizen_agent("sender"), scenes.kaizen_agent("target")
    kaizen_telemetry.clear()
    sender.communicate_with(target, "hello")

    assert said(kaizen_telemetry.span("invoke_agent target"), "gen_ai.input.messages") == "hello"
    assert kaizen_offline.requests


@pytest.mark.kaizen_otel(content="event")
def test_in_event_mode_no_span_has_content(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    kaizen_offline.script([call_weather(1), Reply(text="It rains.")])
    run_with_tools(tools=[WEATHER])

    keys = {key for span in kaizen_telemetry.spans for key in span.attributes}
    assert not keys & {*CONTENT, "gen_ai.tool.call.arguments", "gen_ai.tool.call.result"}
    assert len(kaizen_telemetry.events) == 2


@pytest.mark.kaizen_otel(content="off")
def test_with_content_off_nothing_of_a_run_is_kept(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    from tests.kaizen_otel.surfaces import scenes

    scenes.kaizen_agent(system_prompt="swordfish").execute(question="swordfish")

    assert len(kaizen_offline.requests) == 1
    assert "swordfish" not in str([dict(span.attributes) for span in kaizen_telemetry.spans])
