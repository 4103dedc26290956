"""Names on the wire for tasks in a queue: the messaging conventions, the same in every pinned version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaizen_otel.invocations.task import ProcessInvocation
from kaizen_semconv import attributes as k
from kaizen_semconv import gen_ai as g

if TYPE_CHECKING:
    from kaizen_otel.invocations.base import Attributes
    from kaizen_otel.invocations.task import TaskInvocation

SYSTEM = "kailash"
"""The queue is Kailash's own, whether its tasks wait in Redis or in a database."""


class TaskEmitter:
    """The part of an emitter that is about tasks."""

    def task_start(self, task: TaskInvocation) -> Attributes:
        """What is done, in which queue, which time."""
        queue = task.queue
        attributes: Attributes = {
            g.MESSAGING_SYSTEM: SYSTEM,
            g.MESSAGING_OPERATION_NAME: task.operation.value,
            g.MESSAGING_OPERATION_TYPE: task.operation.value,
            g.MESSAGING_DESTINATION_NAME: queue.name,
        }
        if queue.address is not None:
            attributes[g.SERVER_ADDRESS] = queue.address
            if queue.port is not None:
                attributes[g.SERVER_PORT] = queue.port
        if isinstance(task, ProcessInvocation):
            attributes[k.KAIZEN_TASK_ATTEMPT] = task.attempt
        return attributes

    def task_end(self, task: TaskInvocation) -> Attributes:
        """Which task, and what became of it."""
        attributes: Attributes = {} if task.task_id is None else {g.MESSAGING_MESSAGE_ID: task.task_id}
        if isinstance(task, ProcessInvocation) and task.outcome is not None:
            attributes[k.KAIZEN_TASK_OUTCOME] = task.outcome.value
        return attributes
