"""Slots of the agents whose runs go past `AgentLoop`, and of the providers of images, sounds and documents."""

from __future__ import annotations

import functools
import tempfile
import wave
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from tests.hostile.slot import Slots

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.hostile.stage import Stage

SLOTS = Slots()
MEDIA = "kaizen_agents.agents.multi_modal"
SPECIALIZED = "kaizen_agents.agents.specialized"
PROVIDERS = "kaizen.providers"


def _bare(module: str, name: str, **fields: Any) -> Any:
    """An object of this class that has gone through no constructor: those ask a server, or load a model."""
    owner = getattr(__import__(module, fromlist=[name]), name)
    made = owner.__new__(owner)
    vars(made).update({"agent_id": "a", "signature": None, **fields})
    return made


@functools.cache
def _images() -> Any:
    return SimpleNamespace(model="m", temperature=0.0, top_p=1.0, max_images=2)


def _vision(answer: Callable[[], Any]) -> Any:
    provider = SimpleNamespace(
        **dict.fromkeys(("answer_visual_question", "describe_image", "extract_text"), lambda *_, **__: answer())
    )
    return _bare(f"{MEDIA}.vision_agent", "VisionAgent", vision_provider=provider, config=_images())


@SLOTS.add(f"{MEDIA}.vision_agent:VisionAgent.run")
def vision_answer(stage: Stage) -> Any:
    return _vision(stage.give).run(image="a", question="?", store_in_memory=False)["answer"]


@SLOTS.add(f"{MEDIA}.vision_agent:VisionAgent.run", takes="error")
def vision_raises(stage: Stage) -> Any:
    return _vision(stage.throw).run(image="a", question="?", store_in_memory=False)


@SLOTS.add(f"{MEDIA}.vision_agent:VisionAgent.describe")
def described(stage: Stage) -> Any:
    return _vision(dict).describe(stage.value)


@SLOTS.add(f"{MEDIA}.vision_agent:VisionAgent.extract_text")
def text_of_image(stage: Stage) -> Any:
    return _vision(dict).extract_text(stage.value)


@SLOTS.add(f"{MEDIA}.multi_modal_agent:MultiModalAgent.run")
def multi_modal_answer(stage: Stage) -> Any:
    adapter = SimpleNamespace(process_multi_modal=lambda **_: {"response": stage.give()})
    agent = _bare(f"{MEDIA}.multi_modal_agent", "MultiModalAgent", adapter=adapter, cost_tracker=None)
    return agent.run(text="a")


@SLOTS.add(f"{MEDIA}.transcription_agent:TranscriptionAgent.run")
def heard(stage: Stage) -> Any:
    processor = SimpleNamespace(transcribe=lambda *_, **__: stage.give())
    config = SimpleNamespace(language="en", word_timestamps=False)
    agent = _bare(f"{MEDIA}.transcription_agent", "TranscriptionAgent", processor=processor, config=config)
    return agent.run(audio="a", store_in_memory=False)


def _documents(answer: Callable[[], Any]) -> Any:
    agent = _bare(f"{MEDIA}.document_extraction_agent", "DocumentExtractionAgent")

    async def extract(**_: Any) -> Any:
        return SimpleNamespace(to_dict=answer)

    agent.provider_manager = SimpleNamespace(extract=extract)
    agent._extract_direct = lambda _: answer()
    agent.doc_extraction_config = SimpleNamespace(
        **dict.fromkeys(("provider", "extract_tables", "extract_images", "chunk_for_rag", "chunk_size", "prefer_free")),
        max_cost_per_doc=None,
    )
    return agent


@SLOTS.add(f"{MEDIA}.document_extraction_agent:DocumentExtractionAgent.extract")
def extracted(stage: Stage) -> Any:
    return _documents(lambda: {"text": stage.give()}).extract("a", "txt")


@SLOTS.add(f"{MEDIA}.document_extraction_agent:DocumentExtractionAgent.extract_async")
def extracted_awaited(stage: Stage) -> Any:
    return stage.run(_documents(stage.give).extract_async("a", "txt"))


def _strategy(module: str, name: str, **methods: Any) -> Any:
    return _bare(f"{SPECIALIZED}.{module}", name, strategy=SimpleNamespace(**methods))


def _answering(answer: Callable[[], Any]) -> Any:
    async def execute(*_: Any) -> Any:
        return answer()

    return execute


