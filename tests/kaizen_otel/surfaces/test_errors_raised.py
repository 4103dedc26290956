"""Errors that Kaizen raises, retries that go well in the end, and work that is cancelled."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from kaizen_otel.demo.model_server import Reply, Rule
from tests.versions.capabilities import needs

if TYPE_CHECKING:
    from collections.abc import Callable

    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured

DEADLINE_S = 10


async def until(condition: Callable[[], object]) -> None:
    """Let the loop work until something holds."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in another thread
            await asyncio.sleep(0.001)


# -- raised -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("node", ["FailingNode", "FailingAsyncNode"])
def test_async_local_runtime_raises_and_names_the_root_cause(node: str, kaizen_telemetry: Captured) -> None:
    from kailash.runtime import AsyncLocalRuntime
    from kailash.sdk_exceptions import WorkflowExecutionError

    from tests.kaizen_otel.surfaces import scenes

    with AsyncLocalRuntime() as runtime, pytest.raises(WorkflowExecutionError):
        runtime.execute(scenes.workflow(node))

    for name in (f"node {node}", "invoke_workflow"):
        span = kaizen_telemetry.span(name)
        assert (span.status, span["error.type"], span.status_message) == ("ERROR", "KeyError", "'no such order'")


def test_a_failed_node_that_others_wait_for_makes_local_runtime_raise(kaizen_telemetry: Captured) -> None:
    from kailash.runtime.local import LocalRuntime
    from kailash.sdk_exceptions import RuntimeExecutionError

    from tests.kaizen_otel.surfaces import scenes

    with LocalRuntime() as runtime, pytest.raises(RuntimeExecutionError):
        runtime.execute(scenes.workflow("FailingNode", "SyncProbe"))

    assert kaizen_telemetry.tree() == "invoke_workflow!\n  node FailingNode!"
    assert kaizen_telemetry.span("invoke_workflow")["error.type"] == "KeyError"


