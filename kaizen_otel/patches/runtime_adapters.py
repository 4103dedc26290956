"""kaizen_agents' runtime adapters: a task handed to somebody else's agent, or to its own loop, is one execution (0.13).

Codex and Gemini ask a provider's SDK, the local one a provider of the application's: each such request is one chat.
Claude Code is a program of its own: what it asks, and with how many tokens, it tells nobody, and the run says so.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from kaizen_otel.invocations.agent import AgentInvocation, AgentRequest
from kaizen_otel.invocations.base import NULL_INVOCATION
from kaizen_otel.invocations.call import CallRequest
from kaizen_otel.invocations.failure import Failure
from kaizen_otel.invocations.scope import current_scope
from kaizen_otel.invocations.stream import watched_generator
from kaizen_otel.invocations.values import attribute_of, bounded_text, mapping
from kaizen_otel.patches import stream_adapters, vendor_payloads, wire_protocols
from kaizen_otel.patches.agents import already_watched
from kaizen_otel.patches.coroutines import in_place_of
from kaizen_otel.patches.delegate import observe_text
from kaizen_otel.patches.llm_client import MAX_COLLECTED_CHARS, parameters_of
from kaizen_otel.patches.patcher import Patcher, Surface
from kaizen_otel.patches.standins import SeenEvents, along, method_of
from kaizen_otel.patches.switch import active
from kaizen_otel.patches.watching import awaited, blocking
from kaizen_processors.values import type_name
from kaizen_semconv import gen_ai as g

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable

    from kaizen_otel.invocations.call import CallInvocation
    from kaizen_otel.patches.watching import Arguments, Begin, Begun, Keywords
    from kaizen_otel.telemetry import Telemetry


Watch = Callable[[Any, list[Any], Any], Any]
"""The adapter, where streams that are opened are put, and a function of the SDK; what stands in for the function."""

_CHAT = g.GenAiOperationName.CHAT.value

FAILED = frozenset({"error", "timeout", "max_cycles", "budget_exceeded"})
INTERRUPTED = "interrupted"
"""What `ExecutionResult.status` says of a run that did not come to its end."""


# -- executions ---------------------------------------------------------------------------------------------------


class _Adapter(NamedTuple):
    """One adapter: `execute(context, on_progress=None)` and `stream(context)` of its class are executions.

    `watches` says, by the path to a function of the SDK, what stands in for it; `asks` names methods that ask a
    provider of the application's own; `unseen` is the provider whose models are asked where nobody sees it.
    """

    module: str
    class_name: str
    watches: tuple[tuple[str, Watch], ...] = ()
    asks: tuple[str, ...] = ()
    unseen: str | None = None

    def surface(self) -> Surface:
        """Where it is patched."""
        return Surface(f"kaizen_agents.runtime_adapters.{self.module}", self.apply)

    def apply(self, patcher: Patcher, module: Any) -> None:
        """Patch the class."""
        owner = getattr(module, self.class_name)
        patcher.wrap(owner, "execute", self.execute)
        patcher.wrap(owner, "stream", self.stream)
        for name in self.asks:
            patcher.wrap(owner, name, asking)

    def execute(self, wrapped: Any, instance: Any, args: Arguments, kwargs: Keywords) -> Any:
        """A task from its beginning to its end."""
        telemetry = active()
        if telemetry is None:
            return wrapped(*args, **kwargs)
        call = method_of(wrapped, self._seen_by(instance, []), instance)(*args, **kwargs)
        return in_place_of(call, lambda call: self._run(telemetry, call, instance, args, kwargs))

    async def _run(
        self, telemetry: Telemetry, call: Awaitable[Any], instance: Any, args: Arguments, kwargs: Keywords
    ) -> Any:
        around: Any = current_scope()
        if already_watched(instance):  # its own stream runs it in a task
            result = await call
            around.observe(lambda execution: observe(execution, result))
            return result
        with self._begin(telemetry, instance, args, kwargs) as execution:
            result = await call
            execution.observe(lambda execution: observe(execution, result))
        return result

    def stream(self, wrapped: Any, instance: Any, args: Arguments, kwargs: Keywords) -> Any:
        """A task whose texts are read as they come."""
        telemetry = active()
        if telemetry is None:
            return wrapped(*args, **kwargs)
        streams: list[Any] = []
        texts: Any = Closing(method_of(wrapped, self._seen_by(instance, streams), instance)(*args, **kwargs), streams)

        def begin_reading() -> Begun:
            return NULL_INVOCATION if already_watched(instance) else self._begin(telemetry, instance, args, kwargs)

        return watched_generator(telemetry, texts, begin_reading, observe_text)

    def _begin(self, telemetry: Telemetry, adapter: Any, args: Arguments, kwargs: Keywords) -> Any:
        run = telemetry.agent(lambda: describe(adapter, args[0] if args else kwargs.get("context")))
        provider = self.unseen
        if provider is not None:
            run.observe(lambda run: run.asks_unseen(provider, bounded_text(attribute_of(adapter, "model"))))
        return run

    def _seen_by(self, adapter: Any, streams: list[Any]) -> Any:
        seen = adapter
        for path, watch in self.watches:
            seen = along(seen, path, partial(watch, adapter, streams))
        return seen


def _as_chat(describe: Callable[[Any, dict[str, Any]], CallRequest]) -> Begin:
    """How a function of an SDK begins: as one chat, described by the adapter and what the function is asked."""
    return lambda telemetry, adapter, _args, asked: stream_adapters.begin(telemetry, lambda: describe(adapter, asked))


class Closing:
    """What an adapter yields; when its reader closes that, the SDK's streams that the adapter leaves open end as well.

    Without it their calls would end when the event loop comes upon them, which may be after its last step.
    """

    __slots__ = ("_streams", "_texts", "asend", "athrow")

    def __init__(self, texts: Any, streams: list[Any]) -> None:
        """Hold both; the streams are opened later."""
        self._texts, self._streams = texts, streams
        self.asend, self.athrow = texts.asend, texts.athrow

    async def aclose(self) -> None:
        """Close the adapter's generator, then the streams; what fails of these, the application did not ask for."""
        try:
            await self._texts.aclose()
        finally:
            for stream in self._streams:
                with suppress(Exception):
                    await stream.aclose()


