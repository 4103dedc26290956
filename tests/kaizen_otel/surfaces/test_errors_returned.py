"""Errors that Kaizen returns instead of raising: the spans still say what went wrong, by its root cause."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from kaizen_otel.demo.model_server import Reply, Rule

if TYPE_CHECKING:
    from collections.abc import Callable

    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured, CapturedSpan

REFUSALS = {
    "500": (Reply.server_error(), "kaizen.llm.errors.ProviderError", 500),
    "429": (Reply.rate_limited(), "kaizen.llm.errors.RateLimited", 429),
    "401": (Reply.unauthorized(), "kaizen.llm.errors.ProviderError", 401),
    "no JSON": (Reply.bad_json(), "kaizen.llm.errors.InvalidResponse", None),
    "dropped": (Reply.dropped(), "httpx.RemoteProtocolError", None),
}


def failure_of(span: CapturedSpan) -> tuple[str, str | None, int | None]:
    """Status, error type and HTTP status of a span."""
    return span.status, span.attributes.get("error.type"), span.attributes.get("http.response.status_code")


def agent_execute() -> Any:
    from tests.kaizen_otel.surfaces import scenes

    result = scenes.kaizen_agent().execute(question="x")
    assert result["answer"] == "No response generated"  # what Kaizen 2.46 makes of any failure
    return result


def agent_execute_with_signature() -> Any:
    from tests.kaizen_otel.surfaces import scenes

    return scenes.kaizen_agent(signature="question -> answer").execute(question="x")


def agent_execute_workflow() -> Any:
    from tests.kaizen_otel.surfaces import scenes

    results, _ = scenes.kaizen_agent().execute_workflow({"messages": scenes.MESSAGES})
    assert results["qa"]["failed"] is True
    return results


def base_agent_run() -> Any:
    from tests.kaizen_otel.surfaces import scenes

    result = scenes.base_agent(agent_id="qa").run(question="x")
    assert result["success"] is False
    return result


async def base_agent_run_async() -> Any:
    from tests.kaizen_otel.surfaces import scenes

    result = await scenes.base_agent(agent_id="qa", use_async_llm=True).run_async(question="x")
    assert result["success"] is False
    return result


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize(
    "scene",
    [agent_execute, agent_execute_with_signature, agent_execute_workflow, base_agent_run, base_agent_run_async],
)
def test_a_refused_model_call_fails_every_span_above_it(
    scene: Callable[[], Any], refusal: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import scenes

    reply, error_type, status = REFUSALS[refusal]
    kaizen_offline.script([Rule(replies=reply)])
    scenes.play(scene)

    for name in ("chat gpt-4o", "node LLMAgentNode", "invoke_workflow", "invoke_agent qa"):
        assert failure_of(kaizen_telemetry.span(name)) == ("ERROR", error_type, status), name
    (execution,) = kaizen_telemetry.executions
    assert (execution.status, execution.error_type, execution.success) == ("error", error_type, False)
    (counted,) = kaizen_telemetry.metrics()["kaizen.agent.executions"]
    assert (counted.value, counted.attributes["status"]) == (1, "error")


@pytest.mark.parametrize("node", ["FailingNode", "FailingAsyncNode"])
@pytest.mark.parametrize("runtime", ["local", "parallel"])
def test_a_failed_leaf_fails_its_workflow(runtime: str, node: str, kaizen_telemetry: Captured) -> None:
    from kailash.runtime.local import LocalRuntime
    from kailash.runtime.parallel import ParallelRuntime

    from tests.kaizen_otel.surfaces import scenes

    if runtime == "local":
        with LocalRuntime() as local:
            results, _ = local.execute(scenes.workflow(node))
    else:
        results, _ = asyncio.run(ParallelRuntime().execute(scenes.workflow(node)))

    assert results["n0"]["failed"] is True
    assert failure_of(kaizen_telemetry.span(f"node {node}")) == ("ERROR", "KeyError", None)
    assert failure_of(kaizen_telemetry.span("invoke_workflow")) == ("ERROR", "KeyError", None)
    assert kaizen_telemetry.executions == []


@pytest.mark.parametrize("runtime", ["local", "parallel"])
def test_a_failed_llm_leaf_is_a_failed_execution(
    runtime: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from kailash.runtime.local import LocalRuntime
    from kailash.runtime.parallel import ParallelRuntime

    from tests.kaizen_otel.surfaces import scenes

    kaizen_offline.script([Rule(replies=Reply.server_error(status=503))])
    if runtime == "local":
        with LocalRuntime() as local:
            local.execute(scenes.workflow("llm"))
    else:
        asyncio.run(ParallelRuntime().execute(scenes.workflow("llm")))

    expected = ("ERROR", "kaizen.llm.errors.ProviderError", 503)
    for name in ("chat gpt-4o", "invoke_agent n0", "invoke_workflow"):
        assert failure_of(kaizen_telemetry.span(name)) == expected, name
    assert [(e.agent_name, e.status) for e in kaizen_telemetry.executions] == [("n0", "error")]


def test_an_llm_node_that_answers_success_false_has_failed(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import scenes

    kaizen_offline.script([Rule(replies=Reply.server_error())])
    result = scenes.LenientLlmNode().execute(**scenes.LLM_CONFIG)

    assert (result["success"], result["error_type"]) == (False, "RuntimeError")
    expected = ("ERROR", "kaizen.llm.errors.ProviderError", 500)
    assert failure_of(kaizen_telemetry.span("invoke_agent LenientLlmNode")) == expected
    (execution,) = kaizen_telemetry.executions
    assert (execution.status, execution.error_type) == ("error", "kaizen.llm.errors.ProviderError")


def test_an_agents_own_llm_node_that_answers_success_false_names_the_root_cause(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from kaizen.strategies.async_single_shot import AsyncSingleShotStrategy

    from tests.kaizen_otel.surfaces import scenes

    class Asking(AsyncSingleShotStrategy):
        async def execute(self, agent: Any, inputs: dict[str, Any]) -> Any:
            del agent, inputs
            return await asyncio.to_thread(lambda: scenes.LenientLlmNode().execute(**scenes.LLM_CONFIG))

    kaizen_offline.script([Rule(replies=Reply.server_error())])
    scenes.base_agent(strategy=Asking(), agent_id="qa").run(question="x")

    expected = ("ERROR", "kaizen.llm.errors.ProviderError", 500)
    assert failure_of(kaizen_telemetry.span("node LenientLlmNode")) == expected
    assert failure_of(kaizen_telemetry.span("invoke_agent qa")) == expected


def test_an_error_of_the_agents_own_code_fails_only_the_agent(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from kailash.sdk_exceptions import NodeExecutionError
    from kaizen.strategies.async_single_shot import AsyncSingleShotStrategy

    from tests.kaizen_otel.surfaces import scenes

    class Broken(AsyncSingleShotStrategy):
        async def execute(self, agent: Any, inputs: dict[str, Any]) -> Any:
            await super().execute(agent, inputs)
            raise NodeExecutionError("the strategy's own") from LookupError("nothing fits")

    result = scenes.base_agent(strategy=Broken(), agent_id="qa").run(question="x")

    assert (result["success"], result["type"]) == (False, "NodeExecutionError")
    agent = kaizen_telemetry.span("invoke_agent qa")
    assert failure_of(agent) == ("ERROR", "LookupError", None)
    assert agent.status_message == "nothing fits"
    for name in ("chat gpt-4o", "node LLMAgentNode", "invoke_workflow"):
        assert kaizen_telemetry.span(name).status == "UNSET", name
    assert len(kaizen_offline.requests) == 1


@pytest.mark.parametrize("said", ["failed", "done"])
def test_what_a_node_of_kaizens_returns_of_its_error_is_one(said: str, kaizen_telemetry: Captured) -> None:
    from kaizen.nodes.ai_nodes import KaizenTextGenerationNode

    class Failing(KaizenTextGenerationNode):
        def run(self, **_: Any) -> dict[str, Any]:
            if said == "done":
                return {"error": "none", "status": said}
            raise LookupError("no such text")

    result = Failing(model="gpt-4o").execute(prompt="x")

    assert result["status"] == said
    node = kaizen_telemetry.span("node Failing")
    assert failure_of(node)[:2] == (("ERROR", "node_error") if said == "failed" else ("UNSET", None))


@pytest.mark.parametrize("runtime", ["local", "async_local", "parallel"])
def test_a_users_node_may_report_errors_without_having_failed(runtime: str, kaizen_telemetry: Captured) -> None:
    from kailash.runtime import AsyncLocalRuntime
    from kailash.runtime.local import LocalRuntime
    from kailash.runtime.parallel import ParallelRuntime

    from tests.kaizen_otel.surfaces import scenes

    built = scenes.workflow("ErrorReportNode")
    if runtime == "local":
        with LocalRuntime() as local:
            results, _ = local.execute(built)
    elif runtime == "parallel":
        results, _ = asyncio.run(ParallelRuntime().execute(built))
    else:
        with AsyncLocalRuntime() as async_local:
            results, _ = async_local.execute(built)

    assert results["n0"]["failed"] is True
    assert results["n0"]["error"] == "3 lines rejected"
    assert [span.status for span in kaizen_telemetry.spans] == ["UNSET", "UNSET"]


def test_a_users_node_without_success_has_not_failed_unless_kailash_says_so(kaizen_telemetry: Captured) -> None:
    from kailash.runtime.local import LocalRuntime
    from kailash.sdk_exceptions import RuntimeExecutionError

    from tests.kaizen_otel.surfaces import scenes

    with LocalRuntime(content_aware_success_detection=False) as runtime:
        results, _ = runtime.execute(scenes.workflow("UnsuccessfulNode"))
    assert results["n0"]["success"] is False
    assert [span.status for span in kaizen_telemetry.spans] == ["UNSET", "UNSET"]

    kaizen_telemetry.clear()
    with LocalRuntime() as runtime, pytest.raises(RuntimeExecutionError):
        runtime.execute(scenes.workflow("UnsuccessfulNode"))
    assert kaizen_telemetry.span("node UnsuccessfulNode").status == "UNSET"
    assert kaizen_telemetry.span("invoke_workflow").status == "ERROR"


def test_an_agents_result_that_has_a_field_named_error_is_no_failure(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import scenes

    kaizen_offline.script([Rule(replies=Reply.json({"answer": "42", "error": "none", "success": False}))])
    result = scenes.base_agent(agent_id="qa").run(question="x")

    assert result["answer"] == "42"
    assert [span.status for span in kaizen_telemetry.spans] == ["UNSET"] * 4
    assert [e.status for e in kaizen_telemetry.executions] == ["success"]