def test_a_nodes_own_call_raises_what_the_client_raised(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from kailash.sdk_exceptions import NodeExecutionError
    from kaizen.nodes.ai.llm_agent import LLMAgentNode

    from tests.kaizen_otel.surfaces import scenes

    kaizen_offline.script([Rule(replies=Reply.unauthorized())])
    with pytest.raises(NodeExecutionError):
        LLMAgentNode().execute(**scenes.LLM_CONFIG)

    span = kaizen_telemetry.span("invoke_agent LLMAgentNode")
    assert (span["error.type"], span["http.response.status_code"]) == ("kaizen.llm.errors.ProviderError", 401)


@needs("base_agent_setup_error")
def test_a_broken_setup_is_an_error_of_the_agent(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    from kaizen.config.providers import ConfigurationError
    from kaizen.core.base_agent import BaseAgent
    from kaizen.strategies.async_single_shot import AsyncSingleShotStrategy

    from tests.kaizen_otel.surfaces import scenes

    class Unwired(AsyncSingleShotStrategy):
        async def execute(self, agent: Any, inputs: dict[str, Any]) -> Any:
            del agent, inputs
            raise ConfigurationError("no provider")

    class Desk(BaseAgent):
        pass

    with pytest.raises(ConfigurationError):
        scenes.base_agent(Desk, strategy=Unwired()).run(question="x")

    span = kaizen_telemetry.span("invoke_agent Desk")
    assert (span.status, span["error.type"]) == ("ERROR", "kaizen.config.providers.ConfigurationError")
    assert [e.status for e in kaizen_telemetry.executions] == ["error"]
    assert kaizen_offline.requests == []


def test_an_agent_that_lets_errors_through_raises_them(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    from tests.kaizen_otel.surfaces import scenes

    kaizen_offline.script([Rule(replies=Reply.rate_limited())])
    with pytest.raises(Exception, match="answer"):
        scenes.base_agent(agent_id="qa", error_handling_enabled=False).run(question="x")

    span = kaizen_telemetry.span("invoke_agent qa")
    assert (span.status, span["kaizen.execution.status"]) == ("ERROR", "error")


# -- retried ------------------------------------------------------------------------------------------------------


def patient_agent(then: Callable[[str], Any]) -> Any:
    """An agent that asks again when it is refused, and hands the answer on."""
    from kaizen.llm.errors import RateLimited
    from kaizen.strategies.async_single_shot import AsyncSingleShotStrategy

    from tests.kaizen_otel.surfaces import scenes

    class Patient(AsyncSingleShotStrategy):
        async def execute(self, agent: Any, inputs: dict[str, Any]) -> Any:
            del agent, inputs
            client = scenes.llm_client()
            try:
                answer = await client.complete(scenes.MESSAGES)
            except RateLimited:
                answer = await client.complete(scenes.MESSAGES)
            return then(answer["text"])

    return scenes.base_agent(strategy=Patient(), agent_id="qa")


def test_a_retry_that_goes_well_leaves_the_execution_successful(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    kaizen_offline.script([Reply.rate_limited(), Reply(text="at last")])
    result = patient_agent(lambda text: {"answer": text}).run(question="x")

    assert result["answer"] == "at last"
    assert kaizen_telemetry.tree() == "invoke_agent qa\n  chat gpt-4o!\n  chat gpt-4o"
    (execution,) = kaizen_telemetry.executions
    assert (execution.status, execution.error_type, execution.model_calls) == ("success", None, 2)


def test_a_refusal_that_was_made_up_for_is_not_the_reason_of_a_later_error(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    kaizen_offline.script([Reply.rate_limited(), Reply(text="at last")])
    patient_agent(lambda text: {"known": 1}[text]).run(question="x")

    (execution,) = kaizen_telemetry.executions
    assert (execution.status, execution.error_type) == ("error", "KeyError")


def test_a_workflow_that_is_run_again_leaves_the_execution_successful(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import scenes

    kaizen_offline.script([Reply.rate_limited(), Reply(text="at last")])
    scenes.base_agent(agent_id="qa", strategy_type="multi_cycle", max_cycles=2).run(question="x")

    assert len(kaizen_offline.requests) == 2
    assert [span.status for span in kaizen_telemetry.spans_named("chat")] == ["ERROR", "UNSET"]
    assert kaizen_telemetry.span("invoke_agent qa").status == "UNSET"
    assert [e.status for e in kaizen_telemetry.executions] == ["success"]


def test_an_agent_that_makes_up_for_a_failure_below_it_is_successful(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from kaizen.strategies.async_single_shot import AsyncSingleShotStrategy

    from tests.kaizen_otel.surfaces import scenes

    class WithFallback(AsyncSingleShotStrategy):
        async def execute(self, agent: Any, inputs: dict[str, Any]) -> Any:
            result = await scenes.base_agent(agent_id="worker", use_async_llm=True).run_async(question="y")
            return {"answer": "sorry"} if result.get("success") is False else await super().execute(agent, inputs)

    kaizen_offline.script([Rule(replies=Reply.server_error())])
    assert scenes.base_agent(strategy=WithFallback(), agent_id="boss").run(question="x")["answer"] == "sorry"

    assert [(e.agent_name, e.status) for e in kaizen_telemetry.executions] == [("worker", "error"), ("boss", "success")]


def test_a_call_that_was_cancelled_is_not_the_reason_of_a_later_error(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from kaizen.strategies.async_single_shot import AsyncSingleShotStrategy

    from tests.kaizen_otel.surfaces import scenes

    class Hedging(AsyncSingleShotStrategy):
        async def execute(self, agent: Any, inputs: dict[str, Any]) -> Any:
            del agent, inputs
            slow = asyncio.create_task(scenes.llm_client().complete(scenes.MESSAGES))
            await until(lambda: kaizen_offline.requests)
            slow.cancel()
            await asyncio.wait([slow])
            raise LookupError("the fast one was no better")

    kaizen_offline.script([Reply(delay_s=DEADLINE_S)])
    scenes.base_agent(strategy=Hedging(), agent_id="qa").run(question="x")

    agent = kaizen_telemetry.span("invoke_agent qa")
    assert (agent.status, agent["error.type"]) == ("ERROR", "LookupError")
    assert [e.status for e in kaizen_telemetry.executions] == ["error"]


# -- cancelled ----------------------------------------------------------------------------------------------------


def test_a_cancelled_agent_is_cancelled_and_no_error(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    from kaizen.strategies.async_single_shot import AsyncSingleShotStrategy

    from tests.kaizen_otel.surfaces import scenes

    class Asking(AsyncSingleShotStrategy):
        async def execute(self, agent: Any, inputs: dict[str, Any]) -> Any:
            del agent, inputs
            return await scenes.llm_client().complete(scenes.MESSAGES)

    kaizen_offline.script([Reply(delay_s=DEADLINE_S)])

    async def scene() -> None:
        agent = scenes.base_agent(strategy=Asking(), agent_id="qa", use_async_llm=True)
        task = asyncio.create_task(agent.run_async(question="x"))
        await until(lambda: kaizen_offline.requests)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scene())

    assert kaizen_telemetry.tree() == "invoke_agent qa\n  chat gpt-4o"
    assert all("error.type" not in span.attributes for span in kaizen_telemetry.spans)
    assert kaizen_telemetry.span("chat")["kaizen.call.outcome"] == "cancelled"
    assert kaizen_telemetry.span("invoke_agent")["kaizen.execution.status"] == "cancelled"
    assert [(e.status, e.success) for e in kaizen_telemetry.executions] == [("cancelled", False)]
    (counted,) = kaizen_telemetry.metrics()["kaizen.agent.executions"]
    assert counted.attributes["status"] == "cancelled"


def test_a_time_limit_around_an_agent_cancels_it(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    from kaizen.strategies.async_single_shot import AsyncSingleShotStrategy

    from tests.kaizen_otel.surfaces import scenes

    class Waiting(AsyncSingleShotStrategy):
        async def execute(self, agent: Any, inputs: dict[str, Any]) -> Any:
            del agent, inputs
            await asyncio.Event().wait()

    async def scene() -> None:
        agent = scenes.base_agent(strategy=Waiting(), agent_id="qa", use_async_llm=True)
        async with asyncio.timeout(0.01):
            await agent.run_async(question="x")

    with pytest.raises(TimeoutError):
        asyncio.run(scene())

    assert kaizen_telemetry.span("invoke_agent").status == "UNSET"
    assert [e.status for e in kaizen_telemetry.executions] == ["cancelled"]
    assert kaizen_offline.requests == []


@pytest.mark.parametrize("runtime", ["local_async", "async_local", "parallel"])
def test_a_cancelled_workflow_is_no_error(runtime: str, kaizen_telemetry: Captured) -> None:
    from kailash.nodes.base import register_node
    from kailash.nodes.base_async import AsyncNode
    from kailash.runtime import AsyncLocalRuntime
    from kailash.runtime.local import LocalRuntime
    from kailash.runtime.parallel import ParallelRuntime

    from tests.kaizen_otel.surfaces import scenes

    started = threading.Event()

    @register_node(alias=f"WaitingNode_{runtime}")
    class WaitingNode(AsyncNode):
        def get_parameters(self) -> dict[str, Any]:
            return {}

        async def async_run(self, **_: Any) -> dict[str, Any]:
            started.set()
            await asyncio.Event().wait()
            return {}

    built = scenes.workflow(f"WaitingNode_{runtime}")

    async def run() -> Any:
        if runtime == "parallel":
            return await ParallelRuntime().execute(built)
        if runtime == "async_local":
            async with AsyncLocalRuntime() as async_local:
                return await async_local.execute_workflow_async(built, inputs={})
        with LocalRuntime() as local:
            return await local.execute_async(built)

    async def scene() -> None:
        task = asyncio.create_task(run())
        await until(started.is_set)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scene())

    assert kaizen_telemetry.tree() == "invoke_workflow\n  node WaitingNode"


def test_an_interrupted_agent_is_cancelled(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    from kaizen.strategies.single_shot import SingleShotStrategy

    from tests.kaizen_otel.surfaces import scenes

    class Interrupted(SingleShotStrategy):
        def execute(self, agent: Any, inputs: dict[str, Any]) -> Any:
            del agent, inputs
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scenes.base_agent(strategy=Interrupted(), agent_id="qa").run(question="x")

    assert kaizen_telemetry.span("invoke_agent qa").status == "UNSET"
    assert [e.status for e in kaizen_telemetry.executions] == ["cancelled"]
    assert kaizen_offline.requests == []
