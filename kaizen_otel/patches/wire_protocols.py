"""What Kaizen's answer shapers throw away: response id, cached, cache-write, reasoning and audio tokens.

The raw payload passes `kaizen.llm.wire_protocols.*.parse_response` (looked up on the module at call time, so a patch
of the module attribute holds). The conventions' arithmetic is applied here: input includes what was cached.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kaizen_otel.invocations.call import CallInvocation
from kaizen_otel.invocations.scope import attached_scope
from kaizen_otel.invocations.values import MAX_TOKENS, bounded_text, mapping, token_count
from kaizen_otel.patches.patcher import Patcher, Surface
from kaizen_otel.patches.switch import active

if TYPE_CHECKING:
    from collections.abc import Callable

    from kaizen_processors.usage import Usage

MAX_CANDIDATES = 16
"""Answers to one request whose finish reasons are kept."""

Reader = "Callable[[CallInvocation, dict[Any, Any]], None]"


def openai(call: CallInvocation, payload: dict[Any, Any]) -> None:
    """OpenAI chat, and everybody who speaks it. A stream's last chunk carries the usage when it was asked for."""
    if call.response_id is None or call.response_model is None:  # each chunk of a stream repeats them
        _identify(call, payload.get("id"), payload.get("model"))
    # Kaizen's answer is the first choice alone.
    choices = payload.get("choices")
    if type(choices) is list:
        for choice in choices[:MAX_CANDIDATES]:
            # Nearly every chunk of a stream has one choice that goes on.
            if type(choice) is dict and choice.get("finish_reason") is not None:
                call.finish_reasons = _reasons(choices, "finish_reason") or call.finish_reasons
                break
    raw = payload.get("usage")
    if type(raw) is dict:
        usage = call.usage
        _count(usage, raw, _OPENAI_USAGE)
        details = raw.get("prompt_tokens_details")
        if type(details) is dict:
            _count(usage, details, _OPENAI_PROMPT)
        details = raw.get("completion_tokens_details")
        if type(details) is dict:
            _count(usage, details, _OPENAI_COMPLETION)
        cost = raw.get("cost")
        if cost is not None and call.request.provider in COST_IN_USD and raw.get("is_byok") is not True:
            call.reported_cost = cost.get("total_cost") if type(cost) is dict else cost


COST_IN_USD = frozenset({"openrouter", "perplexity"})
"""Providers whose answer says what it cost, in US dollars: others' `cost` may be in any currency, or none.

OpenRouter's is its fee alone where the key of the model's own provider is used (`is_byok`).
"""

_OPENAI_USAGE = (("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens"))
_OPENAI_PROMPT = (("cached_tokens", "cache_read_tokens"), ("audio_tokens", "input_audio_tokens"))
_OPENAI_COMPLETION = (("reasoning_tokens", "reasoning_tokens"), ("audio_tokens", "output_audio_tokens"))
"""Their names of counts, and ours."""


def openai_responses(call: CallInvocation, payload: dict[Any, Any]) -> None:
    """OpenAI's Responses API. It has a status and no finish reason: the reason is that which a chat would have.

    Kaizen has no wire of its own for it (2.46): its SDK's answers come here by `vendor_payloads`.
    """
    _identify(call, payload.get("id"), payload.get("model"))
    raw = payload.get("usage")
    if type(raw) is dict:
        _count(call.usage, raw, _RESPONSES_USAGE)
        _count(call.usage, raw.get("input_tokens_details"), _RESPONSES_INPUT)
        _count(call.usage, raw.get("output_tokens_details"), _RESPONSES_OUTPUT)
    status = bounded_text(payload.get("status"))
    if status == "completed":
        call.finish_reasons = ("tool_calls" if payload.get("asks_for_tools") else "stop",)
    elif status == "incomplete":
        reason = bounded_text(mapping(payload.get("incomplete_details")).get("reason")) or status
        call.finish_reasons = (_RESPONSES_REASONS.get(reason, reason),)
    elif status == "failed":
        error = mapping(payload.get("error"))
        call.failed_with(bounded_text(error.get("code")) or status, bounded_text(error.get("message"), 1_024) or "")


_RESPONSES_USAGE = (("input_tokens", "input_tokens"), ("output_tokens", "output_tokens"))
_RESPONSES_INPUT = (("cached_tokens", "cache_read_tokens"),)
_RESPONSES_OUTPUT = (("reasoning_tokens", "reasoning_tokens"),)
_RESPONSES_REASONS = {"max_output_tokens": "length"}
"""The Responses API's names of counts and reasons, and those of chats."""


