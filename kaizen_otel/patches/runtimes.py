"""Kailash's runtimes: each run of a workflow is one `invoke_workflow`, however many runtimes hand it on."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

from kaizen_otel.invocations.scope import current_scope
from kaizen_otel.invocations.values import attribute_of, bounded_text, mapping
from kaizen_otel.invocations.workflow import WorkflowInvocation
from kaizen_otel.patches.durable import origin_of
from kaizen_otel.patches.patcher import Patcher, Surface
from kaizen_otel.patches.watching import awaited, blocking
from kaizen_processors.values import type_name

if TYPE_CHECKING:
    from kaizen_otel.patches.watching import Arguments, Begun, Keywords
    from kaizen_otel.telemetry import Telemetry

_GENERATED_NAME = re.compile(r"Workflow-[0-9a-f]{8}$")
"""What Kailash calls a workflow that nobody named: a new one for each build, so never a span's name or a label."""


def apply_local(patcher: Patcher, module: Any) -> None:
    """`LocalRuntime`."""
    patcher.wrap(module.LocalRuntime, "execute", EXECUTE)
    patcher.wrap(module.LocalRuntime, "execute_async", EXECUTE_ASYNC)


def apply_async_local(patcher: Patcher, module: Any) -> None:
    """`AsyncLocalRuntime`, which overrides all of them."""
    for name in ("execute_async", "execute_workflow_async"):
        patcher.wrap(module.AsyncLocalRuntime, name, EXECUTE_ASYNC)
    patcher.wrap(module.AsyncLocalRuntime, "execute", EXECUTE)


def apply_parallel(patcher: Patcher, module: Any) -> None:
    """`ParallelRuntime`, whose `execute` is a coroutine function."""
    patcher.wrap(module.ParallelRuntime, "execute", EXECUTE_ASYNC)


def apply_parallel_cyclic(patcher: Patcher, module: Any) -> None:
    """`ParallelCyclicRuntime`."""
    patcher.wrap(module.ParallelCyclicRuntime, "execute", EXECUTE)


def apply_access_controlled(patcher: Patcher, module: Any) -> None:
    """`AccessControlledRuntime`, which hands on to another runtime."""
    patcher.wrap(module.AccessControlledRuntime, "execute", EXECUTE)


def begin(telemetry: Telemetry, runtime: Any, args: Arguments, kwargs: Keywords) -> Begun:
    """One run of a workflow."""
    return telemetry.workflow(lambda: describe(telemetry, runtime, _workflow_of(args, kwargs), kwargs))


def handed_on(_runtime: Any, args: Arguments, kwargs: Keywords) -> bool:
    """Whether this very run is being watched: a runtime handed it on to the next."""
    return already_watched(_workflow_of(args, kwargs))


def _workflow_of(args: Arguments, kwargs: Keywords) -> Any:
    return args[0] if args else kwargs.get("workflow")


def already_watched(workflow: Any) -> bool:
    """Whether a run of this very workflow, or group, is being watched."""
    scope = current_scope()
    return isinstance(scope, WorkflowInvocation) and scope.subject is workflow and not scope.ended


def describe(telemetry: Telemetry, runtime: Any, workflow: Any, kwargs: Keywords) -> WorkflowInvocation:
    """Which workflow, run by what; where the task comes from that it is, if it is one."""
    return WorkflowInvocation(
        telemetry,
        current_scope(),
        subject=workflow,
        name=name_of(workflow),
        runtime=type_name(runtime),
        origin=origin_of(kwargs.get("idempotency_key")),
    )


def name_of(workflow: Any) -> str | None:
    """The name that a person gave the workflow, or None."""
    name = bounded_text(attribute_of(workflow, "name"))
    return None if not name or _GENERATED_NAME.match(name) else name


def observe_result(run: WorkflowInvocation, result: Any) -> None:
    """The run's id, and the failure of a leaf node, or of the last attempt at one, which Kailash returns as a value.

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
        if _says_failed(results.get(key)) or _gave_up(results.get(key)):
            run.failure = failure
            return


def _says_failed(returned: Any) -> bool:
    value = mapping(returned)
    return value.get("failed") is True or bounded_text(value.get("status")) == "failed" or "error" in value


def _gave_up(returned: Any) -> bool:
    """Whether it is what a retry policy returns when the last attempt at a node has failed, too."""
    module = sys.modules.get("kailash.runtime.resource_manager")
    return module is not None and type(returned) is module.RetryResult and returned.success is False


EXECUTE = blocking(begin, observe_result, unless=handed_on)
"""A run that blocks its caller."""
EXECUTE_ASYNC = awaited(begin, observe_result, unless=handed_on)
"""A run that is awaited."""

SURFACES = (
    Surface("kailash.runtime.local", apply_local),
    Surface("kailash.runtime.async_local", apply_async_local),
    Surface("kailash.runtime.parallel", apply_parallel),
    Surface("kailash.runtime.parallel_cyclic", apply_parallel_cyclic),
    Surface("kailash.runtime.access_controlled", apply_access_controlled),
)
