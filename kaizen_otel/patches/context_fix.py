"""Where Kaizen loses the caller's context: places that run a coroutine or a node in a thread of its own.

`LLMAgentNode._run_async_in_sync_context` and `EmbeddingGeneratorNode._run_embed_coro` start a bare `threading.Thread`
whenever an event loop is running, and `LocalRuntime.execute` always runs nodes inside one; `AsyncNode.
_execute_in_thread` submits to a pool. A thread starts with an empty context, so every model call below would be a
root of its own (kaizen 2.46, kailash 2.65). Only the OpenTelemetry context is carried over: the application's own
context variables behave as they do without us.

`AsyncLocalRuntime` hands nodes to a pool. Since kailash 2.28.4 it copies the context for them itself; before, it is
carried here, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context

from kaizen_otel.invocations.scope import attach, detach
from kaizen_otel.invocations.values import attribute_of
from kaizen_otel.patches.coroutines import in_place_of
from kaizen_otel.patches.patcher import Patcher, Surface
from kaizen_otel.patches.switch import active

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from opentelemetry.context import Context


def run_coroutine(wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Let the coroutine, wherever it runs, run in the caller's OpenTelemetry context."""
    if active() is None or len(args) != 1 or kwargs:
        return wrapped(*args, **kwargs)
    context = otel_context.get_current()
    return wrapped(in_place_of(args[0], lambda coroutine: carried(coroutine, context)))


async def carried(coroutine: Awaitable[Any], context: Context) -> Any:
    """Run a coroutine with `context` attached."""
    attached = attach(context)
    try:
        return await coroutine
    finally:
        detach(attached)


class ContextCarrier:
    """A node as its own `_execute_in_thread` sees it: the same, but `execute_async` runs in the caller's context."""

    def __init__(self, node: Any, context: Context) -> None:
        """Carry this context for this node."""
        self._node = node
        self._context = context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._node, name)

    def execute_async(self, **inputs: Any) -> Any:
        """Run the node's own method, in the caller's context."""
        return in_place_of(self._node.execute_async(**inputs), lambda coroutine: carried(coroutine, self._context))


def execute_in_thread(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`AsyncNode._execute_in_thread`: it calls nothing of the node but `execute_async`."""
    # What another library wrapped with wrapt tells its function as `__func__`, and its wrapper as its parent.
    method = attribute_of(wrapped, "_self_parent") or attribute_of(wrapped, "__func__")
    if active() is None or method is None:
        return wrapped(*args, **kwargs)
    carrier = ContextCarrier(instance, otel_context.get_current())
    return method.__get__(carrier, type(instance))(*args, **kwargs)


class NodeCarrier(ContextCarrier):
    """A node as a runtime's pool sees it."""

    def execute(self, **inputs: Any) -> Any:
        """Run the node's own method, in the caller's context."""
        return _run_in(self._context, lambda: self._node.execute(**inputs))


class RuntimeCarrier(ContextCarrier):
    """A runtime as its own pool sees it: what the pool runs, runs in the caller's context."""

    def _execute_sync_workflow_internal(self, *args: Any, **kwargs: Any) -> Any:
        return _run_in(self._context, lambda: self._node._execute_sync_workflow_internal(*args, **kwargs))  # noqa: SLF001 - the method that this stands for


def _run_in(context: Context, run: Callable[[], Any]) -> Any:
    attached = attach(context)
    try:
        return run()
    finally:
        detach(attached)


def execute_node_in_pool(wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`AsyncLocalRuntime._execute_sync_node_in_thread(node, inputs)`: it calls nothing of the node but `execute`."""
    if active() is None or not args:
        return wrapped(*args, **kwargs)
    return wrapped(NodeCarrier(args[0], otel_context.get_current()), *args[1:], **kwargs)


def execute_workflow_in_pool(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`AsyncLocalRuntime._execute_sync_workflow(workflow, context)`: its pool calls another method of the runtime."""
    method = attribute_of(wrapped, "_self_parent") or attribute_of(wrapped, "__func__")
    if active() is None or method is None:
        return wrapped(*args, **kwargs)
    return method.__get__(RuntimeCarrier(instance, otel_context.get_current()), type(instance))(*args, **kwargs)


def apply_async_runtime(patcher: Patcher, module: Any) -> None:
    """The runtime that hands nodes to a pool, where it does not carry the context for them."""
    if not hasattr(module, "contextvars"):
        patcher.wrap(module.AsyncLocalRuntime, "_execute_sync_node_in_thread", execute_node_in_pool)
        patcher.wrap(module.AsyncLocalRuntime, "_execute_sync_workflow", execute_workflow_in_pool)


def apply_llm_agent(patcher: Patcher, module: Any) -> None:
    """The LLM node."""
    patcher.wrap(module.LLMAgentNode, "_run_async_in_sync_context", run_coroutine)


def apply_embedding(patcher: Patcher, module: Any) -> None:
    """The embedding node."""
    patcher.wrap(module.EmbeddingGeneratorNode, "_run_embed_coro", run_coroutine)


def apply_async_node(patcher: Patcher, module: Any) -> None:
    """Every async node."""
    patcher.wrap(module.AsyncNode, "_execute_in_thread", execute_in_thread)


SURFACES = (
    Surface("kaizen.nodes.ai.llm_agent", apply_llm_agent),
    Surface("kaizen.nodes.ai.embedding_generator", apply_embedding),
    Surface("kailash.nodes.base_async", apply_async_node),
    Surface("kailash.runtime.async_local", apply_async_runtime),
)
