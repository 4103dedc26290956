"""A watched stream: the caller's async generator, with the call ended once whatever becomes of it.

The wrapper is an async generator itself, so that `async for`, `aclose`, `asend`, the event loop's finaliser for
abandoned generators and `inspect` see what they would see without us. The context is attached only while the
producer runs, never across a `yield`: the consumer may go on in another context.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context

from kaizen_otel.invocations.call import CallInvocation
from kaizen_semconv.attributes import KaizenCallOutcome

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable

    from kaizen_otel.invocations.call import CallRequest
    from kaizen_otel.telemetry import Telemetry


async def watched_stream(
    telemetry: Telemetry,
    chunks: AsyncIterator[Any],
    describe: Callable[[], CallRequest],
    observe_chunk: Callable[[CallInvocation, Any], None],
) -> AsyncGenerator[Any, None]:
    """Yield every chunk unchanged. The call begins when the first one is asked for, as the producer does."""
    call = telemetry.call(describe)
    if not isinstance(call, CallInvocation):
        async for chunk in chunks:
            yield chunk
        return
    context = call.context()
    task = _current_task()
    try:
        while True:
            token = otel_context.attach(context)
            try:
                chunk = await anext(chunks)
            finally:
                _detach(token, context)
            if call.first_chunk_ns is None:
                call.first_chunk()
            with telemetry.fence("call.chunk"):
                observe_chunk(call, chunk)
            try:
                yield chunk
            except GeneratorExit:
                # Closed by the consumer in its own task, or by the event loop's finaliser when nobody held it.
                closed = _current_task() is task
                call.outcome = (KaizenCallOutcome.CLOSED if closed else KaizenCallOutcome.ABANDONED).value
                call.finish()
                await _close(chunks, context)
                raise
            except BaseException as error:
                # The consumer threw into the generator: the producer hears of it as it would without us.
                call.finish(error)
                await _throw(chunks, error)
                raise
    except StopAsyncIteration:
        call.finish()
    except BaseException as error:
        call.finish(error)
        raise


async def _throw(chunks: AsyncIterator[Any], error: BaseException) -> None:
    throw = getattr(chunks, "athrow", None)
    if throw is not None:
        await throw(error)


async def _close(chunks: AsyncIterator[Any], context: otel_context.Context) -> None:
    close = getattr(chunks, "aclose", None)
    if close is None:
        return
    token = otel_context.attach(context)
    try:
        await close()
    finally:
        _detach(token, context)


def _detach(token: Any, context: otel_context.Context) -> None:
    # A generator that is finalised after its task is gone runs in another context, where the token means nothing.
    if otel_context.get_current() is context:
        otel_context.detach(token)


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None
