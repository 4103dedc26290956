"""The tokens of a Bedrock call, from the headers of its answer: Kaizen reads the body alone.

InvokeModel answers with the body of the model's family, and Mistral's and Cohere's say nothing of tokens; AWS may count
them in the headers. What the body says itself is read after those (see `wire_protocols`), and wins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kaizen_otel.invocations.call import CallInvocation
from kaizen_otel.invocations.scope import attached_scope
from kaizen_otel.invocations.values import attribute_of, token_count
from kaizen_otel.patches.coroutines import in_place_of
from kaizen_otel.patches.patcher import Patcher, Surface
from kaizen_semconv import gen_ai as g

if TYPE_CHECKING:
    from collections.abc import Awaitable

HEADERS = (
    ("x-amzn-bedrock-input-token-count", "input_tokens"),
    ("x-amzn-bedrock-output-token-count", "output_tokens"),
)
"""Their names of counts, and ours."""

MAX_DIGITS = 18
"""Longer ones are no number of tokens, and take their time to read."""

_BEDROCK = g.GenAiProviderName.AWS_BEDROCK.value


def apply(patcher: Patcher, module: Any) -> None:
    """Patch Kaizen's own HTTP client. An application's own (`http_client=`) is its own business."""
    patcher.wrap(module.LlmHttpClient, "post", post)


SURFACE = Surface("kaizen.llm.http_client", apply)


def post(wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`LlmHttpClient.post`, awaited inside `LlmClient.complete`."""
    sending = wrapped(*args, **kwargs)
    call = attached_scope()
    if type(call) is not CallInvocation or call.ended or call.request.provider != _BEDROCK:
        return sending
    return in_place_of(sending, lambda sending: _counted(sending, call))


async def _counted(sending: Awaitable[Any], call: CallInvocation) -> Any:
    response = await sending
    with call.telemetry.fence("call.payload"):
        headers = attribute_of(response, "headers")
        for theirs, ours in HEADERS:
            count = _count_in(headers.get(theirs))
            if count is not None:
                setattr(call.usage, ours, count)
    return response


def _count_in(header: object) -> int | None:
    if type(header) is str and len(header) <= MAX_DIGITS and header.isascii() and header.isdecimal():
        return token_count(int(header))
    return None
