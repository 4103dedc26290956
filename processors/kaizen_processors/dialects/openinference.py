"""The dialect of OpenInference (Arize Phoenix): known by `openinference.span.kind`."""

from __future__ import annotations

import json
from typing import Final

from kaizen_processors.dialects.model_call import Attributes, ModelCall, UsageNames, text
from kaizen_processors.dialects.providers import provider_name
from kaizen_semconv.gen_ai import GenAiOperationName

SPAN_KIND: Final = "openinference.span.kind"
"""The attribute by which such a span is known."""

_MODEL_CALLS: Final[dict[str, str]] = {
    "LLM": GenAiOperationName.CHAT.value,
    "EMBEDDING": GenAiOperationName.EMBEDDINGS.value,
}

_MAX_PARAMETERS_CHARS: Final = 4096
"""Longer request parameters are not read: the model's name is not worth the time."""

_USAGE: Final = UsageNames(
    input_tokens=("llm.token_count.prompt",),
    output_tokens=("llm.token_count.completion",),
    cache_read_tokens=("llm.token_count.prompt_details.cache_read",),
    cache_write_tokens=("llm.token_count.prompt_details.cache_write",),
    reasoning_tokens=("llm.token_count.completion_details.reasoning",),
    input_audio_tokens=("llm.token_count.prompt_details.audio",),
    output_audio_tokens=("llm.token_count.completion_details.audio",),
)


def read(attributes: Attributes) -> ModelCall | None:
    """Read a model call; None when the span is a chain, an agent, a tool or the like."""
    value = attributes.get(SPAN_KIND)
    operation = _MODEL_CALLS.get(value.upper()) if type(value) is str else None
    if operation is None:
        return None
    return ModelCall(
        operation,
        # `llm.provider` is who was called, `llm.system` whose model it is.
        provider=provider_name(text(attributes, "llm.provider", "llm.system")),
        request_model=_requested(attributes),
        response_model=text(attributes, "llm.model_name", "embedding.model_name"),
        usage=_USAGE.read(attributes),
    )


def _requested(attributes: Attributes) -> str | None:
    """Give the model that was asked for; `llm.model_name` has been overwritten by the one that answered."""
    for name in ("llm.invocation_parameters", "embedding.invocation_parameters"):
        value = attributes.get(name)
        if type(value) is str and len(value) <= _MAX_PARAMETERS_CHARS:
            try:
                parameters = json.loads(value)
            except (ValueError, RecursionError):
                continue
            if type(parameters) is dict:
                return text(parameters, "model", "model_name", "model_id")
    return None
