"""Where kaizen_agents loses the caller's context: it gives work to threads, which start with an empty one (0.13).

As in `context_fix`, only OpenTelemetry's context is carried over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context

from kaizen_otel.invocations.scope import attach, detach
from kaizen_otel.patches.context_fix import carried, run_coroutine
from kaizen_otel.patches.coroutines import in_place_of
from kaizen_otel.patches.patcher import Patcher, Surface
from kaizen_otel.patches.standins import along, method_of
from kaizen_otel.patches.switch import active

if TYPE_CHECKING:
    from collections.abc import Callable


def _by_standin(path: str, carry: Callable[[Any], Any]) -> Any:
    """A method that sees what is at `path` of its object carry the context of the method's own caller."""

    def method(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if active() is None:
            return wrapped(*args, **kwargs)
        return method_of(wrapped, along(instance, path, carry), instance)(*args, **kwargs)

    return method


def carrying(function: Any) -> Any:
    """A function that runs in the context of here, whichever thread calls it."""
    context = otel_context.get_current()

    def run(*args: Any, **kwargs: Any) -> Any:
        attached = attach(context)
        try:
            return function(*args, **kwargs)
        finally:
            detach(attached)

    return run


def carrying_coroutine(function: Any) -> Any:
    """A coroutine function whose coroutines run in the context of here."""
    context = otel_context.get_current()

    def run(*args: Any, **kwargs: Any) -> Any:
        return in_place_of(function(*args, **kwargs), lambda call: carried(call, context))

    return run


in_threads = _by_standin("_execute_agent_sync", carrying)
routing = _by_standin("_routing.select_best", carrying_coroutine)
blocking_stream = _by_standin("run_async", carrying_coroutine)
blocking_run = _by_standin("run", carrying_coroutine)


def apply_parallel(patcher: Patcher, module: Any) -> None:
    """`ParallelPipeline`: each agent in a thread of a pool."""
    patcher.wrap(module.ParallelPipeline, "_execute_parallel_sync", in_threads)
    patcher.wrap(module.ParallelPipeline, "_execute_agent_async", in_threads)


def apply_supervisor_wrapper(patcher: Patcher, module: Any) -> None:
    """`SupervisorWrapper`, whose judge is asked in a thread while a loop is running."""
    patcher.wrap(module.SupervisorWrapper, "_select_worker_sync", routing)


def apply_reasoning(patcher: Patcher, module: Any) -> None:
    """The judges of the patterns."""
    patcher.wrap(module, "_run_coroutine", run_coroutine)


def apply_streaming(patcher: Patcher, module: Any) -> None:
    """`StreamingAgent.run` while a loop is running."""
    patcher.wrap(module.StreamingAgent, "run", blocking_stream)


def apply_api(patcher: Patcher, module: Any) -> None:
    """`Agent.run_sync` while a loop is running."""
    patcher.wrap(module.Agent, "run_sync", blocking_run)


SURFACES = (
    Surface("kaizen_agents.patterns.patterns.parallel", apply_parallel),
    Surface("kaizen_agents.supervisor_wrapper", apply_supervisor_wrapper),
    Surface("kaizen_agents.patterns._reasoning_bridge", apply_reasoning),
    Surface("kaizen_agents.streaming_agent", apply_streaming),
    Surface("kaizen_agents.api.agent", apply_api),
)
