"""Slots of the runtimes."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from tests.hostile.slot import Slots

if TYPE_CHECKING:
    from tests.hostile.stage import Stage

SLOTS = Slots()


LOCAL = "kailash.runtime.local:LocalRuntime.execute"
LOCAL_ASYNC = "kailash.runtime.local:LocalRuntime.execute_async"
ASYNC_LOCAL = "kailash.runtime.async_local:AsyncLocalRuntime.execute_workflow_async"
ASYNC_LOCAL_EXECUTE = "kailash.runtime.async_local:AsyncLocalRuntime.execute"
ASYNC_LOCAL_EXECUTE_ASYNC = "kailash.runtime.async_local:AsyncLocalRuntime.execute_async"
PARALLEL = "kailash.runtime.parallel:ParallelRuntime.execute"
CYCLIC = "kailash.runtime.parallel_cyclic:ParallelCyclicRuntime.execute"
ACCESS = "kailash.runtime.access_controlled:AccessControlledRuntime.execute"


# -- LocalRuntime -------------------------------------------------------------------------------------------------


def _local(workflow: Any, **given: Any) -> Any:
    from tests.hostile import fakes

    with fakes.quiet_runtime() as runtime:
        return runtime.execute(workflow, **given)


@SLOTS.add(LOCAL)
def local_node_output(stage: Stage) -> Any:
    from tests.hostile import fakes

    fakes.scripted(stage, key="result")
    return _local(fakes.workflow())


@SLOTS.add(LOCAL)
def local_node_result(stage: Stage) -> Any:
    from tests.hostile import fakes

    fakes.scripted(stage)
    return _local(fakes.workflow())


@SLOTS.add(LOCAL)
def local_handed_on(stage: Stage) -> Any:
    from tests.hostile import fakes

    fakes.scripted(stage, key="result")
    return _local(fakes.workflow(followed=True))


@SLOTS.add(LOCAL)
def local_workflow(stage: Stage) -> Any:
    return _local(stage.value)


@SLOTS.add(LOCAL)
def local_parameters(stage: Stage) -> Any:
    from tests.hostile import fakes

    return _local(fakes.workflow(), parameters=stage.value)


@SLOTS.add(LOCAL)
def local_node_parameters(stage: Stage) -> Any:
    from tests.hostile import fakes

    return _local(fakes.workflow(), parameters={"n0": {"given": stage.value}})


@SLOTS.add(LOCAL)
def local_workflow_name(stage: Stage) -> Any:
    from tests.hostile import fakes

    workflow = fakes.workflow()
    workflow.name = stage.give()
    stage.reached = True
    return _local(workflow)


@SLOTS.add(LOCAL)
def local_node_table(stage: Stage) -> Any:
    from tests.hostile import fakes

    workflow = fakes.workflow()
    workflow._node_instances = stage.give()
    stage.reached = True
    return _local(workflow)


@SLOTS.add(LOCAL)
def local_node_key(stage: Stage) -> Any:
    from tests.hostile import fakes

    fakes.Script.run = staticmethod(lambda: {"result": 1})
    workflow = fakes.workflow()
    stage.reached = True
    with contextlib.suppress(Exception):  # a value that cannot be hashed cannot be a key: then the key is plain
        workflow._node_instances = dict.fromkeys([stage.value], workflow._node_instances["n0"])
    return _local(workflow)


@SLOTS.add(LOCAL, takes="error")
def local_raises(stage: Stage) -> Any:
    from tests.hostile import fakes

    fakes.failing(stage)
    return _local(fakes.workflow())


@SLOTS.add(LOCAL, takes="error")
def local_raises_before_others(stage: Stage) -> Any:
    from tests.hostile import fakes

    fakes.failing(stage)
    return _local(fakes.workflow(followed=True))


async def _local_async(workflow: Any) -> Any:
    from tests.hostile import fakes

    with fakes.quiet_runtime() as runtime:
        return await runtime.execute_async(workflow)


@SLOTS.add(LOCAL_ASYNC)
def local_async_output(stage: Stage) -> Any:
    from tests.hostile import fakes

    fakes.scripted(stage, key="result")
    return stage.run(_local_async(fakes.workflow(kind="OddAsyncNode")))


@SLOTS.add(LOCAL_ASYNC)
def local_async_workflow(stage: Stage) -> Any:
    return stage.run(_local_async(stage.value))


@SLOTS.add(LOCAL_ASYNC, takes="error")
def local_async_raises(stage: Stage) -> Any:
    from tests.hostile import fakes

    fakes.failing(stage)
    return stage.run(_local_async(fakes.workflow(kind="OddAsyncNode")))


# -- the other runtimes -------------------------------------------------------------------------------------------


async def _async_local(workflow: Any, inputs: Any) -> Any:
    from kailash.runtime.async_local import AsyncLocalRuntime

    async with AsyncLocalRuntime(enable_monitoring=False) as runtime:
        return await runtime.execute_workflow_async(workflow, inputs)


@SLOTS.add(ASYNC_LOCAL)
def async_local_output(stage: Stage) -> Any:
    from tests.hostile import fakes

    fakes.scripted(stage, key="result")
    return stage.run(_async_local(fakes.workflow(kind="OddAsyncNode"), {}))


@SLOTS.add(ASYNC_LOCAL)
def async_local_inputs(stage: Stage) -> Any:
    from tests.hostile import fakes

    return stage.run(_async_local(fakes.workflow(), stage.value))


@SLOTS.add(ASYNC_LOCAL, takes="error")
def async_local_raises(stage: Stage) -> Any:
    from tests.hostile import fakes

    fakes.failing(stage)
    return stage.run(_async_local(fakes.workflow(kind="OddAsyncNode"), {}))


@SLOTS.add(ASYNC_LOCAL_EXECUTE)
def async_local_execute_workflow(stage: Stage) -> Any:
    from kailash.runtime.async_local import AsyncLocalRuntime

    runtime = AsyncLocalRuntime(enable_monitoring=False)
    try:
        return runtime.execute(stage.value)
    finally:
        asyncio.run(runtime.cleanup())  # `with` waits five seconds for a loop that does not run (kailash 2.65)


@SLOTS.add(ASYNC_LOCAL_EXECUTE_ASYNC)
def async_local_execute_async_workflow(stage: Stage) -> Any:
    from kailash.runtime.async_local import AsyncLocalRuntime

    async def execute() -> Any:
        async with AsyncLocalRuntime(enable_monitoring=False) as runtime:
            return await runtime.execute_async(stage.value)

    return stage.run(execute())


def _parallel(stage: Stage, workflow: Any) -> Any:
    from kailash.runtime.parallel import ParallelRuntime

    async def execute() -> Any:
        return await ParallelRuntime(max_workers=1).execute(workflow)

    return stage.run(execute())


@SLOTS.add(PARALLEL)
def parallel_output(stage: Stage) -> Any:
    from tests.hostile import fakes

    fakes.scripted(stage, key="result")
    return _parallel(stage, fakes.workflow(kind="OddAsyncNode"))


@SLOTS.add(PARALLEL)
def parallel_workflow(stage: Stage) -> Any:
    return _parallel(stage, stage.value)


@SLOTS.add(PARALLEL, takes="error")
def parallel_raises(stage: Stage) -> Any:
    from tests.hostile import fakes

    fakes.failing(stage)
    return _parallel(stage, fakes.workflow(kind="OddAsyncNode"))


def _cyclic(workflow: Any) -> Any:
    from kailash.runtime.parallel_cyclic import ParallelCyclicRuntime

    from tests.hostile import fakes

    with fakes.quiet_runtime() as local:
        runtime = ParallelCyclicRuntime(max_workers=1, runtime=local)
        try:
            return runtime.execute(workflow)
        finally:
            runtime.close()


@SLOTS.add(CYCLIC)
def cyclic_output(stage: Stage) -> Any:
    from tests.hostile import fakes

    fakes.scripted(stage, key="result")
    return _cyclic(fakes.workflow())


@SLOTS.add(CYCLIC)
def cyclic_workflow(stage: Stage) -> Any:
    return _cyclic(stage.value)


@SLOTS.add(CYCLIC, takes="error")
def cyclic_raises(stage: Stage) -> Any:
    from tests.hostile import fakes

    fakes.failing(stage)
    return _cyclic(fakes.workflow())


def _access(workflow: Any, base: Any = None) -> Any:
    from kailash.access_control import UserContext
    from kailash.runtime.access_controlled import AccessControlledRuntime

    from tests.hostile import fakes

    user = UserContext(user_id="u", tenant_id="t", email="u@example.com", roles=["admin"])
    if base is not None:
        return AccessControlledRuntime(user, base).execute(workflow)
    with fakes.quiet_runtime() as local:
        return AccessControlledRuntime(user, local).execute(workflow)


@SLOTS.add(ACCESS)
def access_output(stage: Stage) -> Any:
    from tests.hostile import fakes

    fakes.scripted(stage, key="result")
    return _access(fakes.workflow())


@SLOTS.add(ACCESS)
def access_result(stage: Stage) -> Any:
    from tests.hostile import fakes

    return _access(fakes.workflow(), fakes.RuntimeThatAnswers(stage.give))


@SLOTS.add(ACCESS)
def access_pair(stage: Stage) -> Any:
    """The whole pair of results and run id is odd."""
    from tests.hostile import fakes

    pair = type("Pair", (tuple,), {})
    return _access(fakes.workflow(), fakes.RuntimeThatAnswers(lambda: pair((stage.give(), stage.value))))


@SLOTS.add(ACCESS)
def access_workflow(stage: Stage) -> Any:
    return _access(stage.value)


@SLOTS.add(ACCESS, takes="error")
def access_raises(stage: Stage) -> Any:
    from tests.hostile import fakes

    return _access(fakes.workflow(), fakes.RuntimeThatAnswers(stage.throw))
