"""kaizen_agents' blocking clients of the vendors' SDKs: its planner, its monitors and its recovery ask by these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kaizen_otel.invocations.call import CallInvocation, CallRequest
from kaizen_otel.invocations.values import attribute_of, bounded_text
from kaizen_otel.patches import stream_adapters, vendor_payloads
from kaizen_otel.patches.llm_client import MAX_COLLECTED_CHARS, expects_json
from kaizen_otel.patches.patcher import Patcher, Surface
from kaizen_otel.patches.standins import method_of
from kaizen_otel.patches.switch import active
from kaizen_semconv import gen_ai as g

if TYPE_CHECKING:
    from collections.abc import Callable


def _answered(read: Callable[[CallInvocation, Any], None]) -> Callable[[Any], Any]:
    """A function of the SDK that blocks and gives a whole answer."""
    see = vendor_payloads.seeing(read)

    def watch(create: Any) -> Any:
        def seen(*args: Any, **kwargs: Any) -> Any:
            vendor_payloads.see_request(kwargs)
            answer = create(*args, **kwargs)
            see(answer)
            return answer

        return seen

    return watch


_OPENAI = stream_adapters.Vendor(
    "openai", "_client.chat.completions.create", _answered(vendor_payloads.openai), "_client.base_url"
)
_ANTHROPIC = stream_adapters.Vendor(
    "anthropic", "_client.messages.create", _answered(vendor_payloads.anthropic), "_client.base_url"
)

CLIENTS = {
    "kaizen_agents.llm": (("LLMClient", _OPENAI),),
    "kaizen_agents.orchestration.adapters": (
        ("OpenAIStructuredAdapter", _OPENAI),
        ("AnthropicStructuredAdapter", _ANTHROPIC),
    ),
}
"""By module: classes whose `complete(messages, ...)` is one chat."""


def _surface(module_name: str, classes: tuple[tuple[str, stream_adapters.Vendor], ...]) -> Surface:
    def apply_to(patcher: Patcher, module: Any) -> None:
        for class_name, vendor in classes:
            patcher.wrap(getattr(module, class_name), "complete", _completing(vendor))

    return Surface(module_name, apply_to)


SURFACES = tuple(_surface(module, classes) for module, classes in CLIENTS.items())


def _completing(vendor: stream_adapters.Vendor) -> Any:
    def complete(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        telemetry = active()
        if telemetry is None:
            return wrapped(*args, **kwargs)
        seen = method_of(wrapped, stream_adapters.seen_by(instance, vendor), instance)
        with stream_adapters.begin(telemetry, lambda: chat_request(instance, vendor, args, kwargs)) as chat:
            result = seen(*args, **kwargs)
            chat.observe(lambda chat: observe_result(chat, result))
        return result

    return complete


def chat_request(
    client: Any, vendor: stream_adapters.Vendor, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> CallRequest:
    """What is asked of the client; the parameters are read where it asks the SDK."""
    address, port = stream_adapters.server_of(client, vendor)
    return CallRequest(
        g.GenAiOperationName.CHAT.value,
        vendor.provider,
        bounded_text(attribute_of(client, "_model")),
        server_address=address,
        server_port=port,
        expects_json=expects_json(kwargs),
        messages=args[0] if args else kwargs.get("messages"),
        tools=kwargs.get("tools"),
    )


def observe_result(chat: CallInvocation, result: Any) -> None:
    """kaizen_agents' answer, for what the SDK's own payload has not told better."""
    vendor_payloads.counted(chat, attribute_of(result, "usage"))
    if chat.response_model is None:
        chat.response_model = bounded_text(attribute_of(result, "model"))
    chat.output = {
        "text": bounded_text(attribute_of(result, "content"), MAX_COLLECTED_CHARS) or "",
        "tool_calls": attribute_of(result, "tool_calls") or [],
    }
