"""Slots of the queues of workflows, and of checkpoints."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from tests.hostile.slot import Slots

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.hostile.stage import Stage

SLOTS = Slots()
QUEUES = "kailash.runtime.distributed"
DISPATCHER = "kailash.infrastructure.task_queue:SQLTaskQueueDispatcher"
LOCAL, ASYNC_LOCAL = "kailash.runtime.local", "kailash.runtime.async_local"


def _queue(answer: Callable[[], Any], url: Any = "redis://127.0.0.1:9/0") -> Any:
    """A queue whose Redis says what it is told to: a part of a client that needs no server."""
    from kailash.runtime.distributed import TaskQueue

    queue = TaskQueue(redis_url="redis://127.0.0.1:9/0")
    queue._redis_url = url
    said: Any = SimpleNamespace(set=lambda *_, **__: answer(), lpush=lambda *_: answer(), lrange=lambda *_: [])
    queue._client = said
    return queue


def _task(**fields: Any) -> Any:
    from kailash.runtime.distributed import TaskMessage

    return TaskMessage(**{"task_id": "t-1", "submitted_at": 1.0, **fields})


@SLOTS.add(f"{QUEUES}:TaskQueue.enqueue")
def sent_task(stage: Stage) -> Any:
    return _queue(lambda: None).enqueue(stage.value)


@SLOTS.add(f"{QUEUES}:TaskQueue.enqueue")
def sent_task_fields(stage: Stage) -> Any:
    from kailash.runtime.distributed import TaskMessage

    class Odd(TaskMessage):
        def to_json(self) -> Any:
            return stage.give()

    return _queue(lambda: None, stage.value).enqueue(Odd("t-1", submitted_at=1.0, queue_name=stage.value))


@SLOTS.add(f"{QUEUES}:TaskQueue.enqueue", takes="error")
def sending_raises(stage: Stage) -> Any:
    return _queue(stage.throw).enqueue(_task())


@SLOTS.add(f"{QUEUES}:TaskMessage.to_json")
def written_task(stage: Stage) -> Any:
    task = _task(parameters={"x": stage.value})
    stage.reached = True  # it is in the task itself
    return task.to_json()


@SLOTS.add(f"{QUEUES}:TaskMessage.from_json")
def read_task(stage: Stage) -> Any:
    from kailash.runtime.distributed import TaskMessage

    return TaskMessage.from_json(stage.value)


@SLOTS.add(f"{QUEUES}:TaskMessage.from_json")
def read_carrier(stage: Stage) -> Any:
    from kailash.runtime.distributed import TaskMessage

    stage.reached = True  # as text
    text = json.dumps({"task_id": "t", "otel": {"traceparent": 1, "x": None, "y": []}})
    return TaskMessage.from_json(text.replace("1", "[" * 5_000) if stage.value is None else text)


def _worker(run: Callable[[], Any]) -> Any:
    from kailash.runtime.distributed import Worker

    runtime = SimpleNamespace(execute=lambda *_, **__: run())
    worker = Worker(queue=_queue(lambda: None), runtime_factory=lambda: runtime, worker_id="w")
    worker._execute_workflow_sync = lambda *_, **__: run()
    return worker


@SLOTS.add(f"{QUEUES}:Worker._execute_task")
def attempted_task(stage: Stage) -> Any:
    spec: Any = SimpleNamespace(name=stage.value, queue=_queue(lambda: None))
    task = _task(task_id=stage.value, max_attempts=stage.value, queue_name=stage.value)
    return stage.run(_worker(stage.give)._execute_task(task, spec=spec))


@SLOTS.add(f"{QUEUES}:Worker._execute_task", takes="error")
def attempt_raises(stage: Stage) -> Any:
    worker = _worker(lambda: None)
    worker._get_runtime = stage.throw  # not in the pool's thread: there a `StopIteration` hangs the worker without us
    return stage.run(worker._execute_task(_task(attempts=1)))


@SLOTS.add(f"{QUEUES}:Worker._execute_workflow_sync")
def attempted_workflow(stage: Stage) -> Any:
    from kailash.runtime.distributed import Worker
    from kailash.workflow.builder import WorkflowBuilder

    builder = WorkflowBuilder()
    builder.add_node("PythonCodeNode", "one", {"code": "result = 1"})
    runtime = SimpleNamespace(execute=lambda *_, **__: ({"one": {"result": stage.give()}}, "run"))
    task = _task(workflow_data=builder.build(name="one").to_dict())
    return Worker(queue=_queue(lambda: None))._execute_workflow_sync(runtime, task)


# -- the SQL queue ------------------------------------------------------------------------------------------------


def _dispatcher(answer: Callable[[], Any]) -> Any:
    from kailash.infrastructure.task_queue import SQLTaskQueueDispatcher

    async def asked(**_: Any) -> Any:
        return answer()

    dispatcher = SQLTaskQueueDispatcher(SimpleNamespace())
    dispatcher._initialized = True
    parts: Any = SimpleNamespace(enqueue=asked, dequeue=asked)
    dispatcher._queue = parts
    return dispatcher


@SLOTS.add(f"{DISPATCHER}.enqueue")
def dispatched_task(stage: Stage) -> Any:
    return stage.run(_dispatcher(lambda: None).enqueue(stage.value))


@SLOTS.add(f"{DISPATCHER}.enqueue")
def dispatched_fields(stage: Stage) -> Any:
    task = SimpleNamespace(
        task_id=stage.value,
        schedule_id=stage.value,
        workflow_blob=b"{}",
        planned_fire_time=stage.value,
        queue_name=stage.value,
        kwargs=stage.value,
    )
    return stage.run(_dispatcher(stage.give).enqueue(task))


@SLOTS.add(f"{DISPATCHER}.enqueue", takes="error")
def dispatching_raises(stage: Stage) -> Any:
    from kailash.runtime.dispatcher import Task

    return stage.run(_dispatcher(stage.throw).enqueue(Task("t", "s", b"{}", "now")))


@SLOTS.add(f"{DISPATCHER}._poll_iter")
def polled_task(stage: Stage) -> Any:
    messages = iter([stage.give])

    def next_message() -> Any:
        payload = {"schedule_id": stage.value, "kwargs": stage.value, "otel": stage.value}
        for give in messages:
            return SimpleNamespace(task_id=give(), payload=payload, queue_name="default")
        return None

    async def read() -> list[Any]:
        return [(task.task_id, task.kwargs) async for task in _dispatcher(next_message)._poll_iter("default")]

    return stage.run(read())


# -- checkpoints --------------------------------------------------------------------------------------------------


def _encode(stage: Stage, module: Any) -> Any:
    blob = json.loads(module.encode_checkpoint_payload(workflow_fingerprint="f", tracker_state={"x": stage.value}))
    return sorted(blob)


@SLOTS.add(f"{LOCAL}:encode_checkpoint_payload")
def written_checkpoint(stage: Stage) -> Any:
    from kailash.runtime import local

    return _encode(stage, local)


@SLOTS.add(f"{ASYNC_LOCAL}:encode_checkpoint_payload")
def written_checkpoint_of_async(stage: Stage) -> Any:
    from kailash.runtime import async_local

    return _encode(stage, async_local)


@SLOTS.add(f"{LOCAL}:decode_checkpoint_payload")
def read_checkpoint(stage: Stage) -> Any:
    from kailash.runtime import local

    return local.decode_checkpoint_payload(stage.value)


@SLOTS.add(f"{ASYNC_LOCAL}:decode_checkpoint_payload")
def read_checkpoint_of_async(stage: Stage) -> Any:
    from kailash.runtime import async_local

    return async_local.decode_checkpoint_payload(stage.value)
