"""The narrow waist: every real model call of Kaizen passes `LlmClient.complete`, `.stream` or `.embed` (>= 2.34)."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from kaizen_otel.invocations.call import CallInvocation, CallRequest
from kaizen_otel.invocations.scope import attached_scope
from kaizen_otel.invocations.stream import watched_stream
from kaizen_otel.invocations.values import (
    attribute_of,
    bounded_text,
    entry_of,
    finite_number,
    mapping,
    text_tuple,
    token_count,
    whole_number,
)
from kaizen_otel.patches.patcher import Patcher, Surface
from kaizen_otel.patches.switch import active
from kaizen_otel.patches.watching import awaited
from kaizen_semconv import gen_ai as g

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from kaizen_otel.invocations.base import Attributes
    from kaizen_otel.patches.watching import Arguments, Begun, Keywords
    from kaizen_otel.telemetry import Telemetry

PROVIDERS = {
    "google": g.GenAiProviderName.GCP_GEMINI.value,
    "azure": g.GenAiProviderName.AZURE_AI_OPENAI.value,
    "azure_openai": g.GenAiProviderName.AZURE_AI_OPENAI.value,
    "azure_ai_foundry": g.GenAiProviderName.AZURE_AI_INFERENCE.value,
    "mistral": g.GenAiProviderName.MISTRAL_AI.value,
    "xai": g.GenAiProviderName.X_AI.value,
}
"""Kaizen's preset names that the conventions call otherwise."""

PROVIDER_PREFIXES = {
    "vertex": g.GenAiProviderName.GCP_VERTEX_AI.value,
    "bedrock": g.GenAiProviderName.AWS_BEDROCK.value,
}

MAX_COLLECTED_CHARS = 65_536
"""Longest answer of a stream that is put together where content is recorded."""

_CHAT = g.GenAiOperationName.CHAT.value
_EMBEDDINGS = g.GenAiOperationName.EMBEDDINGS.value
_JSON = g.GenAiOutputType.JSON.value


def _choices(value: object) -> int | None:
    """More answers than one: one is what everybody gets."""
    count = whole_number(value)
    return None if count == 1 else count


def _json_type(response_format: object) -> str | None:
    kind = entry_of(response_format, "type")
    return _JSON if type(kind) is str and kind.startswith("json") else None


_PARAMETERS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "temperature": (g.GEN_AI_REQUEST_TEMPERATURE, finite_number),
    "top_p": (g.GEN_AI_REQUEST_TOP_P, finite_number),
    "frequency_penalty": (g.GEN_AI_REQUEST_FREQUENCY_PENALTY, finite_number),
    "presence_penalty": (g.GEN_AI_REQUEST_PRESENCE_PENALTY, finite_number),
    "max_tokens": (g.GEN_AI_REQUEST_MAX_TOKENS, whole_number),
    "seed": (g.GEN_AI_REQUEST_SEED, whole_number),
    "top_k": (g.GEN_AI_REQUEST_TOP_K, finite_number),
    "n": (g.GEN_AI_REQUEST_CHOICE_COUNT, _choices),
    "stop": (g.GEN_AI_REQUEST_STOP_SEQUENCES, lambda value: text_tuple(value) or None),
    "response_format": (g.GEN_AI_OUTPUT_TYPE, _json_type),
}
"""Arguments of `complete`: the attribute, and what takes its value from an unknown one (None: nothing to tell)."""


def apply(patcher: Patcher, module: Any) -> None:
    """Patch the client class."""
    client = module.LlmClient
    patcher.wrap(client, "complete", awaited(begin_chat, observe_result, unless=for_stream))
    patcher.wrap(client, "stream", stream)
    patcher.wrap(client, "embed", awaited(begin_embeddings))
    telemetry = active()
    if telemetry is not None and telemetry.settings.stream_usage:
        patcher.wrap(client, "_build_completion_payload_and_url", build_payload)


SURFACE = Surface("kaizen.llm.client", apply)


def begin_chat(telemetry: Telemetry, client: Any, args: Arguments, kwargs: Keywords) -> Begun:
    """`LlmClient.complete`: one chat."""
    return telemetry.call(lambda: chat_request(client, args, kwargs))


