"""Slots of the tools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.hostile.slot import Slots

if TYPE_CHECKING:
    from tests.hostile.stage import Stage

SLOTS = Slots()
MCP = "kailash_mcp.client:MCPClient.call_tool"
REGULAR = "kaizen.nodes.ai.llm_agent:LLMAgentNode._execute_regular_tool"


def _node() -> Any:
    from kaizen.nodes.ai.llm_agent import LLMAgentNode

    return LLMAgentNode()


def _mcp(stage: Stage, answer: Any, *args: Any) -> Any:
    from tests.hostile import fakes

    return stage.run(fakes.McpThatAnswers(answer).call_tool(*args))


def _found() -> Any:
    return {"success": True, "content": "found", "result": None}


@SLOTS.add(MCP)
def mcp_answer(stage: Stage) -> Any:
    from tests.hostile import fakes

    return _mcp(stage, stage.give, fakes.MCP_SERVER, "lookup", {})


@SLOTS.add(MCP)
def mcp_answer_fields(stage: Stage) -> Any:
    from tests.hostile import fakes

    return _mcp(
        stage,
        lambda: {
            "success": False,
            "error": stage.give(),
            "error_code": stage.value,
            "result": stage.value,
            "content": stage.value,
        },
        fakes.MCP_SERVER,
        "lookup",
        {},
    )


@SLOTS.add(MCP)
def mcp_result(stage: Stage) -> Any:
    from tests.hostile import fakes

    return _mcp(stage, lambda: {"success": True, "result": stage.give()}, fakes.MCP_SERVER, "lookup", {})


@SLOTS.add(MCP)
def mcp_server(stage: Stage) -> Any:
    return _mcp(stage, _found, stage.value, "lookup", {})


@SLOTS.add(MCP)
def mcp_tool_name(stage: Stage) -> Any:
    from tests.hostile import fakes

    return _mcp(stage, _found, fakes.MCP_SERVER, stage.value, {})


@SLOTS.add(MCP)
def mcp_arguments(stage: Stage) -> Any:
    from tests.hostile import fakes

    return _mcp(stage, _found, fakes.MCP_SERVER, "lookup", stage.value)


@SLOTS.add(MCP, takes="error")
def mcp_raises(stage: Stage) -> Any:
    from tests.hostile import fakes

    return _mcp(stage, stage.throw, fakes.MCP_SERVER, "lookup", {})


@SLOTS.add(REGULAR)
def regular_tool_request(stage: Stage) -> Any:
    return _node()._execute_regular_tool(stage.value, [])


@SLOTS.add(REGULAR)
def regular_tool_function(stage: Stage) -> Any:
    return _node()._execute_regular_tool({"id": stage.value, "function": stage.value}, [])


@SLOTS.add(REGULAR)
def regular_tool_arguments(stage: Stage) -> Any:
    request = {"id": "c1", "function": {"name": stage.value, "arguments": stage.value}}
    return _node()._execute_regular_tool(request, [])
