"""Kailash's queue in Redis: `DistributedRuntime` puts workflows into it, a `Worker` in another process runs them.

The context travels in the task's JSON, in a field of its own: a worker that does not know it reads the fields that it
knows (`TaskMessage.from_json`), and puts the task back without it when an attempt fails.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from kaizen_otel.invocations.failure import Failure, message_of, type_name
from kaizen_otel.invocations.scope import attach, current_scope, detach
from kaizen_otel.invocations.task import ProcessInvocation, Queue, SendInvocation
from kaizen_otel.invocations.values import attribute_of, bounded_text, entry_of
from kaizen_otel.patches.by_identity import ByIdentity
from kaizen_otel.patches.carriers import FIELD, Carrier, carrier_in, context_in, current_carrier, with_carrier
from kaizen_otel.patches.coroutines import in_place_of
from kaizen_otel.patches.patcher import Patcher, Surface
from kaizen_otel.patches.standins import along, method_of
from kaizen_otel.patches.switch import active
from kaizen_processors.values import type_name as class_name

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from kaizen_otel.telemetry import Telemetry

DEFAULT_QUEUE = "default"
_REDIS_PORT = 6379
_LIMITS = frozenset({"SoftTimeLimitExceeded", "HardTimeLimitExceeded"})
"""Raised from the cancellation by which a limit is enforced, which is not why the attempt failed."""

_CARRIERS: ByIdentity[Carrier] = ByIdentity()
"""What came, or goes, with a task."""

_ATTEMPTS: ByIdentity[ProcessInvocation] = ByIdentity()
"""The attempt that is under way at a task: its workflow runs in a thread, which starts with an empty context."""


def apply(patcher: Patcher, module: Any) -> None:
    """Both ends of the queue, and the task between them."""
    patcher.wrap(module.TaskQueue, "enqueue", enqueue)
    patcher.wrap(module.TaskMessage, "to_json", to_json)
    patcher.wrap(module.TaskMessage, "from_json", from_json)
    patcher.wrap(module.Worker, "_execute_task", execute_task)
    patcher.wrap(module.Worker, "_execute_workflow_sync", execute_workflow)


SURFACE = Surface("kailash.runtime.distributed", apply)


# -- the task -----------------------------------------------------------------------------------------------------


def to_json(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The task as it goes into Redis."""
    text = wrapped(*args, **kwargs)
    telemetry = active()
    if telemetry is not None and type(text) is str:
        with telemetry.fence("task.write"):
            return with_carrier(text, _CARRIERS.get(instance) or {})
    return text


def from_json(wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A task as it comes out of Redis."""
    task = wrapped(*args, **kwargs)
    telemetry = active()
    text = args[0] if args else kwargs.get("data")
    if telemetry is not None and type(text) is str and FIELD in text:
        with telemetry.fence("task.read"):
            carrier = carrier_in(entry_of(json.loads(text), FIELD))
            if carrier:
                _CARRIERS.put(task, carrier)
    return task


# -- the producer -------------------------------------------------------------------------------------------------


def enqueue(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`TaskQueue.enqueue(task)`."""
    telemetry = active()
    if telemetry is None:
        return wrapped(*args, **kwargs)
    task = args[0] if args else kwargs.get("task")
    with telemetry.operation("send", lambda: describe_send(telemetry, instance, task)) as sending:
        with telemetry.fence("task.context"):
            _CARRIERS.put(task, current_carrier())
        result = wrapped(*args, **kwargs)
        sending.observe(lambda sending: observe_sent(sending, result))
    return result


def describe_send(telemetry: Telemetry, queue: Any, task: Any) -> SendInvocation:
    """Which task, into which queue."""
    name = bounded_text(attribute_of(task, "queue_name")) or DEFAULT_QUEUE
    task_id = bounded_text(attribute_of(task, "task_id")) or None
    return SendInvocation(telemetry, current_scope(), queue_at(name, attribute_of(queue, "_redis_url")), task_id)


def observe_sent(sending: SendInvocation, task_id: Any) -> None:
    """The identity that the queue gave the task, when it had none."""
    sending.task_id = bounded_text(task_id) or sending.task_id


def queue_at(name: str, url: Any) -> Queue:
    """A queue by its name and the URL of its server."""
    text = bounded_text(url, 2_048)
    if not text:
        return Queue(name)
    parts = urlsplit(text)
    address = bounded_text(parts.hostname)
    return Queue(name) if address is None else Queue(name, address, parts.port or _REDIS_PORT)


# -- the consumer -------------------------------------------------------------------------------------------------


def execute_task(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`Worker._execute_task(task, spec=…)`: one attempt. It raises nothing, but tells its hooks what was raised."""
    telemetry = active()
    if telemetry is None:
        return wrapped(*args, **kwargs)
    told: list[Any] = []

    def with_ours(hooks: Any) -> Any:
        with telemetry.fence("task.hooks"):
            return [*hooks, told.append]
        return hooks

    call = method_of(wrapped, along(instance, "_hooks_postrun", with_ours), instance)(*args, **kwargs)
    task = args[0] if args else kwargs.get("task")
    spec = kwargs.get("spec")
    return in_place_of(call, lambda call: _execute_task(telemetry, call, (instance, spec), task, told))


async def _execute_task(
    telemetry: Telemetry, call: Awaitable[Any], where: tuple[Any, Any], task: Any, told: list[Any]
) -> Any:
    with telemetry.operation("process", lambda: describe_attempt(telemetry, *where, task)) as attempt:
        if isinstance(attempt, ProcessInvocation):
            with telemetry.fence("task.context"):
                _ATTEMPTS.put(task, attempt)
        result = await call
        attempt.observe(lambda attempt: observe_attempt(attempt, told))
    return result


def describe_attempt(telemetry: Telemetry, worker: Any, spec: Any, task: Any) -> ProcessInvocation:
    """Which task, which time, and where it comes from."""
    queue = bounded_text(attribute_of(spec, "name")) or bounded_text(attribute_of(task, "queue_name"))
    attempt, most = attribute_of(task, "attempts"), attribute_of(task, "max_attempts")
    carrier = _CARRIERS.get(task)
    return ProcessInvocation(
        telemetry,
        current_scope(),
        queue_at(queue or DEFAULT_QUEUE, attribute_of(worker, "_redis_url")),
        bounded_text(attribute_of(task, "task_id")) or None,
        attempt=attempt if type(attempt) is int and attempt > 0 else 1,
        max_attempts=most if type(most) is int else None,
        origin=None if carrier is None else context_in(carrier),
    )


def observe_attempt(attempt: ProcessInvocation, told: list[Any]) -> None:
    """What the worker told its hooks: the error as it names it, a time limit among them."""
    for event in told:
        attempt.settled = True
        error = attribute_of(event, "exception")
        if isinstance(error, BaseException):
            limit = class_name(error) in _LIMITS
            attempt.failure = Failure(type_name(error), message_of(error)) if limit else Failure.of(error)


def execute_workflow(wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`Worker._execute_workflow_sync(runtime, task, …)`: the workflow, in a thread of a pool."""
    task = args[1] if len(args) > 1 else kwargs.get("task")
    attempt = _ATTEMPTS.get(task)
    if active() is None or attempt is None or attempt.ended:
        return wrapped(*args, **kwargs)
    attached = attach(attempt.context())
    try:
        return wrapped(*args, **kwargs)
    finally:
        detach(attached)
