"""Tool loops: a span for each model call and each tool, made-up answers marked, MCP tools over real stdio."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import pytest

from kaizen_otel.demo.model_server import Reply, ReplyToolCall, ReplyUsage

if TYPE_CHECKING:
    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
ORDERS_SERVER = {
    "name": "orders",
    "transport": "stdio",
    "command": sys.executable,
    "args": ["-m", "kaizen_otel.demo.mcp_tool"],
}


def call_weather(number: int) -> Reply:
    """A reply that asks for the tool, with tokens of its own."""
    usage = ReplyUsage(input_tokens=100 * number + 1, output_tokens=10 * number + 1)
    return Reply.call("get_weather", {"city": "Oslo"}, usage=usage)


def run_with_tools(**config: Any) -> Any:
    from kailash.runtime.local import LocalRuntime
    from kailash.workflow.builder import WorkflowBuilder

    from tests.kaizen_otel.surfaces import scenes

    builder = WorkflowBuilder()
    builder.add_node("LLMAgentNode", "desk", {**scenes.LLM_CONFIG, **config})
    with LocalRuntime() as runtime:
        results, _ = runtime.execute(builder.build())
    return results["desk"]


def test_a_tool_loop_of_six_model_calls_shows_all_six(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    kaizen_offline.script([*(call_weather(number) for number in range(1, 6)), Reply(text="It rains.")])
    result = run_with_tools(tools=[WEATHER])

    assert result["context"]["tools_executed"] == 5
    round_ = "\n    chat gpt-4o\n    execute_tool get_weather"
    assert kaizen_telemetry.tree() == f"invoke_workflow\n  invoke_agent desk{round_ * 5}\n    chat gpt-4o"
    (execution,) = kaizen_telemetry.executions
    assert (execution.model_calls, execution.tool_calls, len(kaizen_offline.requests)) == (6, 5, 6)
    # Kaizen itself reports the last call only; these are the sums of all six.
    assert execution.tokens_input == sum(100 * n + 1 for n in range(1, 6)) + 100
    assert execution.tokens_output == sum(10 * n + 1 for n in range(1, 6)) + 20
    assert result["usage"]["prompt_tokens"] == 100
    agent = kaizen_telemetry.span("invoke_agent")
    assert agent["gen_ai.usage.input_tokens"] == execution.tokens_input


def test_a_made_up_tool_answer_is_marked_simulated(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    kaizen_offline.script([call_weather(1), Reply(text="It rains.")])
    run_with_tools(tools=[WEATHER])

    tool = kaizen_telemetry.span("execute_tool get_weather")
    assert tool["kaizen.tool.simulated"] is True
    assert (tool["gen_ai.tool.name"], tool["gen_ai.tool.type"]) == ("get_weather", "function")
    assert tool["gen_ai.tool.call.id"] == "call_1_1"
    assert tool["gen_ai.agent.name"] == "desk"
    assert (tool.kind, tool.status) == ("INTERNAL", "UNSET")


def test_two_tools_in_one_answer_are_two_spans(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    asked = (ReplyToolCall("get_weather", {"city": "Oslo"}), ReplyToolCall("get_weather", {"city": "Rome"}))
    kaizen_offline.script([Reply(text="", tool_calls=asked), Reply(text="It rains.")])
    run_with_tools(tools=[WEATHER])

    tools = kaizen_telemetry.spans_named("execute_tool")
    assert [tool["gen_ai.tool.call.id"] for tool in tools] == ["call_1_1", "call_1_2"]
    assert kaizen_telemetry.executions[0].tool_calls == 2


def test_an_mcp_tool_of_an_llm_node_is_a_real_span_in_its_tree(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    kaizen_offline.script([Reply.call("lookup_order", {"order_id": "A-1042"}), Reply(text="Shipped.")])
    result = run_with_tools(mcp_servers=[ORDERS_SERVER], auto_discover_tools=True)

    assert result["response"]["content"] == "Shipped."
    assert kaizen_telemetry.tree() == (
        "invoke_workflow\n  invoke_agent desk\n    initialize\n    tools/list\n    chat gpt-4o\n"
        "    execute_tool lookup_order\n      initialize\n      tools/list\n    chat gpt-4o"
    )
    tool = kaizen_telemetry.span("execute_tool lookup_order")
    assert tool["gen_ai.tool.type"] == "extension"
    assert "kaizen.tool.simulated" not in tool.attributes
    assert tool.status == "UNSET"
    assert kaizen_telemetry.executions[0].tool_calls == 1


@pytest.mark.parametrize(
    ("server", "tool", "arguments", "error_type"),
    [
        (ORDERS_SERVER, "lookup_order", {"order_id": "A-1042"}, None),
        (ORDERS_SERVER, "lookup_order", {"order_id": "nothing"}, "tool_error"),
        ({**ORDERS_SERVER, "command": "/nowhere/python"}, "lookup_order", {}, "FileNotFoundError"),
    ],
    ids=["ok", "isError", "no server"],
)
def test_an_mcp_call_that_failed_says_so_though_the_client_does_not(
    server: dict[str, Any], tool: str, arguments: dict[str, Any], error_type: str | None, kaizen_telemetry: Captured
) -> None:
    from kailash_mcp.client import MCPClient

    answer = asyncio.run(MCPClient().call_tool(server, tool, arguments))

    assert answer["success"] is (error_type != "FileNotFoundError")
    span = kaizen_telemetry.span("execute_tool lookup_order")
    assert span.status == ("UNSET" if error_type is None else "ERROR")
    assert span.attributes.get("error.type") == error_type


def test_an_agents_mcp_tool_is_in_the_agents_tree(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    from kaizen.strategies.async_single_shot import AsyncSingleShotStrategy

    from tests.kaizen_otel.surfaces import scenes

    class Looking(AsyncSingleShotStrategy):
        async def execute(self, agent: Any, inputs: dict[str, Any]) -> Any:
            await agent.execute_tool("mcp__orders__lookup_order", {"order_id": "A-1042"})
            return await super().execute(agent, inputs)

    kaizen_offline.script([Reply(text="Shipped.")])
    agent = scenes.base_agent(strategy=Looking(), agent_id="clerk", mcp_servers=(ORDERS_SERVER,))
    agent.run(question="x")

    assert kaizen_telemetry.tree() == (
        "invoke_agent clerk\n  initialize\n  tools/list\n  execute_tool lookup_order\n    initialize\n    tools/list\n"
        "  invoke_workflow\n    node LLMAgentNode\n      chat gpt-4o"
    )
    tool = kaizen_telemetry.span("execute_tool")
    assert tool["gen_ai.agent.name"] == "clerk"
    assert kaizen_telemetry.executions[0].tool_calls == 1
    assert len(kaizen_offline.requests) == 1
