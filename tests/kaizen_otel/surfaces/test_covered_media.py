"""What `docs/coverage.md` says of images, sounds, documents, batches and approvals: each goes well, and fails."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from kaizen_otel.demo.model_server import Reply, Rule
from tests.kaizen_otel.surfaces import test_own_runs as own
from tests.kaizen_otel.surfaces.test_own_runs import image, ollama
from tests.versions.capabilities import needs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured

__all__ = ["image", "ollama"]

# As in test_own_runs.
pytestmark = [
    needs("delegate"),
    pytest.mark.usefixtures("forgotten_clients", "no_own_mcp_servers"),
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:.* is deprecated since v0.9.0:DeprecationWarning"),  # their own agents, in 0.13
    pytest.mark.filterwarnings("ignore:faster-whisper not installed:UserWarning"),
]


class Broken:
    """Stands for what an agent works with, and cannot."""

    def __getattr__(self, name: str) -> Any:
        raise LookupError(f"no {name}")


def play(captured: Captured, scene: Callable[[], Any]) -> None:
    with suppress(Exception):
        own.in_caller(captured, scene)


# -- images -------------------------------------------------------------------------------------------------------


def text_of(path: str) -> Any:
    from kaizen.providers.ollama_provider import OllamaConfig, OllamaProvider

    del path
    return OllamaProvider(OllamaConfig(model="llama3.2")).generate("hello")


def images_of(path: str) -> Any:
    from kaizen.providers.ollama_vision_provider import OllamaVisionProvider

    return OllamaVisionProvider().analyze_images([path], "what?")


SEEN: dict[str, Callable[[str], Any]] = {
    "kaizen_agents.agents.multi_modal.vision_agent:VisionAgent.run "
    "kaizen.providers.ollama_provider:OllamaProvider.generate_vision": lambda path: own.vision().run(
        image=path, question="what?"
    ),
    "kaizen_agents.agents.multi_modal.vision_agent:VisionAgent.describe": lambda path: own.vision().describe(path),
    "kaizen_agents.agents.multi_modal.vision_agent:VisionAgent.extract_text": lambda path: own.vision().extract_text(
        path
    ),
    "kaizen.providers.ollama_provider:OllamaProvider.generate": text_of,
    "kaizen.providers.ollama_vision_provider:OllamaVisionProvider.analyze_images": images_of,
}
BELOW: dict[str, Callable[[str], Any]] = {
    "kaizen_agents.agents.multi_modal.vision_agent:VisionAgent.analyze "
    "kaizen.providers.ollama_vision_provider:OllamaVisionProvider.analyze_image "
    "kaizen.providers.ollama_vision_provider:OllamaVisionProvider.answer_visual_question": lambda path: (
        own.vision().analyze(path, "what?")
    ),
    "kaizen.providers.ollama_vision_provider:OllamaVisionProvider.describe_image": lambda path: own.vision().describe(
        path
    ),
    "kaizen.providers.ollama_vision_provider:OllamaVisionProvider.extract_text": lambda path: own.vision().extract_text(
        path
    ),
}


def seen(scene: Callable[[str], Any], path: str, server: ModelServer, captured: Captured) -> None:
    play(captured, lambda: scene(path))
    server.script([Rule(replies=Reply(status=500))])
    play(captured, lambda: scene(path))
    assert [span.status for span in captured.spans_named("chat")] == ["UNSET", "ERROR"]


@pytest.mark.covers_each("methods", "traced", "error", "context")
@pytest.mark.parametrize("methods", SEEN)
def test_an_image(methods: str, ollama: ModelServer, image: str, kaizen_telemetry: Captured) -> None:
    seen(SEEN[methods], image, ollama, kaizen_telemetry)


@pytest.mark.covers_each("methods", "error", "context")
@pytest.mark.parametrize("methods", BELOW)
def test_an_image_by_what_hands_on(methods: str, ollama: ModelServer, image: str, kaizen_telemetry: Captured) -> None:
    seen(BELOW[methods], image, ollama, kaizen_telemetry)


# -- several kinds, documents, sounds -----------------------------------------------------------------------------


def adapted(text: str) -> Any:
    from kaizen.providers.multi_modal_adapter import OpenAIMultiModalAdapter

    return OpenAIMultiModalAdapter(api_key="none").process_multi_modal(text=text)


@pytest.mark.covers(
    "kaizen.providers.multi_modal_adapter:OpenAIMultiModalAdapter.process_multi_modal", "traced", "error", "context"
)
@pytest.mark.covers(
    "kaizen_agents.agents.multi_modal.multi_modal_agent:MultiModalAgent.run", "traced", "error", "context"
)
@pytest.mark.covers("kaizen_agents.agents.multi_modal.multi_modal_agent:MultiModalAgent.analyze", "error", "context")
def test_several_kinds_at_once(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    for _ in range(2):
        play(kaizen_telemetry, lambda: own.multi_modal().analyze(text="hello"))
        play(kaizen_telemetry, lambda: adapted("hello"))
        kaizen_offline.script(lambda _: Reply.unauthorized())
    assert [call.error_type is None for call in kaizen_telemetry.calls] == [True, True, False, False]


@pytest.mark.covers(
    "kaizen_agents.agents.multi_modal.document_extraction_agent:DocumentExtractionAgent.extract_async",
    "traced",
    "error",
    "context",
)
@pytest.mark.covers(
    "kaizen_agents.agents.multi_modal.document_extraction_agent:DocumentExtractionAgent.extract",
    "traced",
    "error",
    "context",
)
@pytest.mark.covers("kaizen.providers.document.provider_manager:ProviderManager.extract", "error", "context")
@pytest.mark.covers("kaizen_agents.agents.multi_modal.vision_agent:VisionAgent.extract_document", "error", "context")
@pytest.mark.covers(
    "kaizen.providers.document.openai_vision_provider:OpenAIVisionProvider.extract", "traced", "error", "context"
)
def test_a_document(ollama: ModelServer, tmp_path: Path, kaizen_telemetry: Captured) -> None:
    page = tmp_path / "page.txt"
    page.write_text("hello", encoding="utf-8")
    agent = own.documents(provider="openai_vision", openai_key="none")
    seeing = own.vision()
    seeing.config.enable_document_extraction, seeing._document_agent = True, agent

    async def extract() -> Any:
        return await agent.extract_async(str(page), file_type="txt")

    for _ in range(2):
        play(kaizen_telemetry, extract)
        loop = asyncio.new_event_loop()  # `extract` looks for one
        asyncio.set_event_loop(loop)
        try:
            play(kaizen_telemetry, lambda: agent.extract(str(page), file_type="txt"))
            play(kaizen_telemetry, lambda: seeing.extract_document(str(page), file_type="txt"))
        finally:
            loop.close()
            asyncio.set_event_loop(None)
        ollama.script(lambda _: Reply.unauthorized())
    assert [one.status for one in kaizen_telemetry.executions] == ["success"] * 3 + ["error"] * 3


@pytest.mark.covers(
    "kaizen.providers.document.ollama_vision_provider:OllamaVisionProvider.extract", "traced", "error", "context"
)
@pytest.mark.usefixtures("kaizen_offline")
def test_a_document_of_your_own_machine(tmp_path: Path, kaizen_telemetry: Captured) -> None:
    from kaizen.providers.document.ollama_vision_provider import OllamaVisionProvider

    (tmp_path / "page.txt").write_text("hello", encoding="utf-8")
    provider = OllamaVisionProvider(base_url=os.environ["OLLAMA_BASE_URL"])
    for name in ("page.txt", "nowhere.txt"):
        play(kaizen_telemetry, partial(provider.extract, str(tmp_path / name), "txt"))
    assert [span.status for span in kaizen_telemetry.spans_named("chat")] == ["UNSET", "ERROR"]


@pytest.mark.covers(
    "kaizen_agents.agents.multi_modal.transcription_agent:TranscriptionAgent.run", "traced", "error", "context"
)
@pytest.mark.covers(
    "kaizen_agents.agents.multi_modal.transcription_agent:TranscriptionAgent.transcribe", "error", "context"
)
@pytest.mark.covers(
    "kaizen_agents.agents.multi_modal.transcription_agent:TranscriptionAgent.transcribe_batch", "error", "context"
)
def test_a_sound(kaizen_telemetry: Captured) -> None:
    from kaizen_agents.agents.multi_modal.transcription_agent import TranscriptionAgent, TranscriptionAgentConfig

    class Whisper:
        """An application's own: the real one downloads its model."""

        def transcribe(self, path: str, **_: Any) -> dict[str, Any]:
            heard = {"text": path, "language": "en", "language_probability": 1.0, "duration": 1.0}
            return {**heard, "segments": [], "model": "base"}

    agent = TranscriptionAgent(TranscriptionAgentConfig(), mcp_servers=[])
    for agent.processor in (Whisper(), Broken()):
        play(kaizen_telemetry, lambda: agent.transcribe("a.wav"))
        play(kaizen_telemetry, lambda: agent.transcribe_batch(["a.wav"]))
    assert {one.status for one in kaizen_telemetry.executions} == {"success", "error"}


