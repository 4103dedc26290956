"""Kailash's runtimes: each run of a workflow is one `invoke_workflow`, however many runtimes hand it on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from kaizen_otel.invocations.scope import current_scope
from kaizen_otel.invocations.values import attribute_of, bounded_text, mapping
from kaizen_otel.invocations.workflow import WorkflowInvocation
from kaizen_otel.patches.coroutines import in_place_of
from kaizen_otel.patches.patcher import Patcher, Surface
from kaizen_otel.patches.switch import active
from kaizen_processors.values import type_name

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from kaizen_otel.telemetry import Telemetry

_GENERATED_NAME = re.compile(r"Workflow-[0-9a-f]{8}$")
"""What Kailash calls a workflow that nobody named: a new one for each build, so never a span's name or a label."""


def apply_local(patcher: Patcher, module: Any) -> None:
    """`LocalRuntime`."""
    patcher.wrap(module.LocalRuntime, "execute", execute)
    patcher.wrap(module.LocalRuntime, "execute_async", execute_async)


def apply_async_local(patcher: Patcher, module: Any) -> None:
    """`AsyncLocalRuntime`, which overrides all of them."""
    for name in ("execute_async", "execute_workflow_async"):
        patcher.wrap(module.AsyncLocalRuntime, name, execute_async)
    patcher.wrap(module.AsyncLocalRuntime, "execute", execute)


def apply_parallel(patcher: Patcher, module: Any) -> None:
    """`ParallelRuntime`, whose `execute` is a coroutine function."""
    patcher.wrap(module.ParallelRuntime, "execute", execute_async)


def apply_parallel_cyclic(patcher: Patcher, module: Any) -> None:
    """`ParallelCyclicRuntime`."""
    patcher.wrap(module.ParallelCyclicRuntime, "execute", execute)


def apply_access_controlled(patcher: Patcher, module: Any) -> None:
    """`AccessControlledRuntime`, which hands on to another runtime."""
    patcher.wrap(module.AccessControlledRuntime, "execute", execute)


SURFACES = (
    Surface("kailash.runtime.local", apply_local),
    Surface("kailash.runtime.async_local", apply_async_local),
    Surface("kailash.runtime.parallel", apply_parallel),
    Surface("kailash.runtime.parallel_cyclic", apply_parallel_cyclic),
    Surface("kailash.runtime.access_controlled", apply_access_controlled),
)


def execute(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A run that blocks its caller."""
    telemetry = active()
    workflow = _workflow_of(args, kwargs)
    if telemetry is None or already_watched(workflow):
        return wrapped(*args, **kwargs)
    with telemetry.workflow(lambda: describe(telemetry, instance, workflow)) as run:
        result = wrapped(*args, **kwargs)
        run.observe(lambda run: observe_result(run, result))
    return result


def execute_async(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A run that is awaited."""
    telemetry = active()
    call = wrapped(*args, **kwargs)
    workflow = _workflow_of(args, kwargs)
    if telemetry is None:
        return call
    return in_place_of(call, lambda call: _execute_async(telemetry, call, instance, workflow))


async def _execute_async(telemetry: Telemetry, call: Awaitable[Any], instance: Any, workflow: Any) -> Any:
    if already_watched(workflow):
        return await call
    with telemetry.workflow(lambda: describe(telemetry, instance, workflow)) as run:
        result = await call
        run.observe(lambda run: observe_result(run, result))
    return result


def _workflow_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return args[0] if args else kwargs.get("workflow")


def already_watched(workflow: Any) -> bool:
    """Whether this very run is being watched: a runtime handed it on to the next."""
    scope = current_scope()
    return isinstance(scope, WorkflowInvocation) and scope.subject is workflow and not scope.ended


def describe(telemetry: Telemetry, runtime: Any, workflow: Any) -> WorkflowInvocation:
    """Which workflow, run by what."""
    return WorkflowInvocation(
        telemetry,
        current_scope(),
        subject=workflow,
        name=name_of(workflow),
        runtime=type_name(runtime),
    )


def name_of(workflow: Any) -> str | None:
    """The name that a person gave the workflow, or None."""
    name = bounded_text(attribute_of(workflow, "name"))
    return None if not name or _GENERATED_NAME.match(name) else name


def observe_result(run: WorkflowInvocation, result: Any) -> None:
    """The run's id, and the failure of a leaf node, which Kailash returns as a value.

    A node's result counts as a failure only when the node was seen failing: a node of the user's may return
    `{"error": ...}` or `failed: True` and mean something else.
    """
    if type(result) is not tuple or len(result) != 2:  # noqa: PLR2004 - (results, run id)
        return
    results, run_id = result
    run.run_id = bounded_text(run_id)
    if type(results) is not dict:
        return
    for key, failure in run.failed_nodes.items():
        value = mapping(results.get(key))
        if value.get("failed") is True or bounded_text(value.get("status")) == "failed" or "error" in value:
            run.failure = failure
            return
