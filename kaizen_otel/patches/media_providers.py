"""Kaizen's providers of what is seen and heard (images, documents, sounds): each asks a vendor's SDK by itself.

They make the SDK's client where they use it and keep nothing of an answer but its text, so neither tokens nor cost are
known here: `kaizen.usage.missing.reason` says so (2.46). Whisper in this very process is no model call of a provider.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kaizen_otel.invocations.call import CallInvocation, CallRequest
from kaizen_otel.invocations.values import attribute_of, bounded_text, entry_of
from kaizen_otel.patches import stream_adapters
from kaizen_otel.patches.llm_client import MAX_COLLECTED_CHARS
from kaizen_otel.patches.patcher import Patcher, Surface
from kaizen_otel.patches.watching import awaited, blocking
from kaizen_semconv import gen_ai as g

if TYPE_CHECKING:
    from kaizen_otel.patches.watching import Arguments, Begin, Begun, Keywords
    from kaizen_otel.telemetry import Telemetry

_OPENAI = g.GenAiProviderName.OPENAI.value
_OLLAMA = "ollama"
_CHAT = g.GenAiOperationName.CHAT.value
_TRANSCRIPTION = g.GenAiOperationName.GENERATE_CONTENT.value

OPENAI_CHAT_MODEL = "gpt-4o"
OPENAI_AUDIO_MODEL = "whisper-1"
"""What `OpenAIMultiModalAdapter` asks, whatever it is told (2.46)."""

ANSWERS = ("response", "description", "text")
"""Under which name a provider gives its answer."""


def _asking(provider: str, *path: str, model: str | None = None, operation: str = _CHAT) -> Begin:
    """One call of `model`, or of the one whose name is at `path` of the provider's object."""

    def begin(telemetry: Telemetry, instance: Any, _args: Arguments, _kwargs: Keywords) -> Begun:
        def describe() -> CallRequest:
            asked: Any = instance
            for name in path:
                asked = attribute_of(asked, name)
            return CallRequest(operation, provider, bounded_text(model or asked))

        return stream_adapters.begin(telemetry, describe)

    return begin


def observe(call: CallInvocation, result: Any) -> None:
    """The answering model, and the text."""
    call.response_model = bounded_text(entry_of(result, "model"))
    given = next((answer for answer in (entry_of(result, name) for name in ANSWERS) if answer), None)
    answer = attribute_of(result, "text") if given is None else given
    call.output = {"text": bounded_text(answer, MAX_COLLECTED_CHARS) or ""}


def asks_another(_instance: Any, args: Arguments, kwargs: Keywords) -> bool:
    """Whether `process_multi_modal(image, audio, text, prompt)` leaves the asking to the methods below it.

    It asks about a bare text itself, if there is any.
    """
    given = dict(zip(("image", "audio", "text"), args, strict=False)) | kwargs
    text = given.get("text")
    return given.get("image") is not None or given.get("audio") is not None or text is None or bounded_text(text) == ""


def apply_ollama(patcher: Patcher, module: Any) -> None:
    """Ollama's own client."""
    ask = blocking(_asking(_OLLAMA, "config", "model"), observe)
    patcher.wrap(module.OllamaProvider, "generate", ask)
    patcher.wrap(module.OllamaProvider, "generate_vision", ask)


def apply_ollama_images(patcher: Patcher, module: Any) -> None:
    """Several images at once."""
    ask = blocking(_asking(_OLLAMA, "vision_config", "model"), observe)
    patcher.wrap(module.OllamaVisionProvider, "analyze_images", ask)


def apply_openai(patcher: Patcher, module: Any) -> None:
    """OpenAI's client."""
    adapter = module.OpenAIMultiModalAdapter
    chat = _asking(_OPENAI, model=OPENAI_CHAT_MODEL)
    transcription = _asking(_OPENAI, model=OPENAI_AUDIO_MODEL, operation=_TRANSCRIPTION)
    patcher.wrap(adapter, "_call_openai_vision", blocking(chat, observe))
    patcher.wrap(adapter, "_call_openai_whisper", blocking(transcription, observe))
    patcher.wrap(adapter, "process_multi_modal", blocking(chat, observe, unless=asks_another))


def apply_openai_documents(patcher: Patcher, module: Any) -> None:
    """Documents as images."""
    patcher.wrap(module.OpenAIVisionProvider, "extract", awaited(_asking(_OPENAI, "model"), observe))


def apply_ollama_documents(patcher: Patcher, module: Any) -> None:
    """Documents as images, each page a request of its own: they are one call."""
    patcher.wrap(module.OllamaVisionProvider, "extract", awaited(_asking(_OLLAMA, "model"), observe))


SURFACES = (
    Surface("kaizen.providers.ollama_provider", apply_ollama),
    Surface("kaizen.providers.ollama_vision_provider", apply_ollama_images),
    Surface("kaizen.providers.multi_modal_adapter", apply_openai),
    Surface("kaizen.providers.document.openai_vision_provider", apply_openai_documents),
    Surface("kaizen.providers.document.ollama_vision_provider", apply_ollama_documents),
)
