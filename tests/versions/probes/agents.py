"""Agents of every kind, and who judges them."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING, Any

from kaizen_otel.demo.model_server import Reply, Rule
from tests.versions.probes.probing import COST_USD, USAGE, in_loop, probe, run_workflow, scenes

if TYPE_CHECKING:
    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured


@probe
def llm_node(server: ModelServer, seen: Captured) -> None:
    server.script([Reply(usage=USAGE)])
    run_workflow(scenes().workflow("llm"))
    assert seen.tree() == "invoke_workflow\n  invoke_agent n0\n    chat gpt-4o"
    (execution,) = seen.executions
    assert (execution.agent_name, execution.model, execution.status) == ("n0", "gpt-4o", "success")
    assert (execution.tokens_input, execution.tokens_output) == (1_000, 100)
    assert execution.cost_usd == float(COST_USD)


@probe
def agent(server: ModelServer, seen: Captured) -> None:
    server.script([Reply(usage=USAGE)])
    made = scenes().kaizen_agent()
    seen.clear()
    made.execute(question="x")
    assert seen.tree() == "invoke_agent qa\n  invoke_workflow\n    node LLMAgentNode\n      chat gpt-4o"
    assert [(e.agent_name, e.cost_usd, e.status) for e in seen.executions] == [("qa", float(COST_USD), "success")]


@probe
def agent_created(_server: ModelServer, seen: Captured) -> None:
    scenes().kaizen_agent()
    assert seen.tree() == "create_agent qa"


@probe
def agent_reasoning_model(server: ModelServer, seen: Captured) -> None:
    server.script([Rule(replies=Reply.json({"answer": "x", "reasoning": "y"}))])
    made = scenes().kaizen_agent(signature="question -> answer")
    made.execute_cot(question="x")
    assert {call.model for call in seen.calls} == {"gpt-4o"}


@probe
def agent_message(server: ModelServer, seen: Captured) -> None:
    sender, receiver = scenes().kaizen_agent("sender"), scenes().kaizen_agent("receiver")
    sender.broadcast_message([receiver], "hello")
    assert [e.agent_name for e in seen.executions] == ["receiver"]
    assert len(server.requests) == len(seen.calls) == 1


BASE_AGENT_TREE = "invoke_agent desk\n  invoke_workflow\n    node LLMAgentNode\n      chat gpt-4o"


@probe
def base_agent(server: ModelServer, seen: Captured) -> None:
    server.script([Rule(replies=Reply.json({"answer": "x"}, usage=USAGE))])
    scenes().base_agent(agent_id="desk").run(question="x")
    assert seen.tree() == BASE_AGENT_TREE
    assert [(e.agent_name, e.cost_usd, e.status) for e in seen.executions] == [("desk", float(COST_USD), "success")]


@probe
def base_agent_awaited(server: ModelServer, seen: Captured) -> None:
    server.script([Rule(replies=Reply.json({"answer": "x"}))])
    asyncio.run(scenes().base_agent(agent_id="desk", use_async_llm=True).run_async(question="x"))
    assert seen.tree() == BASE_AGENT_TREE


@probe
def base_agent_in_loop(server: ModelServer, seen: Captured) -> None:
    server.script([Rule(replies=Reply.json({"answer": "x"}))])
    asyncio.run(in_loop(lambda: scenes().base_agent(agent_id="desk").run(question="x")))
    assert seen.tree() == BASE_AGENT_TREE


@probe
def base_agent_before(server: ModelServer, seen: Captured) -> None:
    from kaizen_otel.patches.table import PATCHER

    server.script([Rule(replies=Reply.json({"answer": "x"}))])
    telemetry_fence = PATCHER._fence
    assert telemetry_fence is not None
    made = scenes()  # imported: patched
    PATCHER.turn_off()
    desk = made.base_agent(agent_id="desk")
    PATCHER.turn_on(telemetry_fence)
    desk.run(question="x")
    assert seen.tree() == BASE_AGENT_TREE


@probe
def base_agent_setup_error(_server: ModelServer, seen: Captured) -> None:
    from kaizen.config.providers import ConfigurationError
    from kaizen.strategies.async_single_shot import AsyncSingleShotStrategy

    class Unwired(AsyncSingleShotStrategy):
        async def execute(self, agent: Any, inputs: dict[str, Any]) -> Any:
            del agent, inputs
            raise ConfigurationError("no provider")

    raised = False
    try:
        scenes().base_agent(agent_id="desk", strategy=Unwired()).run(question="x")
    except ConfigurationError:
        raised = True
    assert seen.span("invoke_agent")["error.type"] == "kaizen.config.providers.ConfigurationError"
    assert raised


@probe
def transparency(server: ModelServer, _seen: Captured) -> None:
    from kaizen.core.framework import Kaizen

    server.script([Rule(replies=Reply.json({"answer": "x"}))])
    assert Kaizen().get_transparency_interface() is not None
    for made, run in (
        (scenes().kaizen_agent(), "execute"),
        (scenes().base_agent(agent_id="desk"), "run"),
    ):
        getattr(made, run)(question="x")
        (execution,) = made.get_transparency_interface().get_recent_executions()
        assert execution.status == "success"


@probe
def delegate(server: ModelServer, seen: Captured) -> None:
    server.script([Reply(text="It rains.")])
    assert import_module("kaizen_agents").Delegate(model="gpt-4o").run_sync("hello") == "It rains."
    assert seen.tree() == "invoke_agent Delegate\n  chat gpt-4o"
    assert seen.cost > 0


@probe
def judge(server: ModelServer, seen: Captured) -> None:
    from kailash.diagnostics.protocols import JudgeInput
    from kaizen.judges import LLMJudge

    server.script([Reply.json({"answer": "0.8"})])

    class Answering:
        """What a judge asks of a Delegate, answered by an agent."""

        async def run_structured(self, *, inputs: dict[str, Any], **_: Any) -> dict[str, Any]:
            answer = await asyncio.to_thread(scenes().base_agent().run, question=inputs["candidate"])
            return {"score": answer["answer"]}

    judged = LLMJudge(judge_model="gpt-4o", delegate=Answering())(JudgeInput(prompt="?", candidate_a="Paris."))
    assert asyncio.run(judged).score == 0.8
    assert [call.agent_name for call in seen.calls] == ["evaluator:LLMJudge"]
    (verdict,) = seen.events
    assert verdict.attributes["gen_ai.evaluation.score.value"] == 0.8
