"""The attempts of an awaited node that a runtime makes by its retry policy: a span each.

`LocalRuntime` asks such a node's `async_run`, past `execute_async`, where nodes are watched (kailash 2.65).
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from kaizen_otel.patches.nodes import EXECUTE_ASYNC
from kaizen_otel.patches.patcher import Patcher, Surface
from kaizen_otel.patches.standins import Standin
from kaizen_otel.patches.switch import active

if TYPE_CHECKING:
    from kaizen_otel.patches.watching import Arguments, Keywords
    from kaizen_otel.telemetry import Telemetry


def apply(patcher: Patcher, module: Any) -> None:
    """What runs one node with the runtime's policies: of a workflow with cycles, each of its nodes."""
    patcher.wrap(module.LocalRuntime, "execute_node_with_enterprise_features", execute_node)


SURFACE = Surface("kailash.runtime.local", apply)


def execute_node(wrapped: Any, _instance: Any, args: Arguments, kwargs: Keywords) -> Any:
    """`execute_node_with_enterprise_features(node, node_id, inputs, …)`."""
    telemetry = active()
    if telemetry is None:
        return wrapped(*args, **kwargs)
    if args:
        return wrapped(_seen(telemetry, args[0]), *args[1:], **kwargs)
    if "node" in kwargs:
        kwargs = {**kwargs, "node": _seen(telemetry, kwargs["node"])}
    return wrapped(**kwargs)


def _seen(telemetry: Telemetry, node: Any) -> Any:
    """The node, whose `async_run` is watched where it is not the node's own `execute_async` that calls it."""
    with telemetry.fence("node.attempts"):
        return Standin(node, "async_run", lambda run: _attempt(node, run))
    return node


def _attempt(node: Any, run: Any) -> Any:
    if not inspect.iscoroutinefunction(run):
        return run

    async def attempt(*args: Any, **kwargs: Any) -> Any:
        return await EXECUTE_ASYNC(run, node, args, kwargs)

    return attempt
