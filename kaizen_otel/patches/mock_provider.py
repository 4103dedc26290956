"""Kaizen's mock provider answers inside the LLM node, past `LlmClient`: it gets the same chat span."""

from __future__ import annotations

from typing import Any

from kaizen_otel.invocations.call import CallInvocation, CallRequest
from kaizen_otel.invocations.values import bounded_text, mapping, token_count
from kaizen_otel.patches.patcher import Patcher, Surface
from kaizen_otel.patches.switch import active
from kaizen_semconv import gen_ai as g

MOCK_PROVIDER = "mock"


def apply(patcher: Patcher, module: Any) -> None:
    """Patch the LLM node's mock."""
    patcher.wrap(module.LLMAgentNode, "_mock_llm_response", mock_response)


SURFACE = Surface("kaizen.nodes.ai.llm_agent", apply)


def mock_response(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """One made-up chat."""
    telemetry = active()
    if telemetry is None:
        return wrapped(*args, **kwargs)
    messages = args[0] if args else kwargs.get("messages")
    with telemetry.call(lambda: describe(instance, messages)) as chat:
        result = wrapped(*args, **kwargs)
        chat.observe(lambda chat: observe(chat, result))
    return result


def describe(node: Any, messages: Any) -> CallRequest:
    """The model is only known from the node's configuration there."""
    config = mapping(getattr(node, "config", None))
    return CallRequest(
        g.GenAiOperationName.CHAT.value, MOCK_PROVIDER, bounded_text(config.get("model")), messages=messages
    )


def observe(chat: CallInvocation, result: Any) -> None:
    """Take the usage that the mock reports; it is Kaizen's, not ours to judge."""
    answer = mapping(result)
    usage = mapping(answer.get("usage"))
    chat.usage.input_tokens = token_count(usage.get("prompt_tokens"))
    chat.usage.output_tokens = token_count(usage.get("completion_tokens"))
    chat.response_id = bounded_text(answer.get("id"))
    chat.response_model = bounded_text(answer.get("model"))
    reason = bounded_text(answer.get("finish_reason"))
    if reason:
        chat.finish_reasons = (reason,)
    chat.output = answer
