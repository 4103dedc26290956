"""A stream's call ends exactly once, whatever becomes of the stream, and says how."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
import traceback
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest

from kaizen_otel.demo.model_server import Reply, Rule

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured, CapturedSpan

FIVE_WORDS = Rule(replies=Reply(text="one two three four five"))
DEADLINE_S = 10

# The transport of a stream that nobody closed goes with it, and asyncio says so: with us as without.
connections_are_dropped = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(autouse=True)
def _nothing_leaks(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No context is left attached or detached where it does not belong, and telemetry itself never fails."""
    from opentelemetry import context

    before = context.get_current()
    yield
    assert context.get_current() is before
    records = caplog.get_records("call") + caplog.get_records("teardown")
    assert [said for said in map(logging.Formatter().format, records) if _is_ours(said)] == []


OUR_WORDS = ("detach", "watched_stream", "kaizen_otel/invocations", "telemetry failed")


def _is_ours(complaint: str) -> bool:
    # Kaizen's and httpx's generators get in each other's way when a loop closes all of them; ours must not join in.
    return any(word in complaint for word in OUR_WORDS)


async def settle() -> None:
    """Let the loop's finaliser close what nobody holds; our generator does so without an error."""
    await asyncio.sleep(0)  # the finaliser makes its tasks in the loop's next round
    others = asyncio.all_tasks() - {asyncio.current_task()}
    outcomes = await asyncio.gather(*others, return_exceptions=True)
    errors = ["".join(traceback.format_exception(error)) for error in outcomes if isinstance(error, BaseException)]
    assert [error for error in errors if _is_ours(error)] == []


def the_chat(captured: Captured) -> CapturedSpan:
    """The one chat span; the call was counted exactly once."""
    chat = captured.span("chat")
    assert len(captured.calls) == 1
    return chat


