"""Workflows as both ends of a queue know them, and a worker that stops when it has seen so many attempts."""

from __future__ import annotations

from typing import Any

from kailash.runtime.distributed import Worker
from kailash.security import get_security_config
from kailash.workflow.builder import WorkflowBuilder

# As in the scenes of the surfaces: an older Kailash limits the memory of the whole process.
get_security_config().memory_limit = 1 << 46


def flow(name: str, *codes: str) -> Any:
    """A workflow of nodes in a row, each with its own Python."""
    builder = WorkflowBuilder()
    for number, code in enumerate(codes):
        builder.add_node("PythonCodeNode", f"n{number}", {"code": code})
        if number:
            builder.add_connection(f"n{number - 1}", "result", f"n{number}", "before")
    return builder.build(name=name)


GOOD = "result = {'n': 1}"
BAD = "raise KeyError('x')"


async def work(url: str, attempts: int, **given: Any) -> None:
    """Be a worker for so many attempts."""
    worker = Worker(redis_url=url, worker_id="worker-1", **given)
    seen = []

    async def after(event: Any) -> None:
        seen.append(event)
        if len(seen) == attempts:
            await worker.stop()

    worker.on_task_postrun(after)
    await worker.start()
    assert len(seen) == attempts
