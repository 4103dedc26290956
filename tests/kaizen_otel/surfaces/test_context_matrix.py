"""Every way into Kaizen gives one tree under the caller's span, with one workflow span for each run."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.kaizen_otel.surfaces.trees import assert_one_trace

if TYPE_CHECKING:
    from collections.abc import Callable

    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured


def local(kind: str) -> Any:
    from kailash.runtime.local import LocalRuntime

    from tests.kaizen_otel.surfaces import scenes

    with LocalRuntime() as runtime:
        return runtime.execute(scenes.workflow(kind))


def local_without_async(kind: str) -> Any:
    from kailash.runtime.local import LocalRuntime

    from tests.kaizen_otel.surfaces import scenes

    with LocalRuntime(enable_async=False) as runtime:
        return runtime.execute(scenes.workflow(kind))


async def local_in_a_running_loop(kind: str) -> Any:
    return local(kind)


async def local_async(kind: str) -> Any:
    from kailash.runtime.local import LocalRuntime

    from tests.kaizen_otel.surfaces import scenes

    with LocalRuntime() as runtime:
        return await runtime.execute_async(scenes.workflow(kind))


def async_local(kind: str) -> Any:
    from kailash.runtime import AsyncLocalRuntime

    from tests.kaizen_otel.surfaces import scenes

    runtime = AsyncLocalRuntime()
    try:
        return runtime.execute(scenes.workflow(kind))
    finally:
        runtime.close()


async def async_local_execute_async(kind: str) -> Any:
    from kailash.runtime import AsyncLocalRuntime

    from tests.kaizen_otel.surfaces import scenes

    async with AsyncLocalRuntime() as runtime:
        return await runtime.execute_async(scenes.workflow(kind))


async def async_local_workflow_async(kind: str) -> Any:
    from kailash.runtime import AsyncLocalRuntime

    from tests.kaizen_otel.surfaces import scenes

    async with AsyncLocalRuntime() as runtime:
        return await runtime.execute_workflow_async(scenes.workflow(kind), inputs={})


async def parallel(kind: str) -> Any:
    from kailash.runtime.parallel import ParallelRuntime

    from tests.kaizen_otel.surfaces import scenes

    return await ParallelRuntime().execute(scenes.workflow(kind))


def parallel_cyclic(kind: str) -> Any:
    from kailash.runtime import ParallelCyclicRuntime

    from tests.kaizen_otel.surfaces import scenes

    with closing(ParallelCyclicRuntime()) as runtime:
        return runtime.execute(scenes.workflow(kind))


def parallel_cyclic_own_pool(kind: str) -> Any:
    from kailash.runtime import ParallelCyclicRuntime

    from tests.kaizen_otel.surfaces import scenes

    with closing(ParallelCyclicRuntime()) as runtime:
        return runtime.execute(scenes.workflow(kind), parallel_nodes={"n0"})


def access_controlled(kind: str) -> Any:
    from kailash.access_control import UserContext
    from kailash.runtime.access_controlled import AccessControlledRuntime

    from tests.kaizen_otel.surfaces import scenes

    user = UserContext(user_id="u", tenant_id="t", email="u@example.com", roles=[])
    with AccessControlledRuntime(user) as runtime:
        return runtime.execute(scenes.workflow(kind))


def kaizen_execute(kind: str) -> Any:
    from kaizen.core.framework import Kaizen

    from tests.kaizen_otel.surfaces import scenes

    return Kaizen().execute(scenes.workflow(kind))


RUNTIMES: dict[str, tuple[Callable[[str], Any], str]] = {
    "local": (local, "LocalRuntime"),
    "local_without_async": (local_without_async, "LocalRuntime"),
    "local_in_a_running_loop": (local_in_a_running_loop, "LocalRuntime"),
    "local_async": (local_async, "LocalRuntime"),
    "async_local": (async_local, "AsyncLocalRuntime"),
    "async_local_execute_async": (async_local_execute_async, "AsyncLocalRuntime"),
    "async_local_workflow_async": (async_local_workflow_async, "AsyncLocalRuntime"),
    "parallel": (parallel, "ParallelRuntime"),
    "parallel_cyclic": (parallel_cyclic, "ParallelCyclicRuntime"),
    "parallel_cyclic_own_pool": (parallel_cyclic_own_pool, "ParallelCyclicRuntime"),
    "access_controlled": (access_controlled, "AccessControlledRuntime"),
    "kaizen_execute": (kaizen_execute, "LocalRuntime"),
}

KINDS = {
    "sync": ("SyncProbe", "node SyncProbe"),
    "async": ("AsyncProbe", "node AsyncProbe"),
    # An LLM node that a workflow runs directly is the execution: one span, not a node with an agent in it.
    "llm": ("llm", "invoke_agent n0\n      chat gpt-4o"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_workflow_run_is_one_tree_under_the_caller(
    runtime: str, kind: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import scenes

    run, runtime_class = RUNTIMES[runtime]
    node, below = KINDS[kind]
    scene = partial(run, node)
    results, _ = scenes.play_under_caller(kaizen_telemetry, scene)

    assert set(results) == {"n0"}
    assert kaizen_telemetry.tree() == f"caller\n  invoke_workflow\n    {below}"
    assert kaizen_telemetry.span("invoke_workflow")["kaizen.workflow.runtime"] == runtime_class
    expected = [("n0", "gpt-4o", "success")] if kind == "llm" else []
    assert [(e.agent_name, e.model, e.status) for e in kaizen_telemetry.executions] == expected
    assert len(kaizen_offline.requests) == len(expected)
    assert_one_trace(kaizen_telemetry)


def test_two_runs_on_one_runtime_are_two_workflow_spans(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from kailash.runtime.local import LocalRuntime

    from tests.kaizen_otel.surfaces import scenes

    def scene() -> None:
        with LocalRuntime() as runtime:
            runtime.execute(scenes.workflow("llm"))
            runtime.execute(scenes.workflow("AsyncProbe"))

    scenes.play_under_caller(kaizen_telemetry, scene)

    assert kaizen_telemetry.tree() == (
        "caller\n  invoke_workflow\n    invoke_agent n0\n      chat gpt-4o\n  invoke_workflow\n    node AsyncProbe"
    )
    assert len(kaizen_offline.requests) == 1
    assert_one_trace(kaizen_telemetry)


@pytest.mark.parametrize("runtime", ["local", "async_local_workflow_async", "parallel"])
def test_a_mixed_workflow_has_its_nodes_side_by_side(
    runtime: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from kailash.runtime import AsyncLocalRuntime
    from kailash.runtime.local import LocalRuntime
    from kailash.runtime.parallel import ParallelRuntime

    from tests.kaizen_otel.surfaces import scenes

    async def on_async_local() -> Any:
        async with AsyncLocalRuntime() as async_runtime:
            return await async_runtime.execute_workflow_async(built, inputs={})

    async def on_parallel() -> Any:
        return await ParallelRuntime().execute(built)

    def on_local() -> Any:
        with LocalRuntime() as local_runtime:
            return local_runtime.execute(built)

    built = scenes.workflow("AsyncProbe", "SyncProbe", "llm")
    scene = {"local": on_local, "async_local_workflow_async": on_async_local, "parallel": on_parallel}[runtime]
    scenes.play_under_caller(kaizen_telemetry, scene)

    assert kaizen_telemetry.tree() == (
        "caller\n  invoke_workflow\n    node AsyncProbe\n    node SyncProbe\n    invoke_agent n2\n      chat gpt-4o"
    )
    assert len(kaizen_offline.requests) == 1
    assert_one_trace(kaizen_telemetry)
