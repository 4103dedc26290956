"""A watched stream: the caller's async generator, with the call ended once whatever becomes of it.

The wrapper is an async generator itself, so that `async for`, `aclose`, `asend`, `athrow`, the event loop's finaliser
for abandoned generators and `inspect` see what they would see without us; what is sent or thrown in reaches the
producer. The context is attached only while the producer runs, never across a `yield`: the consumer may go on in
another context.
"""

from __future__ import annotations

import _thread
import asyncio
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context

from kaizen_otel.invocations.call import CallInvocation
from kaizen_semconv.attributes import KaizenCallOutcome

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from opentelemetry.context import Context

    from kaizen_otel.invocations.call import CallRequest
    from kaizen_otel.telemetry import Telemetry


async def watched_stream(
    telemetry: Telemetry,
    chunks: AsyncGenerator[Any, Any],
    describe: Callable[[], CallRequest],
    observe_chunk: Callable[[CallInvocation, Any], None],
) -> AsyncGenerator[Any, Any]:
    """Yield every chunk unchanged. The call begins when the first one is asked for, as the producer does."""
    begun = telemetry.call(describe)
    call = begun if isinstance(begun, CallInvocation) else None
    context = None if call is None else call.context()
    last_resort = None if call is None else _LastResort(call)
    sent: Any = None
    thrown: BaseException | None = None
    try:
        while True:
            step = chunks.asend(sent) if thrown is None else chunks.athrow(thrown)
            sent = thrown = None
            chunk = await _in_context(context, step)
            if call is not None:
                call.first_chunk()
                with telemetry.fence("call.chunk"):
                    observe_chunk(call, chunk)
            try:
                sent = yield chunk
            except GeneratorExit:
                if call is not None:
                    _finish_as(call, KaizenCallOutcome.ABANDONED if _let_go_by_loop() else KaizenCallOutcome.CLOSED)
                await _in_context(context, chunks.aclose())
                raise
            except BaseException as error:  # noqa: BLE001 - it is the producer's to answer, as it would be without us
                thrown = error
    except StopAsyncIteration:
        begun.finish()
    except GeneratorExit:
        # Thrown while the producer was at work: the task that read the stream is gone.
        if call is not None:
            _finish_as(call, KaizenCallOutcome.ABANDONED)
        raise
    except BaseException as error:
        begun.finish(error)
        raise
    finally:
        del last_resort


def _finish_as(call: CallInvocation, outcome: KaizenCallOutcome) -> None:
    if not call.ended:
        call.outcome = outcome.value
        call.finish()


async def _in_context(context: Context | None, step: Awaitable[Any]) -> Any:
    if context is None:
        return await step
    token = otel_context.attach(context)
    try:
        return await step
    finally:
        # A generator that is finalised after its task is gone runs in another context, where the token means nothing.
        if otel_context.get_current() is context:
            otel_context.detach(token)


def _let_go_by_loop() -> bool:
    """Whether nobody held the generator any more, so that the event loop closes it.

    The loop's finaliser runs `aclose()` as a task of its own; a consumer awaits it inside a coroutine.
    """
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return True
    return task is None or type(task.get_coro()).__name__ == "async_generator_athrow"


class _LastResort:
    """Ends the call of a generator that is deleted without being resumed: its loop was closed before it.

    That may happen while the garbage collector runs, in the middle of anything, also of our own locked regions: the
    call is therefore ended by another thread, started without any lock of Python's `threading`.
    """

    __slots__ = ("_call",)

    def __init__(self, call: CallInvocation) -> None:
        self._call = call

    def __del__(self) -> None:
        call = self._call
        if not call.ended:
            try:
                _thread.start_new_thread(_finish_as, (call, KaizenCallOutcome.ABANDONED))
            except RuntimeError:
                return  # the interpreter is shutting down: no thread, and nobody to export the span
