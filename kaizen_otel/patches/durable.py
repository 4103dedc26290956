"""Workflows that outlive a process: tasks in Kailash's SQL queue, and runs that go on from a checkpoint.

A consumer of the SQL queue is the application's: it asks for tasks and runs their workflows itself. What came with a
task is found again by the `idempotency_key` that the run is given, as Kailash asks consumers to (kailash 2.65).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from kaizen_otel.invocations.scope import current_scope
from kaizen_otel.invocations.task import Queue, SendInvocation
from kaizen_otel.invocations.values import attribute_of, bounded_text, entry_of
from kaizen_otel.invocations.workflow import WorkflowInvocation
from kaizen_otel.patches.carriers import FIELD, Carrier, carrier_in, context_in, current_carrier, with_carrier
from kaizen_otel.patches.coroutines import in_place_of
from kaizen_otel.patches.patcher import Patcher, Surface
from kaizen_otel.patches.standins import along, method_of
from kaizen_otel.patches.switch import active
from kaizen_otel.patches.task_queues import DEFAULT_QUEUE

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from opentelemetry.context import Context

    from kaizen_otel.telemetry import Telemetry

REMEMBERED = 1_024
"""Tasks that were asked for and whose run was not yet seen; the oldest are forgotten."""

_POLLED: OrderedDict[str, Carrier] = OrderedDict()


def apply_dispatcher(patcher: Patcher, module: Any) -> None:
    """The queue that the durable engine and the scheduler send to (since kailash 2.28)."""
    dispatcher = getattr(module, "SQLTaskQueueDispatcher", None)
    if dispatcher is not None:
        patcher.wrap(dispatcher, "enqueue", enqueue)
        patcher.wrap(dispatcher, "_poll_iter", poll)


def apply_checkpoints(patcher: Patcher, module: Any) -> None:
    """What a runtime writes after each node, and finds when a run is repeated."""
    patcher.wrap(module, "encode_checkpoint_payload", encode)
    patcher.wrap(module, "decode_checkpoint_payload", decode)


SURFACES = (
    Surface("kailash.infrastructure.task_queue", apply_dispatcher),
    Surface("kailash.runtime.local", apply_checkpoints),
    Surface("kailash.runtime.async_local", apply_checkpoints),
)


# -- tasks --------------------------------------------------------------------------------------------------------


def enqueue(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`SQLTaskQueueDispatcher.enqueue(task)`."""
    telemetry = active()
    if telemetry is None:
        return wrapped(*args, **kwargs)

    def carried(put: Any) -> Any:
        def put_with_context(*args: Any, **kwargs: Any) -> Any:
            with telemetry.fence("task.context"):
                payload, carrier = kwargs["payload"], current_carrier()
                if carrier and type(payload) is dict:
                    kwargs = {**kwargs, "payload": {**payload, FIELD: carrier}}
            return put(*args, **kwargs)

        return put_with_context

    call = method_of(wrapped, along(instance, "_queue.enqueue", carried), instance)(*args, **kwargs)
    task = args[0] if args else kwargs.get("task")
    return in_place_of(call, lambda call: _send(telemetry, call, task))


async def _send(telemetry: Telemetry, call: Awaitable[Any], task: Any) -> Any:
    with telemetry.operation("send", lambda: describe_send(telemetry, task)):
        return await call


def describe_send(telemetry: Telemetry, task: Any) -> SendInvocation:
    """Which task, into which queue."""
    name = bounded_text(attribute_of(task, "queue_name")) or DEFAULT_QUEUE
    return SendInvocation(telemetry, current_scope(), Queue(name), bounded_text(attribute_of(task, "task_id")) or None)


def poll(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`SQLTaskQueueDispatcher._poll_iter(queue_name)`: an async generator of tasks."""
    telemetry = active()
    if telemetry is None:
        return wrapped(*args, **kwargs)

    def seen(take: Any) -> Any:
        async def taken(*args: Any, **kwargs: Any) -> Any:
            message = await take(*args, **kwargs)
            with telemetry.fence("task.read"):
                remember(message)
            return message

        return taken

    return method_of(wrapped, along(instance, "_queue.dequeue", seen), instance)(*args, **kwargs)


def remember(message: Any) -> None:
    """What came with a task, by both keys that its run may be given."""
    payload = attribute_of(message, "payload")
    carrier = carrier_in(entry_of(payload, FIELD))
    if not carrier:
        return
    for key in (attribute_of(message, "task_id"), entry_of(entry_of(payload, "kwargs"), "idempotency_key")):
        if type(key) is str and key:
            _POLLED[key] = carrier
            _POLLED.move_to_end(key)
    while len(_POLLED) > REMEMBERED:
        _POLLED.popitem(last=False)


def origin_of(idempotency_key: Any) -> Context | None:
    """The context that came with the task which a run with this key is."""
    carrier = _POLLED.get(idempotency_key) if _POLLED and type(idempotency_key) is str else None
    return None if carrier is None else context_in(carrier)


# -- checkpoints --------------------------------------------------------------------------------------------------


def encode(wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`encode_checkpoint_payload(…)`: bytes of JSON, with the context of the run that writes them."""
    blob = wrapped(*args, **kwargs)
    telemetry = active()
    if telemetry is not None and type(blob) is bytes:
        with telemetry.fence("checkpoint.write"):
            run = run_around()
            if run is not None:
                return with_carrier(blob.decode(), current_carrier(run.context())).encode()
    return blob


def decode(wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`decode_checkpoint_payload(blob)`: whoever finds one goes on from it."""
    payload = wrapped(*args, **kwargs)
    telemetry = active()
    if telemetry is not None:
        with telemetry.fence("checkpoint.read"):
            run = run_around()
            carrier = carrier_in(payload.pop(FIELD, None)) if type(payload) is dict else {}
            if run is not None:
                run.resumes(context_in(carrier))
    return payload


def run_around() -> WorkflowInvocation | None:
    """The run of a workflow that this code belongs to."""
    scope = current_scope()
    while scope is not None and not isinstance(scope, WorkflowInvocation):
        scope = scope.parent
    return scope
