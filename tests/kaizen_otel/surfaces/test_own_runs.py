"""Agents of kaizen_agents whose runs go past `AgentLoop`: images, sounds, documents, fallbacks, batches, approvals."""

from __future__ import annotations

import asyncio
import json
import wave
from typing import TYPE_CHECKING, Any

import pytest

import kaizen_otel
from kaizen_otel.demo.model_server import Reply, ReplyUsage, Rule
from kaizen_otel.testing import capture
from tests.kaizen_otel.surfaces.trees import assert_one_trace
from tests.versions.capabilities import needs

if TYPE_CHECKING:
    from pathlib import Path

    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured

pytestmark = [
    needs("delegate"),
    pytest.mark.usefixtures("forgotten_clients"),
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:.* is deprecated since v0.9.0:DeprecationWarning"),  # their own agents, in 0.13
]

USAGE = ReplyUsage(input_tokens=1_000, output_tokens=100)


def in_caller(captured: Captured, action: Any) -> Any:
    """Run it in a span of the application's, awaited where it is to be."""
    with captured.tracer_provider.get_tracer("app").start_as_current_span("caller"):
        result = action()
        return asyncio.run(result) if asyncio.iscoroutine(result) else result


# -- agents whose strategy is run by hand --------------------------------------------------------------------------


def resilient(**given: Any) -> Any:
    """Its own configuration names no model that its strategies would ask (0.13); an application's may."""
    from kaizen_agents.agents.specialized.resilient import ResilientAgent, ResilientConfig

    class Config(ResilientConfig):
        model = "gpt-4o"

    return ResilientAgent(
        **{"config": Config(models=["gpt-4o", "gpt-4o-mini"], llm_provider="openai"), "mcp_servers": [], **given}
    )


