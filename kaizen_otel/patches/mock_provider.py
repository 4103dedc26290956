"""Kaizen's mock provider answers inside the LLM node, past `LlmClient`: it gets the same chat span."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kaizen_otel.invocations.agent import AgentInvocation
from kaizen_otel.invocations.call import CallInvocation, CallRequest
from kaizen_otel.invocations.scope import current_scope
from kaizen_otel.invocations.values import attribute_of, bounded_text, entry_of, mapping, token_count
from kaizen_otel.invocations.workflow import NodeInvocation
from kaizen_otel.patches.patcher import Patcher, Surface
from kaizen_otel.patches.switch import active
from kaizen_semconv import gen_ai as g

if TYPE_CHECKING:
    from kaizen_otel.invocations.scope import Scope

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
    """The model is what the node was asked to use, else what it is configured with."""
    return CallRequest(
        g.GenAiOperationName.CHAT.value,
        MOCK_PROVIDER,
        asked_model(current_scope()) or bounded_text(entry_of(attribute_of(node, "config"), "model")),
        messages=messages,
    )


def asked_model(scope: Scope | None) -> str | None:
    """The model that the node running here was given for this run."""
    if isinstance(scope, NodeInvocation):
        return scope.model
    return scope.request.model if isinstance(scope, AgentInvocation) else None


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