# -- answers that Kaizen makes up ---------------------------------------------------------------------------------


async def batch() -> None:
    from kaizen_agents.agents.specialized.batch_processing import process_batch_quick

    await process_batch_quick(["a"])


async def approval() -> None:
    from kaizen_agents.agents.specialized.human_approval import approve_decision

    await approve_decision("pay", lambda _: (True, "so"))


async def chat() -> None:
    from kaizen_agents.agents.specialized.streaming_chat import stream_chat

    async for _ in stream_chat("hello"):
        pass


MADE_UP: dict[str, Callable[[], Any]] = {
    "kaizen_agents.agents.specialized.batch_processing:BatchProcessingAgent.process_batch": batch,
    "kaizen_agents.agents.specialized.human_approval:HumanApprovalAgent.run_async": approval,
    "kaizen_agents.agents.specialized.streaming_chat:StreamingChatAgent.stream": chat,
}
MADE_UP_BELOW: dict[str, Callable[[], Any]] = {
    "kaizen_agents.agents.specialized.batch_processing:process_batch_quick": batch,
    "kaizen_agents.agents.specialized.human_approval:approve_decision": approval,
    "kaizen_agents.agents.specialized.streaming_chat:stream_chat": chat,
}


def made_up(scene: Callable[[], Any], captured: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    from kaizen.core.base_agent import BaseAgent

    play(captured, scene)
    monkeypatch.setattr(BaseAgent, "strategy", property(lambda _: Broken(), lambda _self, _: None), raising=False)
    play(captured, scene)
    assert [one.status for one in captured.executions] == ["success", "error"]
    assert captured.calls == []


@pytest.mark.covers_each("method", "traced", "error", "context")
@pytest.mark.parametrize("method", MADE_UP)
def test_an_answer_that_is_made_up(method: str, kaizen_telemetry: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    made_up(MADE_UP[method], kaizen_telemetry, monkeypatch)


@pytest.mark.covers_each("method", "error", "context")
@pytest.mark.parametrize("method", MADE_UP_BELOW)
def test_a_function_whose_answer_is_made_up(
    method: str, kaizen_telemetry: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_up(MADE_UP_BELOW[method], kaizen_telemetry, monkeypatch)
