"""What `docs/coverage.md` says of Kailash's runtimes and nodes: each method goes well, and with a node that fails."""

from __future__ import annotations

import inspect
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from tests.kaizen_otel.surfaces import test_context_matrix as runtimes
from tests.kaizen_otel.surfaces.covered import goes_well

if TYPE_CHECKING:
    from collections.abc import Callable

    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured

pytestmark = pytest.mark.filterwarnings("ignore:AsyncLocalRuntime:DeprecationWarning")


def runner(kind: str) -> None:
    from kailash.runtime.runner import WorkflowRunner

    from tests.kaizen_otel.surfaces import scenes

    WorkflowRunner().run(scenes.workflow(kind))


def with_access_control(kind: str) -> None:
    from kailash.access_control import UserContext
    from kailash.runtime.access_controlled import execute_with_access_control

    from tests.kaizen_otel.surfaces import scenes

    user = UserContext(user_id="u", tenant_id="t", email="u@example.com", roles=[])
    execute_with_access_control(scenes.workflow(kind), user)


async def durable(kind: str) -> None:
    from kailash.runtime.durable import DurableExecutionEngine

    from tests.kaizen_otel.surfaces import scenes

    engine = DurableExecutionEngine.builder().build()
    try:
        await engine.execute(scenes.workflow(kind))
    finally:
        engine.runtime.close()


def helper(kind: str) -> None:
    from kailash.runtime.testing import WorkflowTestHelper

    from tests.kaizen_otel.surfaces import scenes

    WorkflowTestHelper().run_workflow(scenes.workflow(kind))


RUNTIMES: dict[str, Callable[[str], Any]] = {
    "kailash.runtime.local:LocalRuntime.execute kailash.nodes.base:Node.execute": runtimes.local,
    "kailash.runtime.local:LocalRuntime.execute_async": runtimes.local_async,
    "kailash.runtime.async_local:AsyncLocalRuntime.execute": runtimes.async_local,
    "kailash.runtime.async_local:AsyncLocalRuntime.execute_async": runtimes.async_local_execute_async,
    "kailash.runtime.async_local:AsyncLocalRuntime.execute_workflow_async": runtimes.async_local_workflow_async,
    "kailash.runtime.parallel:ParallelRuntime.execute": runtimes.parallel,
    "kailash.runtime.parallel_cyclic:ParallelCyclicRuntime.execute": runtimes.parallel_cyclic,
    "kailash.runtime.access_controlled:AccessControlledRuntime.execute": runtimes.access_controlled,
}
BELOW: dict[str, Callable[[str], Any]] = {
    "kailash.runtime.runner:WorkflowRunner.run": runner,
    "kailash.runtime.access_controlled:execute_with_access_control": with_access_control,
    "kailash.runtime.durable:DurableExecutionEngine.execute": durable,
    "kailash.runtime.testing:WorkflowTestHelper.run_workflow": helper,
}


def play(run: Callable[[str], Any], server: ModelServer, captured: Captured) -> None:
    """Run a workflow of a model's node, and one whose node fails."""
    from tests.kaizen_otel.surfaces import scenes

    def awaited(kind: str) -> Callable[[], Any]:
        async def scene() -> None:
            await run(kind)

        return scene if inspect.iscoroutinefunction(run) else lambda: run(kind)

    goes_well(awaited("llm"), server, captured)
    with suppress(Exception):
        scenes.play_under_caller(captured, awaited("FailingNode"))


@pytest.mark.covers_each("methods", "traced", "tokens", "cost", "error", "context")
@pytest.mark.parametrize("methods", RUNTIMES)
def test_a_runtime(methods: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    play(RUNTIMES[methods], kaizen_offline, kaizen_telemetry)


@pytest.mark.covers_each("method", "tokens", "cost", "error", "context")
@pytest.mark.parametrize("method", BELOW)
def test_what_makes_a_runtime_itself(method: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    play(BELOW[method], kaizen_offline, kaizen_telemetry)


@pytest.mark.covers("kailash.nodes.base_async:AsyncNode.execute_async", "traced", "tokens", "cost", "error", "context")
def test_an_awaited_node(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    from tests.kaizen_otel.surfaces import scenes

    class AskingNode(scenes.AsyncProbe):
        async def async_run(self, **_: Any) -> dict[str, Any]:
            await scenes.llm_client().complete(scenes.MESSAGES)
            return {}

    async def scene() -> None:
        await AskingNode(name="n").execute_async()
        with suppress(Exception):
            await scenes.FailingAsyncNode(name="n").execute_async()

    goes_well(scene, kaizen_offline, kaizen_telemetry)
    assert [span.status for span in kaizen_telemetry.spans_named("node")] == ["UNSET", "ERROR"]


@pytest.mark.covers("kaizen.nodes.base:KaizenNode.execute", "traced", "error", "context")
@pytest.mark.covers("kaizen.nodes.base_advanced:AINodeBase.execute", "traced", "error", "context")
def test_nodes_with_a_way_of_their_own(kaizen_telemetry: Captured) -> None:
    from kaizen.nodes.ai_nodes import KaizenTextGenerationNode
    from kaizen.nodes.base_advanced import AINodeBase

    from tests.kaizen_otel.surfaces import scenes

    class Plain(AINodeBase):
        def get_parameters(self) -> dict[str, Any]:
            return {}

        def run(self, **given: Any) -> dict[str, Any]:
            return {"answer": given["question"]}

    class Failing(KaizenTextGenerationNode):
        def run(self, **_: Any) -> dict[str, Any]:
            raise LookupError("gone")

    async def scene() -> None:
        KaizenTextGenerationNode(model="gpt-4o").execute(prompt="x")
        Failing(model="gpt-4o").execute(prompt="x")  # which it returns
        await Plain("n").execute(question="x")
        with suppress(KeyError):
            await Plain("n").execute()

    scenes.play_under_caller(kaizen_telemetry, scene)
    assert [span.status for span in kaizen_telemetry.spans_named("node")] == ["UNSET", "ERROR"] * 2
