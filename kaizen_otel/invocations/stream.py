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

from kaizen_otel.invocations.call import CallInvocation
from kaizen_otel.invocations.scope import Attachment
from kaizen_semconv.attributes import KaizenCallOutcome

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from kaizen_otel.invocations.base import NullInvocation
    from kaizen_otel.invocations.call import CallRequest
    from kaizen_otel.telemetry import Telemetry


async def watched_stream(
    telemetry: Telemetry,
    chunks: AsyncGenerator[Any, Any],
    describe: Callable[[], CallRequest],
    observe_chunk: Callable[[CallInvocation, Any], None],
) -> AsyncGenerator[Any, Any]:
    """Yield every chunk unchanged. The call begins when the first one is asked for, as the producer does."""
    reading = _Reading(telemetry, telemetry.call(describe))
    sent: Any = None
    thrown: BaseException | None = None
    try:
        while True:
            step = chunks.asend(sent) if thrown is None else chunks.athrow(thrown)
            sent = thrown = None
            chunk = await reading.at_work(step)
            reading.saw(chunk, observe_chunk)
            try:
                sent = yield chunk
            except GeneratorExit:
                let_go = _let_go_by_loop()
                reading.stopped(KaizenCallOutcome.ABANDONED if let_go else KaizenCallOutcome.CLOSED)
                if not let_go:  # else the loop closes the producer as well, perhaps at this very moment
                    await reading.at_work(chunks.aclose())
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
    """The call of one stream while it is read; held by the generator's frame and by nothing else."""

    __slots__ = ("_call", "_context", "_telemetry")

    def __init__(self, telemetry: Telemetry, begun: CallInvocation | NullInvocation) -> None:
        self._telemetry = telemetry
        self._call = begun if isinstance(begun, CallInvocation) else None
        self._context = None if self._call is None else self._call.context()

    async def at_work(self, step: Awaitable[Any]) -> Any:
        """Let the producer take a step in the call's context."""
        context = self._context
        if context is None:
            return await step
        attachment = Attachment(context)
        try:
            return await step
        finally:
            attachment.detach()

    def saw(self, chunk: Any, observe_chunk: Callable[[CallInvocation, Any], None]) -> None:
        """Take notice of a chunk."""
        call = self._call
        if call is not None:
            with self._telemetry.fence("call.chunk"):
                call.first_chunk()
                observe_chunk(call, chunk)

    def finished(self, error: BaseException | None = None) -> None:
        """End the call: the stream came to its end, or failed."""
        if self._call is not None:
            self._call.finish(error)

    def stopped(self, outcome: KaizenCallOutcome) -> None:
        """End the call: nobody reads on."""
        if self._call is not None:
            _stop(self._call, outcome)

    def __del__(self) -> None:
        """End the call of a generator that is deleted without being resumed: its loop was closed before it.

        That may happen while the garbage collector runs, in the middle of anything, also of our own locked regions: the
        call is therefore ended by another thread, started without any lock of Python's `threading`.
        """
        call = getattr(self, "_call", None)
        if call is not None and not call.ended:
            try:
                _thread.start_new_thread(_stop, (call, KaizenCallOutcome.ABANDONED))
            except RuntimeError:
                return  # the interpreter is shutting down: no thread, and nobody to export the span


def _stop(call: CallInvocation, outcome: KaizenCallOutcome) -> None:
    if not call.ended:
        call.outcome = outcome.value
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
