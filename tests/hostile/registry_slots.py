"""Slots of kaizen_agents' runtime with a registry of agents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.hostile.slot import Slots

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.hostile.stage import Stage

SLOTS = Slots()
RUNTIME = "kaizen_agents.patterns.runtime:OrchestrationRuntime"


class _Agent:
    """An agent of the application's own, whose answers are awaited."""

    agent_id = "a"

    def __init__(self, answer: Callable[[], Any]) -> None:
        self._answer = answer

    async def run(self, **_: Any) -> Any:
        return self._answer()


async def _runtime(answer: Callable[[], Any] = dict) -> Any:
    from kaizen_agents.patterns.runtime import OrchestrationRuntime, OrchestrationRuntimeConfig, RetryPolicy

    once = RetryPolicy(max_retries=1)
    runtime = OrchestrationRuntime(OrchestrationRuntimeConfig(enable_health_monitoring=False, retry_policy=once))
    await runtime.register_agent(_Agent(answer))
    return runtime


async def _task(answer: Callable[[], Any], inputs: Any) -> Any:
    return await (await _runtime(answer)).execute_task("a", inputs)


@SLOTS.add(f"{RUNTIME}.execute_task")
def task_input(stage: Stage) -> Any:
    return stage.run(_task(dict, {"question": stage.value}))


@SLOTS.add(f"{RUNTIME}.execute_task")
def task_answer(stage: Stage) -> Any:
    return stage.run(_task(stage.give, {"question": "x"}))


@SLOTS.add(f"{RUNTIME}.execute_task", takes="error")
def task_raises(stage: Stage) -> Any:
    return stage.run(_task(stage.throw, {"question": "x"}))


@SLOTS.add(f"{RUNTIME}.route_task")
def routing_strategy(stage: Stage) -> Any:
    async def route() -> Any:
        return type(await (await _runtime()).route_task("x", stage.value)).__name__

    return stage.run(route())


@SLOTS.add(f"{RUNTIME}.execute_multi_agent_workflow")
def tasks(stage: Stage) -> Any:
    async def run() -> Any:
        from kaizen_agents.patterns.runtime import OrchestrationRuntime

        answer = await OrchestrationRuntime().execute_multi_agent_workflow([stage.value])  # nobody to carry it out
        return {name: value for name, value in answer.items() if name != "workflow_id"}

    return stage.run(run())