def for_stream(_client: Any, _args: Arguments, _kwargs: Keywords) -> bool:
    """A deployment that does not stream: `stream` asks `complete` for the whole answer, and is watched already."""
    scope = attached_scope()
    return type(scope) is CallInvocation and not scope.ended


def stream(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`LlmClient.stream`: one chat whose answer comes in chunks."""
    telemetry = active()
    chunks: AsyncGenerator[Any, Any] = wrapped(*args, **kwargs)
    if telemetry is None:
        return chunks
    return watched_stream(
        telemetry, chunks, lambda: chat_request(instance, args, kwargs, streaming=True), observe_chunk
    )


def begin_embeddings(telemetry: Telemetry, client: Any, _args: Arguments, kwargs: Keywords) -> Begun:
    """`LlmClient.embed`: one embeddings call."""
    return telemetry.call(lambda: embeddings_request(client, kwargs))


def build_payload(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Ask an OpenAI-style provider for the usage of a stream, where `Settings.stream_usage` says so.

    The other wires report it unasked (Mistral's, which is much like OpenAI's, refuses fields that it does not know).
    """
    built = wrapped(*args, **kwargs)
    telemetry = active()
    if telemetry is None or not telemetry.settings.stream_usage:
        return built
    with telemetry.fence("stream_usage"):
        payload = built[0]
        if kwargs.get("stream") and type(payload) is dict and _wire_name(instance) == "OpenAiChat":
            payload.setdefault("stream_options", {"include_usage": True})
    return built


# -- what a request says ------------------------------------------------------------------------------------------


def chat_request(client: Any, args: tuple[Any, ...], kwargs: dict[str, Any], *, streaming: bool = False) -> CallRequest:
    """Read a chat's request off the client and the arguments of `complete` or `stream`."""
    deployment = client._deployment  # noqa: SLF001 - Kaizen has no public name for it (2.34 to 2.46)
    address, port = server_of(deployment)
    return CallRequest(
        _CHAT,
        provider_of(deployment),
        _model_of(deployment, kwargs),
        server_address=address,
        server_port=port,
        streaming=streaming,
        expects_json=expects_json(kwargs),
        parameters=lambda: parameters_of(kwargs),
        messages=args[0] if args else kwargs.get("messages"),
        tools=kwargs.get("tools"),
        instructions_apart=lambda: takes_instructions_apart(deployment),
    )


def embeddings_request(client: Any, kwargs: dict[str, Any]) -> CallRequest:
    """Read an embeddings request."""
    deployment = client._deployment  # noqa: SLF001 - as above
    address, port = server_of(deployment)
    return CallRequest(
        _EMBEDDINGS,
        provider_of(deployment),
        _model_of(deployment, kwargs),
        server_address=address,
        server_port=port,
        parameters=lambda: embedding_parameters_of(kwargs),
    )


def _model_of(deployment: Any, kwargs: dict[str, Any]) -> str | None:
    given = bounded_text(kwargs["model"]) if "model" in kwargs else None
    return given or bounded_text(getattr(deployment, "default_model", None))


def provider_of(deployment: Any) -> str | None:
    """The conventions' name of the provider: from the preset, else from the wire protocol."""
    name = bounded_text(getattr(deployment, "preset_name", None))
    return provider_named(name) if name else _provider_of_wire(deployment)


@lru_cache(maxsize=256)
def provider_named(name: str) -> str:
    """The conventions' name of the provider that Kaizen calls so."""
    for prefix, provider in PROVIDER_PREFIXES.items():
        if name.startswith(prefix):
            return provider
    return PROVIDERS.get(name, name)


_WIRE_PROVIDERS = {
    "OpenAiChat": "openai",
    "AnthropicMessages": "anthropic",
    "GoogleGenerateContent": g.GenAiProviderName.GCP_GEMINI.value,
    "VertexGenerateContent": g.GenAiProviderName.GCP_VERTEX_AI.value,
    "BedrockInvoke": g.GenAiProviderName.AWS_BEDROCK.value,
    "CohereGenerate": "cohere",
    "MistralChat": g.GenAiProviderName.MISTRAL_AI.value,
    "OllamaNative": "ollama",
    "HuggingFaceInference": "huggingface",
}


def _provider_of_wire(deployment: Any) -> str | None:
    wire = bounded_text(getattr(getattr(deployment, "wire", None), "name", None))
    return None if wire is None else _WIRE_PROVIDERS.get(wire)


def _wire_name(client: Any) -> str | None:
    return bounded_text(client._deployment.wire.name)  # noqa: SLF001 - as above


_INSTRUCTIONS_APART = frozenset(
    {"AnthropicMessages", "CohereGenerate", "GoogleGenerateContent", "VertexGenerateContent"}
)
"""Wires whose request has a field of its own for what Kaizen is given as system messages (kaizen 2.34 to 2.46)."""


def takes_instructions_apart(deployment: Any) -> bool:
    """Whether the provider is sent the system messages apart from the others."""
    return bounded_text(getattr(getattr(deployment, "wire", None), "name", None)) in _INSTRUCTIONS_APART


def server_of(deployment: Any) -> tuple[str | None, int | None]:
    """Host and port of the endpoint; the port only when it is not the scheme's own."""
    url = getattr(getattr(deployment, "endpoint", None), "base_url", None)
    return (None, None) if url is None else _server_at(str(url))


@lru_cache(maxsize=256)
def _server_at(url: str) -> tuple[str | None, int | None]:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return bounded_text(parts.hostname), port


def parameters_of(kwargs: dict[str, Any]) -> Attributes:
    """The `gen_ai.request.*` attributes of the arguments that were given."""
    attributes: Attributes = {}
    for name, value in kwargs.items():
        if value is None or name not in _PARAMETERS:
            continue
        key, read = _PARAMETERS[name]
        found = read(value)
        if found is not None:
            attributes[key] = found
    return attributes


def expects_json(kwargs: dict[str, Any]) -> bool:
    """Whether the arguments ask for an answer in JSON."""
    return "response_format" in kwargs and _json_type(kwargs["response_format"]) is not None


def embedding_parameters_of(kwargs: dict[str, Any]) -> Attributes:
    """The attributes of what was asked of an embedding."""
    dimensions = whole_number(attribute_of(kwargs.get("options"), "dimensions"))
    return {g.GEN_AI_EMBEDDINGS_DIMENSION_COUNT: dimensions} if dimensions else {}


# -- what an answer says ------------------------------------------------------------------------------------------


def observe_result(chat: CallInvocation, result: Any) -> None:
    """Take what Kaizen's normalised answer says of a provider whose own payload (see `wire_protocols`) was not read."""
    answer = mapping(result)
    observe_usage(chat, answer)
    chat.output = answer


def observe_usage(chat: CallInvocation, answer: dict[Any, Any]) -> None:
    """Usage, model and finish reason of Kaizen's normalised shape, where the payload has not told them better."""
    if chat.payload_read:
        return
    usage = mapping(answer.get("usage"))
    chat.usage.input_tokens = token_count(usage.get("input_tokens"))
    chat.usage.output_tokens = token_count(usage.get("output_tokens"))
    chat.response_model = bounded_text(answer.get("model"))
    reason = bounded_text(answer.get("stop_reason"))
    if reason:
        chat.finish_reasons = (reason,)


def observe_chunk(chat: CallInvocation, chunk: Any) -> None:
    """One chunk of a stream, in Kaizen's normalised shape."""
    if chat.first_chunk_ns is None:
        chat.first_chunk()
    if type(chunk) is not dict:
        return
    if chunk.get("stop_reason"):
        observe_usage(chat, chunk)
    if chat.recorded.captures:
        collect_text(chat, chunk)


def collect_text(chat: CallInvocation, chunk: dict[Any, Any]) -> None:
    """Put the answer of a stream together, up to what may be recorded of it."""
    collected: dict[str, str] = mapping(chat.output) or {"text": ""}
    chat.output = collected
    text = bounded_text(chunk.get("text"), MAX_COLLECTED_CHARS)
    if text and len(collected["text"]) < MAX_COLLECTED_CHARS:
        collected["text"] += text