@SLOTS.add(f"{SPECIALIZED}.planning:PlanningAgent.run")
def planned(stage: Stage) -> Any:
    agent = _bare(f"{SPECIALIZED}.planning", "PlanningAgent", planning_config=SimpleNamespace(enable_replanning=False))
    agent._generate_plan = lambda **_: stage.give()
    agent._validate_plan = lambda _: {"status": "invalid", "reason": stage.value}
    return agent.run(task="x", context=stage.value)


@SLOTS.add(f"{SPECIALIZED}.planning:PlanningAgent.run", takes="error")
def planning_raises(stage: Stage) -> Any:
    agent = _bare(f"{SPECIALIZED}.planning", "PlanningAgent")
    agent._generate_plan = lambda **_: stage.throw()
    return agent.run(task="x")


def _plan_of(stage: Stage, run: Callable[..., Any]) -> Any:
    config = SimpleNamespace(
        provider_config={"type": "x"}, llm_provider="mock", model="m", temperature=0.0, max_tokens=1, max_plan_steps=1
    )
    agent = _bare(f"{SPECIALIZED}.planning", "PlanningAgent", planning_config=config)
    with patch(f"{SPECIALIZED}.planning.BaseAgent", lambda **_: SimpleNamespace(run=run)):
        return agent._generate_plan(stage.value, stage.value)


@SLOTS.add(f"{SPECIALIZED}.planning:PlanningAgent._generate_plan")
def plan_made(stage: Stage) -> Any:
    return _plan_of(stage, lambda **_: {"plan": [stage.give()]})


@SLOTS.add(f"{SPECIALIZED}.planning:PlanningAgent._generate_plan", takes="error")
def plan_raises(stage: Stage) -> Any:
    return _plan_of(stage, lambda **_: stage.throw())


@SLOTS.add(f"{SPECIALIZED}.resilient:ResilientAgent.run_async")
def resilient_answer(stage: Stage) -> Any:
    return stage.run(_strategy("resilient", "ResilientAgent", execute=_answering(stage.give)).run_async("q"))


@SLOTS.add(f"{SPECIALIZED}.resilient:ResilientAgent.run_async")
def resilient_query(stage: Stage) -> Any:
    return stage.run(_strategy("resilient", "ResilientAgent", execute=_answering(dict)).run_async(stage.value))


@SLOTS.add(f"{SPECIALIZED}.resilient:ResilientAgent.run_async", takes="error")
def resilient_raises(stage: Stage) -> Any:
    return stage.run(_strategy("resilient", "ResilientAgent", execute=_answering(stage.throw)).run_async("q"))


@SLOTS.add(f"{SPECIALIZED}.batch_processing:BatchProcessingAgent.process_batch")
def batch_answer(stage: Stage) -> Any:
    agent = _strategy("batch_processing", "BatchProcessingAgent", execute_batch=_answering(stage.give))
    return stage.run(agent.process_batch([{}]))


@SLOTS.add(f"{SPECIALIZED}.batch_processing:BatchProcessingAgent.process_batch")
def batch_item(stage: Stage) -> Any:
    answer = _answering(lambda: [stage.give(), ValueError("no")])
    agent = _strategy("batch_processing", "BatchProcessingAgent", execute_batch=answer)
    return stage.run(agent.process_batch([{}]))


@SLOTS.add(f"{SPECIALIZED}.human_approval:HumanApprovalAgent.run_async")
def approved(stage: Stage) -> Any:
    agent = _strategy(
        "human_approval",
        "HumanApprovalAgent",
        approval_callback=lambda _: (True, stage.give()),
        approval_history=[],
    )
    return stage.run(agent.run_async("pay"))


@SLOTS.add(f"{SPECIALIZED}.streaming_chat:StreamingChatAgent.stream")
def streamed_piece(stage: Stage) -> Any:
    from kaizen.strategies.streaming import StreamingStrategy

    class Strategy(StreamingStrategy):
        async def stream(self, *_: Any) -> Any:
            yield stage.give()

    async def read() -> list[Any]:
        agent = _bare(f"{SPECIALIZED}.streaming_chat", "StreamingChatAgent", strategy=Strategy())
        return [piece async for piece in agent.stream("hello")]

    return stage.run(read())


# -- providers ------------------------------------------------------------------------------------------------------


