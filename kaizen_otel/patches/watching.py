"""Makers of wrappers: begin an operation, let Kaizen's function run inside it, report what came of it.

A patch says three things of a function: which operation a call of it is (`begin`), what its result tells (`observe`),
and which calls are no operation of their own (`unless`). What a wrapper must never do, change the call, stands here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kaizen_otel.patches.coroutines import in_place_of
from kaizen_otel.patches.switch import active

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import TypeAlias

    from kaizen_otel.invocations.base import Invocation, NullInvocation
    from kaizen_otel.telemetry import Telemetry

    Arguments: TypeAlias = tuple[Any, ...]
    Keywords: TypeAlias = dict[str, Any]
    Begun: TypeAlias = Invocation | NullInvocation
    Begin: TypeAlias = Callable[[Telemetry, Any, Arguments, Keywords], Begun]
    """Telemetry, the object whose method is called, the arguments. Reads them in a lambda: it must not raise."""
    Observe: TypeAlias = Callable[[Any, Any], object]
    """The operation and the result; runs behind the fence."""
    Unless: TypeAlias = Callable[[Any, Arguments, Keywords], bool]
    """The object and the arguments; it must not raise."""
    Wrapper: TypeAlias = Callable[[Any, Any, Arguments, Keywords], Any]


def nothing(_operation: Any, _result: Any) -> None:
    """Observe nothing: the result tells nothing of use."""


def never(_instance: Any, _args: Arguments, _kwargs: Keywords) -> bool:
    """Every call is an operation of its own."""
    return False


def blocking(begin: Begin, observe: Observe = nothing, *, unless: Unless = never) -> Wrapper:
    """The wrapper of a function that blocks its caller."""

    def watch(wrapped: Any, instance: Any, args: Arguments, kwargs: Keywords) -> Any:
        telemetry = active()
        if telemetry is None or unless(instance, args, kwargs):
            return wrapped(*args, **kwargs)
        with begin(telemetry, instance, args, kwargs) as operation:
            result = wrapped(*args, **kwargs)
            operation.observe(lambda operation: observe(operation, result))
        return result

    return watch


def awaited(begin: Begin, observe: Observe = nothing, *, unless: Unless = never) -> Wrapper:
    """The wrapper of a coroutine function. The operation begins where the coroutine is awaited.

    The coroutine itself is made at once, so that wrong arguments are refused where the caller stands, as without us.
    """

    def watch(wrapped: Any, instance: Any, args: Arguments, kwargs: Keywords) -> Any:
        telemetry = active()
        call = wrapped(*args, **kwargs)
        if telemetry is None:
            return call
        return in_place_of(call, lambda call: run(telemetry, call, instance, args, kwargs))

    async def run(telemetry: Telemetry, call: Awaitable[Any], instance: Any, args: Arguments, kwargs: Keywords) -> Any:
        if unless(instance, args, kwargs):
            return await call
        with begin(telemetry, instance, args, kwargs) as operation:
            result = await call
            operation.observe(lambda operation: observe(operation, result))
        return result

    return watch