async def until(condition: Callable[[], object]) -> None:
    """Let the loop work until something holds."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in a generator's finaliser
            await asyncio.sleep(0.001)


def test_exhaustion_is_a_plain_end(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    from tests.kaizen_otel.surfaces import scenes

    kaizen_offline.script([FIVE_WORDS])

    async def read() -> None:
        stream = scenes.stream_of(scenes.llm_client())
        async for _ in stream:
            pass
        await stream.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(stream)

    asyncio.run(read())

    chat = the_chat(kaizen_telemetry)
    assert chat.status == "UNSET"
    assert "kaizen.call.outcome" not in chat.attributes
    assert chat["gen_ai.response.finish_reasons"] == ("stop",)


async def close_early(stream: Any) -> None:
    await anext(stream)
    await stream.aclose()


async def close_by_context_manager(stream: Any) -> None:
    async with aclosing(stream):
        async for _ in stream:
            break


async def close_after_a_timeout_for_each_chunk(stream: Any) -> None:
    await asyncio.wait_for(anext(stream), DEADLINE_S)
    await asyncio.wait_for(anext(stream), DEADLINE_S)
    await stream.aclose()


async def close_in_another_task(stream: Any) -> None:
    await anext(stream)

    async def clean_up() -> None:
        await stream.aclose()

    await asyncio.create_task(clean_up())


@pytest.mark.parametrize(
    "ending",
    [close_early, close_by_context_manager, close_after_a_timeout_for_each_chunk, close_in_another_task],
)
def test_a_stream_that_its_reader_closes_says_closed(
    ending: Callable[[Any], Awaitable[None]], kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import scenes

    kaizen_offline.script([FIVE_WORDS])

    async def read() -> None:
        stream = scenes.stream_of(scenes.llm_client())
        await ending(stream)
        with pytest.raises(StopAsyncIteration):
            await anext(stream)

    asyncio.run(read())

    chat = the_chat(kaizen_telemetry)
    assert chat["kaizen.call.outcome"] == "closed"
    assert chat.status == "UNSET"
    assert chat["kaizen.usage.missing.reason"] == "usage"


@pytest.mark.parametrize("provider", ["openai", "anthropic", "ollama"])
def test_a_stream_broken_off_never_passes_a_part_for_the_whole(
    provider: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import scenes

    kaizen_offline.script([FIVE_WORDS])
    asyncio.run(close_early(scenes.stream_of(scenes.llm_client(provider))))

    chat = the_chat(kaizen_telemetry)
    assert "gen_ai.usage.output_tokens" not in chat.attributes
    assert "kaizen.usage.cost.amount" not in chat.attributes
    assert chat["kaizen.usage.missing.reason"] == "usage"


def test_a_reader_that_breaks_out_and_lets_go_abandons_the_stream(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import scenes

    kaizen_offline.script([FIVE_WORDS])

    async def read() -> None:
        async for _ in scenes.stream_of(scenes.llm_client()):
            break
        await settle()

    asyncio.run(read())

    assert the_chat(kaizen_telemetry)["kaizen.call.outcome"] == "abandoned"


@connections_are_dropped
def test_a_stream_found_by_the_garbage_collector_is_abandoned(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import scenes

    kaizen_offline.script([FIVE_WORDS])

    async def read() -> None:
        holder: dict[str, Any] = {"stream": scenes.stream_of(scenes.llm_client())}
        holder["itself"] = holder
        await anext(holder["stream"])
        del holder
        assert kaizen_telemetry.spans == []
        gc.collect()
        await settle()
        await until(lambda: kaizen_telemetry.spans)

    asyncio.run(read())

    assert the_chat(kaizen_telemetry)["kaizen.call.outcome"] == "abandoned"


def test_a_stream_that_is_open_when_its_loop_ends_is_abandoned(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import scenes

    kaizen_offline.script([FIVE_WORDS])
    held: list[Any] = []

    async def read() -> None:
        held.append(scenes.stream_of(scenes.llm_client()))
        await anext(held[0])

    asyncio.run(read())  # closes every generator that is still open

    assert the_chat(kaizen_telemetry)["kaizen.call.outcome"] == "abandoned"


@connections_are_dropped
@pytest.mark.parametrize("known_to_loop", [True, False])
def test_a_stream_whose_loop_was_closed_before_it_is_abandoned(
    known_to_loop: bool, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import scenes

    kaizen_offline.script([FIVE_WORDS])
    stream = scenes.stream_of(scenes.llm_client())

    async def read(given: Any) -> None:
        await anext(given)

    loop = asyncio.new_event_loop()
    # A generator that is first asked inside a loop is left to that loop's finaliser, which is gone with it.
    loop.run_until_complete(read(stream) if known_to_loop else anext(stream))
    loop.close()
    assert kaizen_telemetry.spans == []
    del stream
    gc.collect()
    deadline = time.monotonic() + DEADLINE_S
    while not kaizen_telemetry.spans and time.monotonic() < deadline:
        time.sleep(0.001)

    assert the_chat(kaizen_telemetry)["kaizen.call.outcome"] == "abandoned"


def test_a_connection_that_the_server_drops_is_an_error_of_the_stream(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    import httpx

    from tests.kaizen_otel.surfaces import scenes

    kaizen_offline.script([Reply.dropped(after_chunks=3, text="one two three four five")])
    chunks: list[Any] = []

    async def read() -> None:
        async for chunk in scenes.stream_of(scenes.llm_client()):
            chunks.append(chunk)  # noqa: PERF401 - what came before the error is kept

    with pytest.raises(httpx.RemoteProtocolError):
        asyncio.run(read())

    assert len(chunks) == 3
    chat = the_chat(kaizen_telemetry)
    assert (chat.status, chat["error.type"]) == ("ERROR", "httpx.RemoteProtocolError")
    assert "kaizen.call.outcome" not in chat.attributes
    assert kaizen_telemetry.calls[0].error_type == "httpx.RemoteProtocolError"


def test_a_refused_stream_is_an_error_with_the_status(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    from kaizen.llm.errors import RateLimited

    from tests.kaizen_otel.surfaces import scenes

    kaizen_offline.script([Reply.rate_limited()])
    with pytest.raises(RateLimited):
        asyncio.run(scenes.read_stream())

    chat = the_chat(kaizen_telemetry)
    assert (chat.status, chat["error.type"]) == ("ERROR", "kaizen.llm.errors.RateLimited")
    assert chat["http.response.status_code"] == 429
    assert "gen_ai.response.time_to_first_chunk" not in chat.attributes


def test_an_error_of_the_readers_own_code_is_not_the_streams(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import scenes

    kaizen_offline.script([FIVE_WORDS])

    async def read() -> None:
        async with aclosing(scenes.stream_of(scenes.llm_client())) as stream:
            async for _ in stream:
                raise ValueError("the reader's")

    with pytest.raises(ValueError, match="the reader's"):
        asyncio.run(read())

    chat = the_chat(kaizen_telemetry)
    assert (chat.status, chat["kaizen.call.outcome"]) == ("UNSET", "closed")


def test_a_task_cancelled_while_it_waits_for_a_chunk_cancels_the_stream(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import scenes

    kaizen_offline.script([Reply(text="one two", delay_s=DEADLINE_S)])

    async def read() -> None:
        task = asyncio.create_task(scenes.read_stream())
        await until(lambda: kaizen_offline.requests)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(read())

    chat = the_chat(kaizen_telemetry)
    assert (chat.status, chat["kaizen.call.outcome"]) == ("UNSET", "cancelled")
    assert "error.type" not in chat.attributes


@connections_are_dropped
def test_a_task_cancelled_between_two_chunks_abandons_the_stream(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import scenes

    kaizen_offline.script([FIVE_WORDS])
    waiting = asyncio.Event()

    async def read_and_wait() -> None:
        async for _ in scenes.stream_of(scenes.llm_client()):
            waiting.set()
            await asyncio.Event().wait()

    async def read() -> None:
        task = asyncio.create_task(read_and_wait())
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        del task
        gc.collect()
        await settle()
        await until(lambda: kaizen_telemetry.spans)

    asyncio.run(read())

    assert the_chat(kaizen_telemetry)["kaizen.call.outcome"] == "abandoned"


def test_a_time_limit_around_the_whole_stream_cancels_it(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import scenes

    kaizen_offline.script([Reply(text="one two", delay_s=DEADLINE_S)])

    async def read() -> None:
        async with asyncio.timeout(0.05):
            await scenes.read_stream()

    with pytest.raises(TimeoutError):
        asyncio.run(read())

    chat = the_chat(kaizen_telemetry)
    assert (chat.status, chat["kaizen.call.outcome"]) == ("UNSET", "cancelled")
