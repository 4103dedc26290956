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
    input_tokens=(*gen_ai.USAGE.names["input_tokens"], "llm.usage.prompt_tokens"),
    output_tokens=(*gen_ai.USAGE.names["output_tokens"], "llm.usage.completion_tokens"),
    cache_read_tokens=gen_ai.USAGE.names["cache_read_tokens"],
    cache_write_tokens=gen_ai.USAGE.names["cache_write_tokens"],
    reasoning_tokens=(*gen_ai.USAGE.names["reasoning_tokens"], "llm.usage.reasoning_tokens"),
)


def read(attributes: Attributes) -> ModelCall | None:
    """Read a model call; None when the span is something else (a reranking, an unknown request)."""
    value = attributes.get(REQUEST_TYPE)
    operation = _MODEL_CALLS.get(value) if type(value) is str else None
    return None if operation is None else gen_ai.read_as(operation, attributes, _USAGE)
