"""Workflows, their nodes, and what carries them on."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

from tests.versions.probes.probing import in_loop, probe, run_workflow, scenes

if TYPE_CHECKING:
    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured


@probe
def workflow(_server: ModelServer, seen: Captured) -> None:
    run_workflow(scenes().workflow("SyncProbe", "AsyncProbe", name="morning"))
    assert seen.tree() == "invoke_workflow morning\n  node SyncProbe\n  node AsyncProbe"


@probe
def workflow_awaited(_server: ModelServer, seen: Captured) -> None:
    from kailash.runtime.async_local import AsyncLocalRuntime

    async def run() -> None:
        runtime = AsyncLocalRuntime()
        await runtime.execute_workflow_async(scenes().workflow("SyncProbe", "AsyncProbe"), {})
        if hasattr(runtime, "close"):  # older ones have none
            runtime.close()

    asyncio.run(run())
    assert seen.tree() == "invoke_workflow\n  node SyncProbe\n  node AsyncProbe"


@probe
def workflow_in_loop(_server: ModelServer, seen: Captured) -> None:
    asyncio.run(in_loop(lambda: run_workflow(scenes().workflow("llm"))))
    assert seen.tree() == "invoke_workflow\n  invoke_agent n0\n    chat gpt-4o"


class Checkpoints:
    """A store of checkpoints: what a runtime asks of one."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}

    async def save(self, key: str, data: bytes) -> None:
        self._blobs[key] = data

    async def load(self, key: str) -> bytes | None:
        return self._blobs.get(key)


@probe
def workflow_resumed(_server: ModelServer, seen: Captured) -> None:
    from kailash.runtime.local import LocalRuntime

    store: Any = Checkpoints()
    for _ in range(2):
        with LocalRuntime(checkpoint_store=store, checkpoint_after_each_node=True) as runtime:
            runtime.execute(scenes().workflow("SyncProbe"), idempotency_key="k")
    first, second = seen.spans_named("invoke_workflow")
    assert second["kaizen.workflow.resumed"] is True
    assert [f"{link.context.span_id:016x}" for link in second.raw.links] == [first.span_id]


@probe
def task_carried(_server: ModelServer, seen: Captured) -> None:
    from kailash.runtime.distributed import TaskMessage, TaskQueue

    task = TaskMessage(task_id="t-1")
    with contextlib.suppress(Exception):  # nobody listens there, or `redis` is not installed
        TaskQueue(redis_url="redis://127.0.0.1:9/0").enqueue(task)
    sent = seen.span("send default")
    carried = json.loads(TaskMessage.from_json(task.to_json()).to_json())["otel"]["traceparent"]
    assert carried.split("-")[1:3] == [sent.trace_id, sent.span_id]


@probe
def workflow_parallel(_server: ModelServer, seen: Captured) -> None:
    from kailash.runtime.parallel import ParallelRuntime

    asyncio.run(ParallelRuntime().execute(scenes().parallel_workflow("SyncProbe", 2)))
    assert seen.tree() == "invoke_workflow\n  node SyncProbe\n  node SyncProbe"


@probe
def node_class_later(_server: ModelServer, seen: Captured) -> None:
    from tests.kaizen_otel.surfaces.scenes import SyncProbe

    class Late(SyncProbe):
        def execute(self, **_: Any) -> Any:
            return {"result": 1}

    Late().execute()
    assert seen.tree() == "node Late"