def test_a_resilient_agents_fallbacks_are_one_execution(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    kaizen_offline.script(lambda _: Reply(text=json.dumps({"response": "ok"}), usage=USAGE))

    result = in_caller(kaizen_telemetry, lambda: resilient().run_async(query="x"))

    assert result["_fallback_strategy_used"] == 0
    assert_one_trace(kaizen_telemetry)
    (execution,) = kaizen_telemetry.executions
    assert (execution.agent_name, execution.model_calls, execution.tokens_input) == ("ResilientAgent", 1, 1_000)
    assert execution.cost_usd == pytest.approx(0.0035)
    assert kaizen_telemetry.tree().splitlines()[:2] == ["caller", "  invoke_agent ResilientAgent"]


def test_a_resilient_agent_whose_model_refuses_is_an_error_though_it_answers(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    kaizen_offline.script([Rule(replies=Reply(status=401))])

    result = in_caller(kaizen_telemetry, lambda: resilient().run_async(query="x"))

    assert result["_fallback_strategy_used"] == 0  # the first strategy has swallowed the error
    assert kaizen_telemetry.executions[0].status == "error"
    agent = kaizen_telemetry.span("invoke_agent")
    assert (agent.status, agent["error.type"]) == ("ERROR", "kaizen.llm.errors.ProviderError")
    assert agent["http.response.status_code"] == 401


def test_a_resilient_agent_whose_strategies_raise_is_an_error(kaizen_telemetry: Captured) -> None:
    from kaizen.strategies.fallback import FallbackStrategy

    class Failing:
        async def execute(self, *_: Any) -> Any:
            raise LookupError("nobody there")

    agent = resilient()
    agent.strategy = FallbackStrategy([Failing(), Failing()])
    with pytest.raises(RuntimeError, match="All 2 strategies failed"):
        in_caller(kaizen_telemetry, lambda: agent.run_async(query="x"))

    span = kaizen_telemetry.span("invoke_agent")
    assert (span.status, span["error.type"]) == ("ERROR", "RuntimeError")


def test_a_resilient_agent_run_by_its_loop_is_one_execution_too(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    kaizen_offline.script(lambda _: Reply(text=json.dumps({"response": "ok"}), usage=USAGE))
    resilient().run(query="x")
    assert [one.agent_name for one in kaizen_telemetry.executions] == ["ResilientAgent"]


def test_a_resilient_agent_that_asks_no_model_names_why(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    agent = resilient(config=None, models=["gpt-4o", "gpt-4o-mini"], llm_provider="openai")
    in_caller(kaizen_telemetry, lambda: agent.run_async(query="x"))

    assert kaizen_offline.requests == []
    span = kaizen_telemetry.span("invoke_agent")
    assert (span.status, span["error.type"]) == ("ERROR", "KeyError")


def batching() -> Any:
    from kaizen_agents.agents.specialized.batch_processing import BatchProcessingAgent

    return BatchProcessingAgent(llm_provider="openai", model="gpt-4o", mcp_servers=[])


def test_a_batch_is_one_execution_whose_answers_no_model_gave(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    results = in_caller(kaizen_telemetry, lambda: batching().process_batch([{"prompt": "a"}, {"prompt": "b"}]))

    assert [result["response"] for result in results] == ["Processed: a", "Processed: b"]  # made up by Kaizen
    assert kaizen_offline.requests == []
    assert kaizen_telemetry.tree() == "caller\n  invoke_agent BatchProcessingAgent"
    (execution,) = kaizen_telemetry.executions
    assert (execution.status, execution.model, execution.model_calls) == ("success", "none", 0)


def test_a_batch_with_a_failed_item_is_an_error_though_it_returns(kaizen_telemetry: Captured) -> None:
    results = in_caller(kaizen_telemetry, lambda: batching().process_batch([{"prompt": "a"}, None]))

    assert isinstance(results[1], AttributeError)
    agent = kaizen_telemetry.span("invoke_agent")
    assert (agent.status, agent["error.type"]) == ("ERROR", "AttributeError")


def test_an_approval_is_an_execution_and_a_rejection_an_error(kaizen_telemetry: Captured) -> None:
    from kaizen_agents.agents.specialized.human_approval import HumanApprovalAgent

    def agent(approved: bool) -> Any:
        return HumanApprovalAgent(
            llm_provider="openai", model="gpt-4o", approval_callback=lambda _: (approved, "so"), mcp_servers=[]
        )

    in_caller(kaizen_telemetry, lambda: agent(True).run_async(prompt="pay"))
    with pytest.raises(RuntimeError, match="Human rejected"):
        in_caller(kaizen_telemetry, lambda: agent(False).run_async(prompt="pay"))

    assert [one.status for one in kaizen_telemetry.executions] == ["success", "error"]


def test_a_streaming_chat_is_an_execution_while_it_is_read(kaizen_telemetry: Captured) -> None:
    from kaizen_agents.agents.specialized.streaming_chat import StreamingChatAgent

    async def read() -> str:
        agent = StreamingChatAgent(llm_provider="openai", model="gpt-4o", mcp_servers=[])
        return "".join([piece async for piece in agent.stream("hello")])

    said = in_caller(kaizen_telemetry, read)

    assert said.startswith("This is a streaming response")  # made up by Kaizen
    assert kaizen_telemetry.tree() == "caller\n  invoke_agent StreamingChatAgent"
    assert kaizen_telemetry.executions[0].status == "success"


# -- images --------------------------------------------------------------------------------------------------------


@pytest.fixture
def ollama(kaizen_offline: ModelServer, monkeypatch: pytest.MonkeyPatch) -> ModelServer:
    """Ollama's real client, at the model server."""
    import ollama

    client = ollama.Client(host=kaizen_offline.url)
    models = ollama.ListResponse(models=[ollama.ListResponse.Model(model="llava:13b", size=1, digest="d")])
    monkeypatch.setattr(ollama, "chat", client.chat)
    monkeypatch.setattr(ollama, "list", lambda: models)
    return kaizen_offline


def vision() -> Any:
    from kaizen_agents.agents.multi_modal.vision_agent import VisionAgent, VisionAgentConfig

    return VisionAgent(VisionAgentConfig(llm_provider="ollama", model="llava:13b"), mcp_servers=[])


@pytest.fixture
def image(tmp_path: Path) -> str:
    from PIL import Image

    path = tmp_path / "photo.jpg"
    Image.new("RGB", (8, 8)).save(path)
    return str(path)


@pytest.mark.usefixtures("ollama")
@pytest.mark.parametrize(
    "ask",
    [
        lambda agent, image: agent.run(image=image, question="what?"),
        lambda agent, image: agent.analyze(image, "what?"),
        lambda agent, image: agent.describe(image),
        lambda agent, image: agent.extract_text(image),
        lambda agent, image: agent.batch_analyze([image], "what?"),
    ],
    ids=["run", "analyze", "describe", "extract_text", "batch_analyze"],
)
def test_a_vision_agent_is_an_execution_with_its_call_whose_tokens_are_not_known(
    ask: Any, image: str, kaizen_telemetry: Captured
) -> None:
    in_caller(kaizen_telemetry, lambda: ask(vision(), image))

    assert kaizen_telemetry.tree() == "caller\n  invoke_agent VisionAgent\n    chat llava:13b"
    (execution,) = kaizen_telemetry.executions
    assert (execution.status, execution.model, execution.model_calls) == ("success", "llava:13b", 1)
    chat = kaizen_telemetry.span("chat")
    assert (chat["gen_ai.provider.name"], chat["kaizen.usage.missing.reason"]) == ("ollama", "usage")
    assert kaizen_telemetry.span("invoke_agent")["kaizen.execution.cost.complete"] is False


def test_a_vision_agent_that_fails_names_the_providers_error(
    ollama: ModelServer, image: str, kaizen_telemetry: Captured
) -> None:
    ollama.script([Rule(replies=Reply(status=500))])
    with pytest.raises(RuntimeError, match="Ollama vision generation failed"):
        in_caller(kaizen_telemetry, lambda: vision().describe(image))

    for span in (kaizen_telemetry.span("chat"), kaizen_telemetry.span("invoke_agent")):
        assert (span.status, span["error.type"]) == ("ERROR", "ollama._types.ResponseError")
    assert kaizen_telemetry.span("chat")["http.response.status_code"] == 500


@pytest.mark.usefixtures("ollama")
def test_ollamas_providers_called_by_themselves_are_model_calls(image: str, kaizen_telemetry: Captured) -> None:
    from kaizen.providers.ollama_provider import OllamaConfig, OllamaProvider
    from kaizen.providers.ollama_vision_provider import OllamaVisionProvider

    OllamaProvider(OllamaConfig(model="llama3.2")).generate("hello")
    OllamaVisionProvider().analyze_images([image], "what?")

    assert [call.model for call in kaizen_telemetry.calls] == ["llama3.2", "llava:13b"]
    assert {call.agent_name for call in kaizen_telemetry.calls} == {"none"}


# -- several kinds at once ------------------------------------------------------------------------------------------


def multi_modal(**config: Any) -> Any:
    from kaizen_agents.agents.multi_modal.multi_modal_agent import MultiModalAgent, MultiModalConfig

    from tests.kaizen_otel.surfaces import scenes

    given = MultiModalConfig(llm_provider="openai", model="gpt-4o", prefer_local=False, **config)
    return MultiModalAgent(given, signature=scenes.Answer(), mcp_servers=[])


def test_a_multi_modal_agents_text_is_an_execution_with_one_call(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    result = in_caller(kaizen_telemetry, lambda: multi_modal().run(text="hello"))

    assert result["response"]
    assert len(kaizen_offline.requests) == 1
    assert kaizen_telemetry.tree() == "caller\n  invoke_agent MultiModalAgent\n    chat gpt-4o"
    assert kaizen_telemetry.executions[0].model_calls == 1


def test_nothing_to_say_is_no_call(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    from kaizen.providers.multi_modal_adapter import OpenAIMultiModalAdapter

    assert OpenAIMultiModalAdapter(api_key="none").process_multi_modal(text="") == {}
    assert kaizen_offline.requests == []
    assert kaizen_telemetry.spans == []


def test_a_multi_modal_agents_image_is_an_execution_with_one_call(
    kaizen_offline: ModelServer, image: str, kaizen_telemetry: Captured
) -> None:
    in_caller(kaizen_telemetry, lambda: multi_modal().run(image=image))

    assert len(kaizen_offline.requests) == 1
    assert kaizen_telemetry.tree() == "caller\n  invoke_agent MultiModalAgent\n    chat gpt-4o"


def test_a_sound_that_openai_refuses_fails_call_and_execution(
    kaizen_offline: ModelServer, tmp_path: Path, kaizen_telemetry: Captured
) -> None:
    sound = tmp_path / "a.wav"
    with wave.open(str(sound), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8_000)
        out.writeframes(b"\0\0" * 800)

    said = kaizen_otel.attributes(user_id="u", session_id="s", conversation_id="c", tags=["t"])
    with said, pytest.raises(Exception, match="404"):  # the model server cannot hear
        in_caller(kaizen_telemetry, lambda: multi_modal().run(audio=str(sound)))

    assert kaizen_offline.requests == []
    call = kaizen_telemetry.span("generate_content whisper-1")
    assert (call.status, call["http.response.status_code"]) == ("ERROR", 404)
    assert (call["user.id"], call["session.id"], call["gen_ai.conversation.id"]) == ("u", "s", "c")
    assert call["kaizen.tags"] == ("t",)
    assert kaizen_telemetry.executions[-1].status == "error"


# -- sounds and documents -------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:faster-whisper not installed:UserWarning")
def test_a_transcription_is_an_execution_without_a_providers_call(tmp_path: Path, kaizen_telemetry: Captured) -> None:
    from kaizen_agents.agents.multi_modal.transcription_agent import TranscriptionAgent, TranscriptionAgentConfig

    class Whisper:
        """An application's own: the real one downloads its model."""

        def transcribe(self, path: str, **_: Any) -> dict[str, Any]:
            heard = {"text": path, "language": "en", "language_probability": 1.0, "duration": 1.0}
            return {**heard, "segments": [], "model": "base"}

    agent = TranscriptionAgent(TranscriptionAgentConfig(), mcp_servers=[])
    agent.processor = Whisper()
    in_caller(kaizen_telemetry, lambda: agent.transcribe(str(tmp_path / "a.wav")))

    assert kaizen_telemetry.tree() == "caller\n  invoke_agent TranscriptionAgent"
    assert kaizen_telemetry.executions[0].model_calls == 0


def documents(**config: Any) -> Any:
    from kaizen_agents.agents.multi_modal.document_extraction_agent import (
        DocumentExtractionAgent,
        DocumentExtractionConfig,
    )

    return DocumentExtractionAgent(config=DocumentExtractionConfig(**config), mcp_servers=[])


@pytest.mark.parametrize("awaited", [False, True], ids=["extract", "extract_async"])
def test_a_document_read_by_openai_is_an_execution_with_one_call(
    awaited: bool, kaizen_offline: ModelServer, tmp_path: Path, kaizen_telemetry: Captured
) -> None:
    page = tmp_path / "page.txt"
    page.write_text("hello", encoding="utf-8")
    agent = documents(provider="openai_vision", openai_key="none")

    async def extract() -> Any:
        return await agent.extract_async(str(page), file_type="txt")

    loop = asyncio.new_event_loop()  # `extract` looks for one
    asyncio.set_event_loop(loop)
    try:
        in_caller(kaizen_telemetry, extract if awaited else lambda: agent.extract(str(page), file_type="txt"))
    finally:
        loop.close()
        asyncio.set_event_loop(None)

    assert len(kaizen_offline.requests) == 1
    tree = kaizen_telemetry.tree().splitlines()
    assert tree[:2] == ["caller", "  invoke_agent DocumentExtractionAgent"]
    assert tree[2].startswith("    chat gpt-4")
    assert kaizen_telemetry.executions[0].model_calls == 1


# -- whoever was there before ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("ollama")
def test_of_a_vision_agent_made_before_only_the_model_calls_are_seen(image: str) -> None:
    # Kaizen keeps the `run` of an agent when it is made (2.46).
    agent = vision()
    with capture() as captured:
        agent.run(image=image, question="what?")
        assert captured.tree() == "chat llava:13b"
    agent.run(image=image, question="what?")