def anthropic(call: CallInvocation, payload: dict[Any, Any]) -> None:
    """Anthropic messages. `input_tokens` excludes the cache there: read and written tokens are added to it.

    A stream tells the input in `message_start` and the final output in `message_delta`; what `message_start` says of
    the output is only its beginning, and would pass for all of it when the stream breaks off.
    """
    started = mapping(payload.get("message"))
    message = started or payload
    _identify(call, message.get("id"), message.get("model"))
    reason = bounded_text(mapping(payload.get("delta")).get("stop_reason") or message.get("stop_reason"))
    if reason:
        call.finish_reasons = (reason,)
    raw = message.get("usage")
    if type(raw) is not dict:
        return
    usage = call.usage
    if not started:
        _set(usage, "output_tokens", raw.get("output_tokens"))
    fresh = token_count(raw.get("input_tokens"))
    if fresh is None:
        return
    _set(usage, "cache_read_tokens", raw.get("cache_read_input_tokens"))
    _set(usage, "cache_write_tokens", raw.get("cache_creation_input_tokens"))
    usage.input_tokens = fresh + (usage.cache_read_tokens or 0) + (usage.cache_write_tokens or 0)


def google(call: CallInvocation, payload: dict[Any, Any]) -> None:
    """Gemini. Thinking tokens are apart from the candidates' there: they belong to the output.

    Every chunk of a stream counts the output so far: only the count of the last one, which names why it finished, is
    the output of the call.
    """
    _identify(call, payload.get("responseId"), payload.get("modelVersion"))
    # Kaizen's own answer calls every chunk's reason "stop", and folds most of the others into it.
    reasons = tuple(reason.lower() for reason in _reasons(payload.get("candidates"), "finishReason"))
    call.finish_reasons = reasons or call.finish_reasons
    raw = payload.get("usageMetadata")
    if type(raw) is not dict:
        return
    usage = call.usage
    prompt, tool_use = token_count(raw.get("promptTokenCount")), token_count(raw.get("toolUsePromptTokenCount"))
    if prompt is not None:
        usage.input_tokens = prompt + (tool_use or 0)
    _set(usage, "cache_read_tokens", raw.get("cachedContentTokenCount"))
    if call.request.streaming and not reasons:
        return
    _set(usage, "reasoning_tokens", raw.get("thoughtsTokenCount"))
    candidates, total = token_count(raw.get("candidatesTokenCount")), token_count(raw.get("totalTokenCount"))
    if candidates is not None or usage.reasoning_tokens is not None:
        usage.output_tokens = (candidates or 0) + (usage.reasoning_tokens or 0)
    elif total is not None and total == usage.input_tokens:
        usage.output_tokens = 0  # the provider's JSON leaves zeros out: a prompt that was blocked has no answer


def ollama(call: CallInvocation, payload: dict[Any, Any]) -> None:
    """Ollama's own chat API; only the last line of a stream counts tokens."""
    _identify(call, None, payload.get("model"))
    if payload.get("done"):
        reason = bounded_text(payload.get("done_reason"))
        if reason:
            call.finish_reasons = (reason,)
        _set(call.usage, "input_tokens", payload.get("prompt_eval_count"))
        _set(call.usage, "output_tokens", payload.get("eval_count"))


def cohere(call: CallInvocation, payload: dict[Any, Any]) -> None:
    """Cohere chat, v1 (`meta`) and v2 (`usage`), whole or as the last event of a stream.

    Both tell the tokens that were processed and those that are billed, which leave out what Cohere itself puts around
    the prompt. "When systems report both used tokens and billable tokens, instrumentation MUST report billable
    tokens", say the conventions of `gen_ai.client.token.usage`; and the price is one of billed tokens. Tokens from
    its cache are counted among the processed ones: they are no part of what is billed.
    """
    answer = mapping(payload.get("response")) or payload  # v1's `stream-end` holds the whole answer
    delta = mapping(payload.get("delta"))  # v2's `message-end`
    # v2 has `id`; v1's `response_id` is there beside the `generation_id` of the one text.
    _identify(call, answer.get("response_id") or answer.get("id"), answer.get("model"))
    reason = bounded_text(answer.get("finish_reason") or delta.get("finish_reason"))
    if reason:
        call.finish_reasons = (reason.lower(),)
    raw = mapping(answer.get("usage") or delta.get("usage") or answer.get("meta"))
    billed = mapping(raw.get("billed_units"))
    usage = call.usage
    if token_count(billed.get("input_tokens")) is None:
        _set(usage, "cache_read_tokens", raw.get("cached_tokens"))
    _count(usage, raw.get("tokens"), _COHERE_USAGE)
    _count(usage, billed, _COHERE_USAGE)


_COHERE_USAGE = (("input_tokens", "input_tokens"), ("output_tokens", "output_tokens"))


