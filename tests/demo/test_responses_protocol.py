"""The model server's Responses API, read by OpenAI's own SDK."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import openai
import pytest

from kaizen_otel.demo.model_server import ModelServer, Reply, ReplyUsage

if TYPE_CHECKING:
    from collections.abc import Iterator

USAGE = ReplyUsage(input_tokens=120, output_tokens=45, cache_read_tokens=100, reasoning_tokens=20)
LOOKUP: Any = {"type": "function", "name": "lookup", "parameters": {"type": "object"}, "strict": False}


@pytest.fixture
def client(model_server: ModelServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="sk-test", base_url=f"{model_server.url}/v1", max_retries=0) as client:
        yield client


def test_an_answer_has_id_status_items_and_usage_details(model_server: ModelServer, client: openai.OpenAI) -> None:
    model_server.script([Reply(text="two words", usage=USAGE)])
    response = client.responses.create(model="gpt-4o", input="hi", instructions="be short")

    assert (response.id, response.status, response.output_text) == ("resp_1", "completed", "two words")
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens, response.usage.total_tokens) == (120, 45, 165)
    assert response.usage.input_tokens_details.cached_tokens == 100
    assert response.usage.output_tokens_details.reasoning_tokens == 20
    (request,) = model_server.requests
    assert (request.operation, request.system, request.user) == ("chat", "be short", "hi")


def test_a_stream_has_the_providers_events_in_order(model_server: ModelServer, client: openai.OpenAI) -> None:
    model_server.script([Reply(text="two words", usage=USAGE)])
    events = list(client.responses.create(model="gpt-4o", input="hi", stream=True))

    assert [event.type for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    last: Any = events[-1]
    assert [event.sequence_number for event in events] == list(range(10))
    assert (last.response.output_text, last.response.usage.input_tokens) == ("two words", 120)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool_is_asked_for_and_its_result_counts(
    streamed: bool, model_server: ModelServer, client: openai.OpenAI
) -> None:
    model_server.script(lambda request: None if request.tool_results else Reply.call("lookup", {"order": "A-17"}))
    asked: Any = {"model": "gpt-4o", "input": "look", "tools": [LOOKUP, {"type": "code_interpreter"}]}
    answer: Any = client.responses.create(**asked, stream=streamed)
    (call,) = list(answer)[-1].response.output if streamed else answer.output

    assert (call.type, call.name, call.arguments) == ("function_call", "lookup", '{"order": "A-17"}')
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "found"}
    said: Any = [{"role": "user", "content": "look"}, call.to_dict(), result]
    assert client.responses.create(model="gpt-4o", input=said).output_text == Reply().text
    assert [(request.tools, request.tool_results) for request in model_server.requests] == [(("lookup",), 0), ((), 1)]


@pytest.mark.parametrize(
    ("reason", "status"), [("max_output_tokens", "incomplete"), ("content_filter", "incomplete"), ("failed", "failed")]
)
@pytest.mark.parametrize("streamed", [False, True])
def test_an_answer_may_be_cut_off_or_fail(
    streamed: bool, reason: str, status: str, model_server: ModelServer, client: openai.OpenAI
) -> None:
    model_server.script([Reply(text="one", finish_reason=reason)])
    answer: Any = client.responses.create(model="gpt-4o", input="hi", stream=streamed)
    events = list(answer) if streamed else []
    response = events[-1].response if streamed else answer

    assert response.status == status
    assert not streamed or events[-1].type == f"response.{status}"
    assert (response.error is not None) == (status == "failed")
    assert (response.incomplete_details is not None) == (status == "incomplete")


def test_a_refusal_has_the_providers_body(model_server: ModelServer, client: openai.OpenAI) -> None:
    model_server.script([Reply.rate_limited()])
    with pytest.raises(openai.RateLimitError) as refused:
        client.responses.create(model="gpt-4o", input="hi")
    assert refused.value.code == "rate_limit_exceeded"
