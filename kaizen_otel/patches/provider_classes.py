"""Kaizen's provider classes, one for each vendor's SDK: what every model call passed before `LlmClient` (1.0 to 2.35).

Their answers have one shape, which is also the mock provider's. What the SDK said beyond it (cached and reasoning
tokens, the address of the server) is dropped inside them. Kaizen 2.34 and 2.35 still use one of them, for Azure AI
Foundry; 2.36 removed them.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from kaizen_otel.invocations.call import CallInvocation, CallRequest
from kaizen_otel.invocations.scope import current_scope
from kaizen_otel.invocations.stream import watched_stream
from kaizen_otel.invocations.values import attribute_of, bounded_text, mapping, token_count
from kaizen_otel.patches.llm_client import collect_text, parameters_of
from kaizen_otel.patches.mock_provider import MOCK_PROVIDER, observe
from kaizen_otel.patches.patcher import Patcher, Surface
from kaizen_otel.patches.switch import active
from kaizen_otel.patches.watching import awaited, blocking
from kaizen_processors.values import type_name
from kaizen_semconv import gen_ai as g

if TYPE_CHECKING:
    from kaizen_otel.patches.watching import Arguments, Begun, Keywords
    from kaizen_otel.telemetry import Telemetry

PROVIDERS = {
    "AnthropicProvider": "anthropic",
    "AzureAIFoundryProvider": g.GenAiProviderName.AZURE_AI_INFERENCE.value,
    "CohereProvider": "cohere",
    "DockerModelRunnerProvider": "docker",
    "GoogleGeminiProvider": g.GenAiProviderName.GCP_GEMINI.value,
    "HuggingFaceProvider": "huggingface",
    "MockProvider": MOCK_PROVIDER,
    "OllamaProvider": "ollama",
    "OpenAIProvider": "openai",
    "PerplexityProvider": "perplexity",
    "UnifiedAzureProvider": g.GenAiProviderName.AZURE_AI_OPENAI.value,
}
"""By class: before 2.7 they have no name of their own."""

_CHAT = g.GenAiOperationName.CHAT.value
_EMBEDDINGS = g.GenAiOperationName.EMBEDDINGS.value


def apply(patcher: Patcher, module: Any) -> None:
    """Patch what the module's own classes define; a class of another version has what it has."""
    for name in PROVIDERS:
        provider = vars(module).get(name)
        if isinstance(provider, type) and provider.__module__ == module.__name__:
            for method, wrapper in METHODS.items():
                if method in vars(provider):
                    patcher.wrap(provider, method, wrapper)


def begin_chat(telemetry: Telemetry, provider: Any, args: Arguments, kwargs: Keywords) -> Begun:
    """`chat(messages, *, model, generation_config, tools)`: one chat."""
    return telemetry.call(lambda: chat_request(provider, args, kwargs))


def stream_chat(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """One chat whose answer comes in `StreamEvent`s."""
    telemetry = active()
    events = wrapped(*args, **kwargs)
    if telemetry is None or not inspect.isasyncgen(events):
        return events
    return watched_stream(
        telemetry, events, lambda: chat_request(instance, args, kwargs, streaming=True), observe_event
    )


def begin_embeddings(telemetry: Telemetry, provider: Any, _args: Arguments, kwargs: Keywords) -> Begun:
    """`embed(texts, *, model)`: its answer is vectors alone, so the tokens stay unknown."""
    return telemetry.call(lambda: embeddings_request(provider, kwargs))


def by_itself(_provider: Any, _args: Arguments, _kwargs: Keywords) -> bool:
    """Whether this very call is being watched: one of the provider's methods called another."""
    scope = current_scope()
    return isinstance(scope, CallInvocation) and not scope.ended


METHODS = {
    "chat": blocking(begin_chat, observe, unless=by_itself),
    "chat_async": awaited(begin_chat, observe, unless=by_itself),
    "stream_chat": stream_chat,
    "embed": blocking(begin_embeddings, unless=by_itself),
    "embed_async": awaited(begin_embeddings, unless=by_itself),
}

SURFACES = tuple(
    Surface(module, apply)
    for module in (
        "kaizen.nodes.ai.ai_providers",
        "kaizen.nodes.ai.unified_azure_provider",
        *(
            f"kaizen.providers.{name}"
            for name in (
                "embedding.cohere",
                "embedding.huggingface",
                "llm.anthropic",
                "llm.azure",
                "llm.docker",
                "llm.google",
                "llm.mock",
                "llm.ollama",
                "llm.openai",
                "llm.perplexity",
            )
        ),
    )
)


def chat_request(
    provider: Any, args: tuple[Any, ...], kwargs: dict[str, Any], *, streaming: bool = False
) -> CallRequest:
    """Read a chat's request off the arguments; sampling parameters stand in `generation_config`."""
    config = mapping(kwargs.get("generation_config"))
    return CallRequest(
        _CHAT,
        provider_of(provider),
        bounded_text(kwargs.get("model")),
        streaming=streaming,
        expects_json=bool(parameters_of({"response_format": config.get("response_format")})),
        parameters=lambda: parameters_of({"max_tokens": config.get("max_completion_tokens"), **config}),
        messages=args[0] if args else kwargs.get("messages"),
        tools=kwargs.get("tools"),
    )


def embeddings_request(provider: Any, kwargs: dict[str, Any]) -> CallRequest:
    """Read an embeddings request."""
    return CallRequest(_EMBEDDINGS, provider_of(provider), bounded_text(kwargs.get("model")))


def provider_of(provider: Any) -> str | None:
    """The conventions' name, from the nearest class that is Kaizen's own."""
    for base in type.mro(type(provider)):
        name = PROVIDERS.get(type.__getattribute__(base, "__name__"))
        if name is not None:
            return name
    return bounded_text(attribute_of(provider, "name")) or type_name(provider)


def observe_event(call: CallInvocation, event: Any) -> None:
    """One event of a stream: only the last, `done`, counts tokens."""
    if call.first_chunk_ns is None:
        call.first_chunk()
    if attribute_of(event, "event_type") == "done":
        usage = mapping(attribute_of(event, "usage"))
        call.usage.input_tokens = token_count(usage.get("prompt_tokens"))
        call.usage.output_tokens = token_count(usage.get("completion_tokens"))
        call.response_model = bounded_text(attribute_of(event, "model")) or None
        reason = bounded_text(attribute_of(event, "finish_reason"))
        if reason:
            call.finish_reasons = (reason,)
    elif call.recorded.captures:
        collect_text(call, {"text": attribute_of(event, "delta_text")})