def bedrock(call: CallInvocation, payload: dict[Any, Any]) -> None:
    """Bedrock's InvokeModel: the body is that of the model's family. No family names the model.

    Llama and Titan count tokens there. Mistral's and Cohere's bodies say nothing of them: what the headers said
    (see `bedrock_headers`) stays.
    """
    _identify(call, payload.get("id"), None)  # Cohere's alone has one
    _count(call.usage, payload, _BEDROCK_USAGE)
    reasons = _reasons([payload], "stop_reason")  # Llama's answer is the payload itself
    for answers, key in _BEDROCK_ANSWERS:
        reasons = reasons or _reasons(payload.get(answers), key)
    call.finish_reasons = tuple(reason.lower() for reason in reasons) or call.finish_reasons
    results = payload.get("results")
    if type(results) is list:
        counts = [token_count(mapping(result).get("tokenCount")) for result in results]
        if counts and None not in counts:
            call.usage.output_tokens = sum(count or 0 for count in counts)


_BEDROCK_USAGE = (
    ("prompt_token_count", "input_tokens"),
    ("generation_token_count", "output_tokens"),
    ("inputTextTokenCount", "input_tokens"),
)
_BEDROCK_ANSWERS = (
    ("results", "completionReason"),
    ("outputs", "stop_reason"),
    ("generations", "finish_reason"),
)
"""Llama's and Titan's counts; where the answers of Titan, Mistral and Cohere are, and why they finished."""


READERS: dict[str, Callable[[CallInvocation, dict[Any, Any]], None]] = {
    "openai_chat": openai,
    "mistral_chat": openai,
    "anthropic_messages": anthropic,
    "google_generate_content": google,
    "ollama_native": ollama,
    "cohere_generate": cohere,
    "huggingface_inference": openai,  # the chat schema; the classic one has the text and nothing else
    "bedrock_invoke": bedrock,
}
"""By module of `kaizen.llm.wire_protocols`. A wire that is not here still has what Kaizen's normalised answer says."""


def _surface(module_name: str, reader: Callable[[CallInvocation, dict[Any, Any]], None]) -> Surface:
    def parse_response(wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        call = attached_scope()
        if type(call) is CallInvocation and not call.ended:  # a call that began is watched to its end
            try:
                payload = args[0] if args else kwargs.get("payload")
                if type(payload) is dict:
                    reader(call, payload)
                    call.payload_read = True
            except Exception as error:  # noqa: BLE001 - the fence, without the cost of a `with` on every chunk
                call.telemetry.fence.caught("call.payload", error)
        return wrapped(*args, **kwargs)

    def apply_to(patcher: Patcher, module: Any) -> None:
        patcher.wrap(module, "parse_response", parse_response)

    return Surface(f"kaizen.llm.wire_protocols.{module_name}", apply_to)


EMBEDDINGS = ("openai", "cohere", "google", "huggingface", "ollama")
"""Providers of `kaizen.llm.wire_protocols.*_embeddings`: `LlmClient.embed` gives its caller only the vectors."""


def _embeddings_surface(provider: str) -> Surface:
    def parse_response(wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        result = wrapped(*args, **kwargs)
        telemetry = active()
        if telemetry is not None:
            with telemetry.fence("call.payload"):
                scope = attached_scope()
                if isinstance(scope, CallInvocation):
                    answer = mapping(result)
                    _identify(scope, None, answer.get("model"))
                    _set(scope.usage, "input_tokens", mapping(answer.get("usage")).get("input_tokens"))
        return result

    def apply_to(patcher: Patcher, module: Any) -> None:
        patcher.wrap(module, "parse_response", parse_response)

    return Surface(f"kaizen.llm.wire_protocols.{provider}_embeddings", apply_to)


SURFACES = (
    *(_surface(name, reader) for name, reader in READERS.items()),
    *(_embeddings_surface(provider) for provider in EMBEDDINGS),
)


def _identify(call: CallInvocation, response_id: object, model: object) -> None:
    """Take both where they are told: Azure's first chunk, and some servers' whole answers, have empty ones."""
    if call.response_id is None:
        call.response_id = bounded_text(response_id) or None
    if call.response_model is None:
        call.response_model = bounded_text(model) or None


def _reasons(candidates: object, key: str) -> tuple[str, ...]:
    """Why each candidate of an answer finished; nothing while none has, which is most of a stream."""
    found: tuple[str, ...] = ()
    if type(candidates) is list:
        for one in candidates[:MAX_CANDIDATES]:
            reason = one.get(key) if type(one) is dict else None
            text = None if reason is None else bounded_text(reason)
            if text is not None:
                found = (*found, text)
    return found


def _count(usage: Usage, counts: object, names: tuple[tuple[str, str], ...]) -> None:
    """Take the counts that are there, under their names and ours."""
    if type(counts) is dict:
        for theirs, ours in names:
            value = counts.get(theirs)
            if type(value) is int and 0 <= value < MAX_TOKENS:
                setattr(usage, ours, value)


def _set(usage: Usage, name: str, value: object) -> None:
    if type(value) is int and 0 <= value < MAX_TOKENS:
        setattr(usage, name, value)
