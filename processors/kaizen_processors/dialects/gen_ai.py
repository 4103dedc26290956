"""The dialect of the OpenTelemetry GenAI conventions, from 1.28 on: openai-v2, genai-openai, and many frameworks.

OpenLLMetry writes it as well nowadays, with a few names of its own beside.
"""

from __future__ import annotations

from typing import Final

from kaizen_processors.dialects.model_call import Attributes, ModelCall, UsageNames, text
from kaizen_processors.dialects.providers import provider_name
from kaizen_semconv import gen_ai as g
from kaizen_semconv.gen_ai import GenAiOperationName

OPERATION: Final = g.GEN_AI_OPERATION_NAME
"""The attribute by which such a span is known."""

SYSTEM: Final = "gen_ai.system"
"""What `gen_ai.provider.name` was called before 1.37."""

_MODEL_CALLS: Final[dict[str, str]] = {
    operation.value: operation.value
    for operation in (
        GenAiOperationName.CHAT,
        GenAiOperationName.TEXT_COMPLETION,
        GenAiOperationName.GENERATE_CONTENT,
        GenAiOperationName.EMBEDDINGS,
    )
}
"""Operations that are a model call. All others (agents, tools, retrieval, memory) only contain some."""

USAGE: Final = UsageNames(
    input_tokens=(g.GEN_AI_USAGE_INPUT_TOKENS, "gen_ai.usage.prompt_tokens"),
    output_tokens=(g.GEN_AI_USAGE_OUTPUT_TOKENS, "gen_ai.usage.completion_tokens"),
    cache_read_tokens=(g.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS, "gen_ai.usage.cache_read_input_tokens"),
    cache_write_tokens=(
        g.GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS,
        g.GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS,
        "gen_ai.usage.cache_creation_input_tokens",
    ),
    reasoning_tokens=(g.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS, "gen_ai.usage.reasoning_tokens"),
    input_audio_tokens=("gen_ai.usage.audio.input_tokens",),
    output_audio_tokens=("gen_ai.usage.audio.output_tokens",),
)
"""Names of 1.41 first, then later and earlier ones and OpenLLMetry's."""


def read(attributes: Attributes) -> ModelCall | None:
    """Read a model call; None when the span is some other operation."""
    value = attributes.get(OPERATION)
    operation = _MODEL_CALLS.get(value) if type(value) is str else None
    return None if operation is None else read_as(operation, attributes, USAGE)


def read_as(operation: str, attributes: Attributes, usage: UsageNames) -> ModelCall:
    """Read a model call of this operation."""
    return ModelCall(
        operation,
        provider_name(text(attributes, g.GEN_AI_PROVIDER_NAME, SYSTEM)),
        text(attributes, g.GEN_AI_REQUEST_MODEL),
        text(attributes, g.GEN_AI_RESPONSE_MODEL),
        usage.read(attributes),
    )
