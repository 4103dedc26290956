"""The names that other libraries give providers, as `gen_ai.provider.name` has them."""

from __future__ import annotations

from typing import Final

from kaizen_semconv.gen_ai import GenAiProviderName

_OTHER_NAMES: Final[dict[str, str]] = {
    "aws": GenAiProviderName.AWS_BEDROCK.value,
    "az.ai.inference": GenAiProviderName.AZURE_AI_INFERENCE.value,
    "az.ai.openai": GenAiProviderName.AZURE_AI_OPENAI.value,
    "azure": GenAiProviderName.AZURE_AI_OPENAI.value,
    "bedrock": GenAiProviderName.AWS_BEDROCK.value,
    "gemini": GenAiProviderName.GCP_GEMINI.value,
    "google": GenAiProviderName.GCP_GEMINI.value,
    "mistralai": GenAiProviderName.MISTRAL_AI.value,
    "vertex_ai": GenAiProviderName.GCP_VERTEX_AI.value,
    "vertexai": GenAiProviderName.GCP_VERTEX_AI.value,
    "xai": GenAiProviderName.X_AI.value,
}


def provider_name(name: str | None) -> str | None:
    """Give the conventions' name; a name they do not know stays as it is, in lower case."""
    if name is None:
        return None
    lower = name.strip().lower()
    return _OTHER_NAMES.get(lower, lower) or None