def describe(adapter: Any, context: Any) -> AgentRequest:
    """Who runs: an adapter has no name, so its class is told; in which session, with which task."""
    return AgentRequest(
        type_name(adapter),
        adapter,
        session_id=bounded_text(attribute_of(context, "session_id")),
        inputs=attribute_of(context, "task"),
    )


def observe(run: AgentInvocation, result: Any) -> None:
    """An `ExecutionResult`: adapters return what they fail with.

    A response that the provider gave up on is an empty answer and a success to them.
    """
    run.returned(attribute_of(result, "output"))
    status = bounded_text(attribute_of(attribute_of(result, "status"), "value"))
    if status in FAILED or run.last_call_failure is not None:
        error_type = bounded_text(attribute_of(result, "error_type")) or status or "error"
        run.failed(error_type, bounded_text(attribute_of(result, "error_message"), 1_024) or "")
    elif status == INTERRUPTED:
        run.failure = Failure(INTERRUPTED, cancelled=True)


# -- OpenAI's Responses API ---------------------------------------------------------------------------------------


def responses(adapter: Any, streams: list[Any], create: Any) -> Any:
    """`AsyncOpenAI.responses.create`: a whole answer, or with `stream` the events of one."""
    whole = awaited(_as_chat(response_request), vendor_payloads.openai_response)

    async def seen(*args: Any, **kwargs: Any) -> Any:
        telemetry = active()
        if telemetry is None:
            return await create(*args, **kwargs)
        if kwargs.get("stream") is True:
            return await _read_on(
                _Asked(telemetry, create, args, kwargs),
                lambda: response_request(adapter, kwargs),
                observe_response_event,
                streams,
            )
        return await whole(create, adapter, args, kwargs)

    return seen


