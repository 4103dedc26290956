"""Judges, and the agents of kaizen_agents whose runs go past the loop: fallbacks, batches, approvals, several kinds."""

from __future__ import annotations

import asyncio
import warnings
from typing import Any

from kailash.diagnostics.protocols import JudgeInput
from kaizen.core.base_agent import BaseAgent
from kaizen.core.config import BaseAgentConfig
from kaizen.judges import FaithfulnessJudge, LLMDiagnostics, LLMJudge, RefusalCalibrator, SelfConsistencyJudge
from kaizen.providers.multi_modal_adapter import OpenAIMultiModalAdapter
from kaizen.signatures import InputField, OutputField, Signature
from kaizen_agents.agents.multi_modal.transcription_agent import TranscriptionAgent, TranscriptionAgentConfig
from kaizen_agents.agents.specialized.batch_processing import BatchProcessingAgent
from kaizen_agents.agents.specialized.human_approval import HumanApprovalAgent
from kaizen_agents.agents.specialized.resilient import ResilientAgent, ResilientConfig
from kaizen_agents.agents.specialized.streaming_chat import StreamingChatAgent

ASKED = {"llm_provider": "openai", "model": "gpt-4o", "mcp_servers": []}


class Verdict(Signature):  # type: ignore[misc,unused-ignore]
    candidate: str = InputField(desc="what to judge")
    confidence: float = OutputField(desc="how good it is")


class Judging:
    """What a judge asks of a Delegate, answered by an agent."""

    async def run_structured(self, *, inputs: dict[str, Any], **_: Any) -> dict[str, Any]:
        agent = BaseAgent(
            BaseAgentConfig(llm_provider="openai", model="gpt-4o", use_async_llm=True), Verdict(), mcp_servers=[]
        )
        answer = await agent.run_async(candidate=str(inputs))
        return {"score": answer.get("confidence"), "score_a": answer.get("confidence"), "winner": "A"}


def _judge(**given: Any) -> Any:
    return LLMJudge(judge_model="gpt-4o", delegate=Judging(), run_id="judge", **given)


def _asked(**given: Any) -> Any:
    return JudgeInput(prompt="Where?", candidate_a="Paris.", rubric="true", **given)


async def a_judge() -> Any:
    return vars(await _judge()(_asked()))


async def a_judge_compares() -> Any:
    return vars(await _judge()(_asked(candidate_b="Lyon.")))


async def judges_of_judges() -> Any:
    results = [await one(_asked()) for one in (FaithfulnessJudge(_judge()), RefusalCalibrator(_judge()))]
    report = await SelfConsistencyJudge(_judge(), n_samples=2).evaluate(_asked())
    return [vars(result) for result in results], report.mean_score, report.stdev_score


async def a_judge_that_is_asked_wrongly() -> Any:
    return await _judge()("Paris.")


def a_judge_whose_delegate_is_its_own() -> Any:
    return asyncio.run(LLMJudge(judge_model="gpt-4o", run_id="judge")(_asked()))


def diagnostics() -> Any:
    with LLMDiagnostics(judge=_judge(), run_id="session") as session:
        session.llm_as_judge("Where?", "Paris.")
        return session.report()


async def diagnostics_in_a_loop() -> Any:
    with LLMDiagnostics(judge=_judge(), run_id="session") as session:
        return session.faithfulness("Paris.", "Paris is the capital.").score


async def fallbacks() -> Any:
    class Config(ResilientConfig):  # type: ignore[misc,unused-ignore]
        model = "gpt-4o"

    agent = ResilientAgent(config=Config(models=["gpt-4o", "gpt-4o-mini"], llm_provider="openai"), mcp_servers=[])
    return await agent.run_async(query="Where?"), agent.get_error_summary()


async def fallbacks_without_a_model() -> Any:
    agent = ResilientAgent(models=["gpt-4o"], llm_provider="openai", mcp_servers=[])
    return await agent.run_async(query="Where?")


async def a_batch() -> Any:
    results = await BatchProcessingAgent(**ASKED).process_batch([{"prompt": "a"}, None])
    return [repr(result) for result in results]


async def an_approval_and_a_rejection() -> Any:
    agents = [HumanApprovalAgent(approval_callback=lambda _, yes=yes: (yes, "so"), **ASKED) for yes in (True, False)]
    return [await agent.run_async(prompt="Pay.") for agent in agents]


async def a_chat_that_streams() -> Any:
    return [piece async for piece in StreamingChatAgent(**ASKED).stream("Hello!")]


def a_text_by_the_multi_modal_adapter() -> Any:
    return OpenAIMultiModalAdapter(api_key="none", warn_before_call=False).process_multi_modal(text="Hello!")


def a_sound_that_is_not_there() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a missing faster-whisper
        agent = TranscriptionAgent(TranscriptionAgentConfig(), mcp_servers=[])
    return agent.run(audio="missing.wav")
