"""kaizen_agents' stream adapters: each `stream_chat` is one chat, on the provider's own SDK."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from kaizen_otel.invocations.base import NULL_INVOCATION, NullInvocation
from kaizen_otel.invocations.call import CallInvocation, CallRequest
from kaizen_otel.invocations.scope import current_scope
from kaizen_otel.invocations.stream import watched_generator
from kaizen_otel.invocations.values import attribute_of, bounded_text
from kaizen_otel.patches import vendor_payloads
from kaizen_otel.patches.llm_client import MAX_COLLECTED_CHARS, parameters_of
from kaizen_otel.patches.patcher import Patcher, Surface
from kaizen_otel.patches.standins import SeenManager, SeenStream, along, method_of
from kaizen_otel.patches.switch import active
from kaizen_semconv import gen_ai as g

if TYPE_CHECKING:
    from collections.abc import Callable

    from kaizen_otel.telemetry import Telemetry

_CHAT = g.GenAiOperationName.CHAT.value


class Vendor(NamedTuple):
    """One provider's SDK, as an adapter uses it.

    `path` leads from the adapter to the SDK's function, `watch` stands in for the function.
    """

    provider: str
    path: str
    watch: Callable[[Any], Any] | None
    server: str


def _awaited_stream(read: Callable[[CallInvocation, Any], None]) -> Callable[[Any], Any]:
    """A function of the SDK that is awaited and gives a stream."""
    see = vendor_payloads.seeing(read)

    def watch(create: Any) -> Any:
        async def seen(*args: Any, **kwargs: Any) -> Any:
            vendor_payloads.see_request(kwargs)
            return SeenStream(await create(*args, **kwargs), see)

        return seen

    return watch


def _google_stream(create: Any) -> Any:
    async def seen(*args: Any, **kwargs: Any) -> Any:  # its parameters are in a `config`, which adapters fill alike
        return SeenStream(await create(*args, **kwargs), _SEE_GOOGLE)

    return seen


_SEE_GOOGLE = vendor_payloads.seeing(vendor_payloads.google)
_SEE_ANTHROPIC = vendor_payloads.seeing(vendor_payloads.anthropic)


def _anthropic_stream(stream: Any) -> Any:
    def seen(*args: Any, **kwargs: Any) -> Any:
        vendor_payloads.see_request(kwargs)
        return SeenManager(stream(*args, **kwargs), _SEE_ANTHROPIC)

    return seen


OPENAI = Vendor(
    "openai", "_client.chat.completions.create", _awaited_stream(vendor_payloads.openai), "_client.base_url"
)
VENDORS = {
    "openai_adapter:OpenAIStreamAdapter": OPENAI,
    "anthropic_adapter:AnthropicStreamAdapter": Vendor(
        "anthropic", "_client.messages.stream", _anthropic_stream, "_client.base_url"
    ),
    "google_adapter:GoogleStreamAdapter": Vendor(
        g.GenAiProviderName.GCP_GEMINI.value,
        "_client.aio.models.generate_content_stream",
        _google_stream,
        "_client._api_client._http_options.base_url",
    ),
    # No SDK: the last line counts the tokens, and the adapter hands them on.
    "ollama_adapter:OllamaStreamAdapter": Vendor("ollama", "", None, "_base_url"),
}
"""By module and class below `kaizen_agents.delegate.adapters`."""


def _surface(place: str, vendor: Vendor) -> Surface:
    module_name, _, class_name = place.partition(":")

    def stream_chat(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """`stream_chat(messages, tools=None, *, model, temperature, max_tokens, ...)`."""
        telemetry = active()
        if telemetry is None:
            return wrapped(*args, **kwargs)
        seen = method_of(wrapped, seen_by(instance, vendor), instance)
        return watched_generator(
            telemetry,
            seen(*args, **kwargs),
            lambda: begin(telemetry, lambda: chat_request(instance, vendor, args, kwargs)),
            observe_event,
        )

    def apply_to(patcher: Patcher, module: Any) -> None:
        patcher.wrap(getattr(module, class_name), "stream_chat", stream_chat)

    return Surface(f"kaizen_agents.delegate.adapters.{module_name}", apply_to)


SURFACES = tuple(_surface(place, vendor) for place, vendor in VENDORS.items())


def seen_by(adapter: Any, vendor: Vendor) -> Any:
    """The adapter as its own `stream_chat` is to see it."""
    return adapter if vendor.watch is None else along(adapter, vendor.path, vendor.watch)


def begin(telemetry: Telemetry, describe: Callable[[], CallRequest]) -> CallInvocation | NullInvocation:
    """One chat; none where this very call is watched further up (an adapter around an adapter)."""
    scope = current_scope()
    if isinstance(scope, CallInvocation) and not scope.ended:
        return NULL_INVOCATION
    return telemetry.call(describe)


def chat_request(adapter: Any, vendor: Vendor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> CallRequest:
    """What is asked of the adapter, or else what it does by default."""
    address, port = server_of(adapter, vendor)
    asked = {
        name: kwargs[name] if kwargs.get(name) is not None else attribute_of(adapter, f"_default_{name}")
        for name in ("temperature", "max_tokens")
    }
    return CallRequest(
        _CHAT,
        vendor.provider,
        bounded_text(kwargs.get("model")) or bounded_text(attribute_of(adapter, "_default_model")),
        server_address=address,
        server_port=port,
        streaming=True,
        parameters=lambda: parameters_of(asked),
        messages=args[0] if args else kwargs.get("messages"),
        tools=args[1] if len(args) > 1 else kwargs.get("tools"),
    )


def server_of(holder: Any, vendor: Vendor) -> tuple[str | None, int | None]:
    """Host and port of the endpoint."""
    value = holder
    for name in vendor.server.split("."):
        value = attribute_of(value, name)
    if value is None:
        return None, None
    parts = urlsplit(str(value))
    return bounded_text(parts.hostname), parts.port or (443 if parts.scheme == "https" else 80)


def observe_event(call: CallInvocation, event: Any) -> None:
    """A `StreamEvent`: what has been said so far, and at the end the sums of this one call."""
    if call.first_chunk_ns is None:
        call.first_chunk()
    done = attribute_of(event, "event_type") == "done"
    if done:
        observe_end(call, event)
    if done or call.recorded.captures:
        call.output = {
            "text": bounded_text(attribute_of(event, "content"), MAX_COLLECTED_CHARS) or "",
            "tool_calls": attribute_of(event, "tool_calls") or [],
        }


def observe_end(call: CallInvocation, event: Any) -> None:
    """Usage, model and finish reason, where the SDK's own payload has not told them better."""
    vendor_payloads.counted(call, attribute_of(event, "usage"))
    if call.response_model is None:
        call.response_model = bounded_text(attribute_of(event, "model")) or None
    reason = bounded_text(attribute_of(event, "finish_reason"))
    if reason and not call.finish_reasons:
        call.finish_reasons = (reason,)
