"""The durable engine and its SQL queue: the run of a task goes on where the task was sent."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from kaizen_otel.testing import capture

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from kaizen_otel.testing import Captured

pytestmark = pytest.mark.filterwarnings("ignore:AsyncLocalRuntime:DeprecationWarning")
GOOD = "result = {'n': 1}"


def with_dispatcher(path: Path, ask: Callable[[Any, Any], Awaitable[Any]]) -> Any:
    """Run `ask(connections, dispatcher)` against a database in a file."""
    from kailash.db.connection import ConnectionManager
    from kailash.infrastructure.task_queue import SQLTaskQueueDispatcher

    async def main() -> Any:
        connections = ConnectionManager(f"sqlite:///{path}")
        await connections.initialize()
        try:
            return await ask(connections, SQLTaskQueueDispatcher(connections))
        finally:
            await connections.close()

    return asyncio.run(main())


async def send(dispatcher: Any, **given: Any) -> None:
    from kailash.runtime.durable import DurableExecutionEngine

    from tests.kaizen_otel.queues.flows import flow

    engine = DurableExecutionEngine.builder().dispatch_via(dispatcher).execution_mode("dispatch_only").build()
    try:
        results, _ = await engine.execute(flow("good", GOOD), **given)
    finally:
        engine.runtime.close()
    assert results == {}


async def consume(dispatcher: Any, key: Callable[[Any], str]) -> list[Any]:
    """What an application's worker does: ask for tasks, run their workflows, settle them."""
    from kailash.runtime.async_local import AsyncLocalRuntime
    from kailash.workflow.graph import Workflow

    tasks = []
    async with AsyncLocalRuntime() as runtime:
        async for task in dispatcher.poll():
            workflow = Workflow.from_dict(json.loads(task.workflow_blob))
            await runtime.execute_workflow_async(workflow, inputs=task.kwargs["inputs"], idempotency_key=key(task))
            await dispatcher.ack(task.task_id)
            tasks.append(task)
    return tasks


KEYS = {"the task's own": lambda task: task.task_id, "the sender's": lambda task: task.kwargs["idempotency_key"]}


@pytest.mark.parametrize("key", KEYS)
def test_the_run_of_a_task_goes_on_with_its_senders_trace(key: str, tmp_path: Path, kaizen_telemetry: Captured) -> None:
    async def ask(_: Any, dispatcher: Any) -> Any:
        await send(dispatcher, idempotency_key="order-17")
        return await consume(dispatcher, KEYS[key])

    (task,) = with_dispatcher(tmp_path / "queue.db", ask)

    assert kaizen_telemetry.tree() == "send default\n  invoke_workflow good\n    node PythonCodeNode"
    sent, run = kaizen_telemetry.span("send"), kaizen_telemetry.span("invoke_workflow")
    assert (sent.kind, sent["messaging.message.id"]) == ("PRODUCER", task.task_id)
    assert "server.address" not in sent.attributes
    assert [f"{link.context.span_id:016x}" for link in run.raw.links] == [sent.span_id]
    assert set(task.kwargs) == {"inputs", "idempotency_key", "engine"}


@pytest.mark.covers("kailash.infrastructure.task_queue:SQLTaskQueueDispatcher.enqueue", "traced", "error", "context")
def test_sending_is_a_span_of_its_own_and_fails_with_its_database(tmp_path: Path, kaizen_telemetry: Captured) -> None:
    async def ask(connections: Any, dispatcher: Any) -> None:
        with kaizen_telemetry.tracer_provider.get_tracer("application").start_as_current_span("around"):
            await send(dispatcher, idempotency_key="order-17")
            await connections.close()
            await send(dispatcher, idempotency_key="order-18")

    with pytest.raises(Exception, match=r"(?i)not initialized|closed|no active connection"):
        with_dispatcher(tmp_path / "queue.db", ask)

    assert [span.status for span in kaizen_telemetry.spans_named("send")] == ["UNSET", "ERROR"]


def test_inside_another_span_the_sender_is_linked(tmp_path: Path, kaizen_telemetry: Captured) -> None:
    async def ask(_: Any, dispatcher: Any) -> None:
        await send(dispatcher, idempotency_key="order-17")
        with kaizen_telemetry.tracer_provider.get_tracer("application").start_as_current_span("around"):
            await consume(dispatcher, lambda task: str(task.task_id))

    with_dispatcher(tmp_path / "queue.db", ask)

    run = kaizen_telemetry.span("invoke_workflow")
    assert run.parent_id == kaizen_telemetry.span("around").span_id
    assert [f"{link.context.span_id:016x}" for link in run.raw.links] == [kaizen_telemetry.span("send").span_id]


def test_what_is_stored_is_what_is_stored_without_us_but_for_one_field(tmp_path: Path) -> None:
    async def ask(connections: Any, dispatcher: Any) -> Any:
        from kailash.runtime.dispatcher import Task

        rows = []
        for task_id in ("plain", "watched"):
            task = Task(task_id, "s", b"{}", "2026-01-01", kwargs={"a": 1})
            if task_id == "plain":
                await dispatcher.enqueue(task)
            else:
                with capture() as seen:
                    await dispatcher.enqueue(task)
                    await dispatcher.enqueue(task)  # again: the queue has it already
                    first, _ = seen.spans_named("send")
            row = await connections.fetchone("SELECT payload FROM kailash_task_queue WHERE task_id = ?", task_id)
            rows.append(json.loads(row["payload"]))
        return (*rows, first)

    plain, watched, sent = with_dispatcher(tmp_path / "queue.db", ask)

    assert watched.pop("otel") == {"traceparent": f"00-{sent.trace_id}-{sent.span_id}-01"}
    assert list(watched.items()) == list(plain.items())


def test_a_task_of_a_sender_without_us_runs_in_a_trace_of_its_own(tmp_path: Path) -> None:
    with_dispatcher(tmp_path / "queue.db", lambda _, dispatcher: send(dispatcher, idempotency_key="order-18"))
    with capture() as seen:
        with_dispatcher(tmp_path / "queue.db", lambda _, dispatcher: consume(dispatcher, KEYS["the task's own"]))
        run = seen.span("invoke_workflow")
    assert (run.parent_id, run.raw.links) == (None, ())
