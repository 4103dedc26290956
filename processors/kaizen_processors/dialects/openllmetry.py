"""The dialect of OpenLLMetry (Traceloop) before it took over `gen_ai.operation.name`: known by `llm.request.type`."""

from __future__ import annotations

from typing import Final

from kaizen_processors.dialects import gen_ai
from kaizen_processors.dialects.model_call import Attributes, ModelCall, UsageNames
from kaizen_semconv.gen_ai import GenAiOperationName

REQUEST_TYPE: Final = "llm.request.type"
"""The attribute by which such a span is known."""

_MODEL_CALLS: Final[dict[str, str]] = {
    "chat": GenAiOperationName.CHAT.value,
    "completion": GenAiOperationName.TEXT_COMPLETION.value,
    "embedding": GenAiOperationName.EMBEDDINGS.value,
}

_USAGE: Final = UsageNames(
    input=(*gen_ai.USAGE.input, "llm.usage.prompt_tokens"),
    output=(*gen_ai.USAGE.output, "llm.usage.completion_tokens"),
    cache_read=gen_ai.USAGE.cache_read,
    cache_write=gen_ai.USAGE.cache_write,
    reasoning=(*gen_ai.USAGE.reasoning, "llm.usage.reasoning_tokens"),
)


def read(attributes: Attributes) -> ModelCall | None:
    """Read a model call; None when the span is something else (a reranking, an unknown request)."""
    value = attributes.get(REQUEST_TYPE)
    operation = _MODEL_CALLS.get(value) if type(value) is str else None
    return None if operation is None else gen_ai.read_as(operation, attributes, _USAGE)