def _ollama(name: str, stage: Stage, method: str, *given: Any) -> Any:
    """The provider, with Ollama's client as its server would have it answer."""
    import ollama

    module = "ollama_provider" if name == "OllamaProvider" else "ollama_vision_provider"
    provider = _bare(f"{PROVIDERS}.{module}", name, config=_images(), vision_config=_images())
    before, ollama.chat = ollama.chat, lambda **_: {"message": {"content": stage.give()}, "model": stage.value}
    try:
        return getattr(provider, method)(*given)
    finally:
        ollama.chat = before


@SLOTS.add(f"{PROVIDERS}.ollama_provider:OllamaProvider.generate")
def ollama_answer(stage: Stage) -> Any:
    return _ollama("OllamaProvider", stage, "generate", "hello")["response"]


@SLOTS.add(f"{PROVIDERS}.ollama_provider:OllamaProvider.generate_vision")
def ollama_seen(stage: Stage) -> Any:
    return _ollama("OllamaProvider", stage, "generate_vision", "hello", "a.png")["response"]


@SLOTS.add(f"{PROVIDERS}.ollama_vision_provider:OllamaVisionProvider.analyze_images")
def ollama_images(stage: Stage) -> Any:
    return _ollama("OllamaVisionProvider", stage, "analyze_images", [], "hello")["response"]


def _openai(stage: Stage, ask: Callable[[Any], Any]) -> Any:
    """The adapter, with OpenAI's client as its server would have it answer."""
    import openai

    def answer(**_: Any) -> Any:
        message = SimpleNamespace(content=stage.give())
        return SimpleNamespace(choices=[SimpleNamespace(message=message)], text=stage.value)

    create = SimpleNamespace(create=answer)
    client = SimpleNamespace(chat=SimpleNamespace(completions=create), audio=SimpleNamespace(transcriptions=create))
    adapter = _bare(f"{PROVIDERS}.multi_modal_adapter", "OpenAIMultiModalAdapter", api_key="none")
    adapter._ungoverned = adapter.warn_before_call = False
    adapter._usage_stats = dict.fromkeys(("vision_calls", "audio_calls", "total_calls", "total_cost"), 0)
    before, openai.OpenAI = openai.OpenAI, lambda **_: client
    try:
        return ask(adapter)
    finally:
        openai.OpenAI = before


@SLOTS.add(f"{PROVIDERS}.multi_modal_adapter:OpenAIMultiModalAdapter.process_multi_modal")
def openai_text(stage: Stage) -> Any:
    return _openai(stage, lambda adapter: adapter.process_multi_modal(text="hello", prompt=stage.value))


@SLOTS.add(f"{PROVIDERS}.multi_modal_adapter:OpenAIMultiModalAdapter._call_openai_vision")
def openai_image(stage: Stage) -> Any:
    from kaizen.signatures.multi_modal import ImageField

    image = ImageField()
    image.to_base64 = lambda *_, **__: "data"
    return _openai(stage, lambda adapter: adapter._call_openai_vision(image, stage.value))


@SLOTS.add(f"{PROVIDERS}.multi_modal_adapter:OpenAIMultiModalAdapter._call_openai_whisper")
def openai_sound(stage: Stage) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        sound = Path(folder) / "a.wav"
        with wave.open(str(sound), "wb") as out:
            out.setparams((1, 2, 8_000, 0, "NONE", ""))
        return _openai(stage, lambda adapter: adapter._call_openai_whisper(str(sound), language=stage.value))


def _document_provider(module: str, name: str) -> Any:
    return _bare(f"{PROVIDERS}.document.{module}", name, model="m", api_key="none", _ungoverned=False, base_url="")


@SLOTS.add(f"{PROVIDERS}.document.openai_vision_provider:OpenAIVisionProvider.extract")
def openai_document(stage: Stage) -> Any:
    provider = _document_provider("openai_vision_provider", "OpenAIVisionProvider")
    return stage.run(provider.extract("missing.txt", stage.value))


@SLOTS.add(f"{PROVIDERS}.document.ollama_vision_provider:OllamaVisionProvider.extract")
def ollama_document(stage: Stage) -> Any:
    provider = _document_provider("ollama_vision_provider", "OllamaVisionProvider")
    return stage.run(provider.extract("missing.txt", stage.value))
