"""A watched stream: the caller's async generator, with the operation ended once whatever becomes of it.

The operation is a model call whose answer streams, or the run of an agent that yields what it does.

The wrapper is an async generator itself, so that `async for`, `aclose`, `asend`, `athrow`, the event loop's finaliser
for abandoned generators and `inspect` see what they would see without us; what is sent or thrown in reaches the
producer. The context is attached only while the producer runs, never across a `yield`: the consumer may go on in
another context.
"""

from __future__ import annotations

import _thread
import asyncio
from typing import TYPE_CHECKING, Any

from kaizen_otel.invocations.base import Invocation
from kaizen_otel.invocations.call import CallInvocation
from kaizen_otel.invocations.failure import Failure
from kaizen_otel.invocations.scope import attach, detach
from kaizen_semconv.attributes import KaizenCallOutcome

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from kaizen_otel.invocations.base import NullInvocation
    from kaizen_otel.invocations.call import CallRequest
    from kaizen_otel.telemetry import Telemetry


def watched_stream(
    telemetry: Telemetry,
    chunks: AsyncGenerator[Any, Any],
    describe: Callable[[], CallRequest],
    observe_chunk: Callable[[CallInvocation, Any], None],
) -> AsyncGenerator[Any, Any]:
    """Watch a model call that streams its answer."""
    return watched_generator(telemetry, chunks, lambda: telemetry.call(describe), observe_chunk)


async def watched_generator(
    telemetry: Telemetry,
    chunks: AsyncGenerator[Any, Any],
    begin: Callable[[], Invocation | NullInvocation],
    observe_chunk: Callable[[Any, Any], None],
) -> AsyncGenerator[Any, Any]:
    """Yield every chunk unchanged. The operation begins when the first one is asked for, as the producer does."""
    reading = _Reading(begin())
    call, context = reading.call, reading.context
    sent: Any = None
    thrown: BaseException | None = None
    try:
        while True:
            step = chunks.asend(sent) if thrown is None else chunks.athrow(thrown)
            sent = thrown = None
            if context is None:
                chunk = await step
            else:
                attached = attach(context, call)
                try:
                    chunk = await step
                finally:
                    detach(attached)
                if call is not None:
                    _show(telemetry, call, chunk, observe_chunk)
            try:
                sent = yield chunk
            except GeneratorExit:
                let_go = _let_go_by_loop()
                reading.stopped(KaizenCallOutcome.ABANDONED if let_go else KaizenCallOutcome.CLOSED)
                if not let_go:  # else the loop closes the producer as well, perhaps at this very moment
                    await _close(chunks, reading)
                raise
            except BaseException as error:  # noqa: BLE001 - it is the producer's to answer, as it would be without us
                thrown = error
    except StopAsyncIteration:
        reading.finished()
    except GeneratorExit:
        # Thrown while the producer was at work: the task that read the stream is gone.
        reading.stopped(KaizenCallOutcome.ABANDONED)
        raise
    except BaseException as error:
        reading.finished(error)
        raise


class _Reading:
    """The operation of one stream while it is read; held by the generator's frame and by nothing else."""

    __slots__ = ("call", "context")

    def __init__(self, begun: Invocation | NullInvocation) -> None:
        self.call = begun if isinstance(begun, Invocation) else None
        self.context = begun.context()

    def finished(self, error: BaseException | None = None) -> None:
        """End the call: the stream came to its end, or failed."""
        if self.call is not None:
            self.call.finish(error)

    def stopped(self, outcome: KaizenCallOutcome) -> None:
        """End the call: nobody reads on."""
        if self.call is not None:
            _stop(self.call, outcome)

    def __del__(self) -> None:
        """End the call of a generator that is deleted without being resumed: its loop was closed before it.

        That may happen while the garbage collector runs, in the middle of anything, also of our own locked regions: the
        call is therefore ended by another thread, started without any lock of Python's `threading`.
        """
        call = getattr(self, "call", None)
        if call is not None and not call.ended:
            try:
                _thread.start_new_thread(_stop, (call, KaizenCallOutcome.ABANDONED))
            except RuntimeError:
                return  # the interpreter is shutting down: no thread, and nobody to export the span


def _show(telemetry: Telemetry, call: Invocation, chunk: Any, observe_chunk: Callable[[Any, Any], None]) -> None:
    try:
        observe_chunk(call, chunk)
    except Exception as error:  # noqa: BLE001 - the fence, without the cost of a `with` on every chunk
        telemetry.fence.caught(f"{call.kind}.chunk", error)


async def _close(chunks: AsyncGenerator[Any, Any], reading: _Reading) -> None:
    """Let the producer end, in the call's context as well."""
    if reading.context is None:
        await chunks.aclose()
        return
    attached = attach(reading.context, reading.call)
    try:
        await chunks.aclose()
    finally:
        detach(attached)


def _stop(call: Invocation, outcome: KaizenCallOutcome) -> None:
    if not call.ended:
        if isinstance(call, CallInvocation):
            call.outcome = outcome.value
        elif call.failure is None:
            call.failure = Failure("GeneratorExit", cancelled=True)
        call.finish()


def _let_go_by_loop() -> bool:
    """Whether nobody held the generator any more, so that the event loop closes it.

    The loop's finaliser runs `aclose()` as a task of its own; a consumer awaits it inside a coroutine.
    """
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return True
    return task is None or type(task.get_coro()).__name__ == "async_generator_athrow"