def response_request(adapter: Any, asked: dict[str, Any]) -> CallRequest:
    """What is asked of the Responses API."""
    address, port = stream_adapters.server_of(adapter, stream_adapters.OPENAI)
    return CallRequest(
        _CHAT,
        stream_adapters.OPENAI.provider,
        bounded_text(asked.get("model")),
        server_address=address,
        server_port=port,
        streaming=asked.get("stream") is True,
        parameters=lambda: parameters_of({**asked, "max_tokens": asked.get("max_output_tokens")}),
        messages=_said(asked.get("input")),
        tools=asked.get("tools"),
    )


def _said(task: object) -> object:
    return [{"role": "user", "content": task}] if issubclass(type(task), str) else task


def observe_response_event(chat: CallInvocation, event: Any) -> None:
    """One event: pieces of the text, and at the end the whole response."""
    kind = attribute_of(event, "type")
    if kind in {"response.completed", "response.incomplete", "response.failed"}:
        vendor_payloads.openai_response(chat, attribute_of(event, "response"))
    elif kind == "error":
        message = bounded_text(attribute_of(event, "message"), 1_024) or ""
        chat.failed_with(bounded_text(attribute_of(event, "code")) or "error", message)
    elif kind == "response.output_text.delta" and chat.recorded.captures:
        collect(chat, attribute_of(event, "delta"))
    if chat.failure is not None and isinstance(chat.execution, AgentInvocation):
        chat.execution.failure = chat.failure  # the adapter's stream just ends there


def collect(chat: CallInvocation, piece: Any) -> None:
    """Put the answer of a stream together, up to what may be of use."""
    said: dict[str, str] = mapping(chat.output) or {"text": ""}
    chat.output = said
    if len(said["text"]) < MAX_COLLECTED_CHARS:
        said["text"] += bounded_text(piece, MAX_COLLECTED_CHARS) or ""


class _Asked(NamedTuple):
    """A function of an SDK, and what it is called with."""

    telemetry: Telemetry
    create: Any
    args: Arguments
    kwargs: Keywords


async def _read_on(
    asked: _Asked,
    describe: Callable[[], CallRequest],
    observe_event: Callable[[CallInvocation, Any], None],
    streams: list[Any],
) -> Any:
    """The SDK's stream, watched: the request is made right here, as without us."""
    opened: list[Any] = []

    async def events() -> AsyncGenerator[Any, Any]:
        stream = await asked.create(*asked.args, **asked.kwargs)
        opened.append(stream)
        yield stream
        async for event in stream:
            yield event

    def observe_chunk(chat: CallInvocation, event: Any) -> None:
        if event is opened[0]:
            return
        if chat.first_chunk_ns is None:
            chat.first_chunk()
        observe_event(chat, event)

    telemetry = asked.telemetry
    watched = watched_generator(telemetry, events(), lambda: stream_adapters.begin(telemetry, describe), observe_chunk)
    streams.append(watched)
    return SeenEvents(await anext(watched), watched)


# -- Gemini -------------------------------------------------------------------------------------------------------

_GEMINI = stream_adapters.VENDORS["google_adapter:GoogleStreamAdapter"]


def gemini(adapter: Any, _streams: list[Any], generate: Any) -> Any:
    """`Client.models.generate_content`, which the adapter calls in a thread."""
    watch = blocking(_as_chat(gemini_request), observe_gemini)
    return lambda *args, **kwargs: watch(generate, adapter, args, kwargs)


def gemini_stream(adapter: Any, streams: list[Any], generate: Any) -> Any:
    """`Client.aio.models.generate_content_stream`."""

    async def seen(*args: Any, **kwargs: Any) -> Any:
        telemetry = active()
        if telemetry is None:
            return await generate(*args, **kwargs)
        return await _read_on(
            _Asked(telemetry, generate, args, kwargs),
            lambda: gemini_request(adapter, kwargs, streaming=True),
            observe_gemini,
            streams,
        )

    return seen


def gemini_request(adapter: Any, asked: dict[str, Any], *, streaming: bool = False) -> CallRequest:
    """What is asked of Gemini: its parameters are in a `config` that the adapter makes of its own."""
    address, port = stream_adapters.server_of(adapter, _GEMINI)
    return CallRequest(
        _CHAT,
        _GEMINI.provider,
        bounded_text(asked.get("model")),
        server_address=address,
        server_port=port,
        streaming=streaming,
        parameters=lambda: parameters_of(
            {
                "temperature": attribute_of(adapter, "temperature"),
                "max_tokens": attribute_of(adapter, "max_output_tokens"),
            }
        ),
        messages=_said(asked.get("contents")),
    )


def observe_gemini(chat: CallInvocation, answer: Any) -> None:
    """A `GenerateContentResponse`, or one chunk of a stream of them."""
    vendor_payloads.google(chat, answer)
    if chat.recorded.captures:
        (candidate, *_) = vendor_payloads.listed(attribute_of(answer, "candidates")) or (None,)
        for part in vendor_payloads.listed(attribute_of(attribute_of(candidate, "content"), "parts")):
            collect(chat, attribute_of(part, "text"))  # the answer's own `text` warns of parts that are none


# -- the local loop -----------------------------------------------------------------------------------------------


def asking(wrapped: Any, instance: Any, args: Arguments, kwargs: Keywords) -> Any:
    """`_think_phase(state)` and `_create_plan(state)`: each asks the adapter's provider once."""
    if active() is None or attribute_of(instance, "_llm_provider") is None:
        return wrapped(*args, **kwargs)
    seen = along(instance, "_llm_provider.chat_async", lambda chat: _watched_chat(instance, chat))
    return method_of(wrapped, seen, instance)(*args, **kwargs)


def _watched_chat(adapter: Any, chat_async: Any) -> Any:
    watch = awaited(_as_chat(local_request), observe_local)
    return lambda *args, **kwargs: watch(chat_async, adapter, args, kwargs)


def local_request(adapter: Any, asked: dict[str, Any]) -> CallRequest:
    """What is asked of a provider of the application's own; which one that is, the configuration says."""
    return CallRequest(
        _CHAT,
        bounded_text(attribute_of(attribute_of(adapter, "config"), "llm_provider")),
        bounded_text(asked.get("model")),
        parameters=lambda: parameters_of(asked),
        messages=asked.get("messages"),
        tools=asked.get("tools"),
    )


def observe_local(chat: CallInvocation, answer: Any) -> None:
    """A dictionary with `content`, `tool_calls` and `usage`, as the adapter reads it."""
    given = mapping(answer)
    wire_protocols.openai(chat, {name: given.get(name) for name in ("id", "model", "usage")})
    reason = bounded_text(given.get("finish_reason"))
    if reason:
        chat.finish_reasons = (reason,)
    chat.output = {
        "text": bounded_text(given.get("content"), MAX_COLLECTED_CHARS) or "",
        "tool_calls": given.get("tool_calls") or [],
    }


ADAPTERS = (
    _Adapter("openai_codex", "OpenAICodexAdapter", (("_client.responses.create", responses),)),
    _Adapter(
        "gemini_cli",
        "GeminiCLIAdapter",
        (("_client.models.generate_content", gemini), ("_client.aio.models.generate_content_stream", gemini_stream)),
    ),
    _Adapter("claude_code", "ClaudeCodeAdapter", unseen=g.GenAiProviderName.ANTHROPIC.value),
    _Adapter("kaizen_local", "LocalKaizenAdapter", asks=("_think_phase", "_create_plan")),
)

SURFACES = tuple(adapter.surface() for adapter in ADAPTERS)
