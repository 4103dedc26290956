"""The model server as a plain HTTP client sees it: the bytes of each provider's protocol."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from kaizen_otel.demo.model_server import ModelRequest, ModelServer, Reply, ReplyToolCall, ReplyUsage, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

USAGE = ReplyUsage(input_tokens=120, output_tokens=45, cache_read_tokens=100, cache_write_tokens=7, reasoning_tokens=20)
BEARER = {"authorization": "Bearer sk-test"}
TOOL = {"type": "function", "function": {"name": "lookup", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture
def client(model_server: ModelServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=model_server.url, headers=BEARER, timeout=10) as client:
        yield client


def chat(client: httpx.Client, **fields: Any) -> httpx.Response:
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}], **fields}
    return client.post("/v1/chat/completions", json=body)


def events(response: httpx.Response) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: ")]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


def test_openai_answer_has_id_fingerprint_request_id_and_usage_details(
    model_server: ModelServer, client: httpx.Client
) -> None:
    model_server.script([Reply(text="Hello", usage=USAGE, model="gpt-4o-2024-08-06")])
    response = chat(client)
    body = response.json()
    assert (body["id"], body["model"], body["system_fingerprint"]) == ("chatcmpl-1", "gpt-4o-2024-08-06", "fp_local")
    assert response.headers["x-request-id"] == "req_1"
    assert body["choices"][0]["message"]["content"] == "Hello"
    assert body["choices"][0]["finish_reason"] == "stop"
    usage = body["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (120, 45, 165)
    assert usage["prompt_tokens_details"]["cached_tokens"] == 100
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 20


def test_openai_stream_reports_usage_only_when_asked(model_server: ModelServer, client: httpx.Client) -> None:
    model_server.script(lambda _: Reply(text="two words", usage=USAGE))
    plain = events(chat(client, stream=True))
    asked = events(chat(client, stream=True, stream_options={"include_usage": True}))
    assert plain[-1] == asked[-1] == "[DONE]"
    assert [event["choices"][0]["delta"].get("content") for event in plain[:-1]] == ["", "two ", "words", None]
    assert all("usage" not in event for event in plain[:-1])
    assert [event["usage"] for event in asked[:-2]] == [None] * 4
    assert asked[-2]["choices"] == []
    assert asked[-2]["usage"]["total_tokens"] == 165


def test_openai_tool_call_comes_whole_and_in_stream_fragments(model_server: ModelServer, client: httpx.Client) -> None:
    model_server.script(lambda _: Reply.call("lookup", {"order": "A-17"}))
    whole = chat(client, tools=[TOOL]).json()["choices"][0]
    assert whole["finish_reason"] == "tool_calls"
    assert whole["message"]["content"] is None
    call = whole["message"]["tool_calls"][0]
    assert (call["id"], call["function"]) == ("call_1_1", {"name": "lookup", "arguments": '{"order": "A-17"}'})
    deltas = [
        delta["tool_calls"][0]
        for event in events(chat(client, tools=[TOOL], stream=True))[:-1]
        if "tool_calls" in (delta := event["choices"][0]["delta"])
    ]
    assert deltas[0]["id"] == "call_2_1"
    assert "".join(delta["function"]["arguments"] for delta in deltas) == '{"order": "A-17"}'


@pytest.mark.parametrize(
    ("reply", "status", "code"),
    [
        (Reply.rate_limited(retry_after_s=2), 429, "rate_limit_exceeded"),
        (Reply.unauthorized(), 401, "invalid_api_key"),
        (Reply.server_error(), 500, None),
        (Reply.server_error(status=503), 503, None),
    ],
)
def test_openai_errors_have_the_providers_body(
    model_server: ModelServer, client: httpx.Client, reply: Reply, status: int, code: str | None
) -> None:
    model_server.script([reply])
    response = chat(client)
    assert response.status_code == status
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}
    assert response.json()["error"]["code"] == code
    assert response.headers.get("retry-after") == ("2" if status == 429 else None)
    assert chat(client).status_code == 200


def test_request_without_a_key_is_refused_and_still_recorded(model_server: ModelServer) -> None:
    response = httpx.post(f"{model_server.url}/v1/chat/completions", json={"model": "gpt-4o", "messages": []})
    assert response.status_code == 401
    assert model_server.requests[0].model == "gpt-4o"


def test_openai_embeddings_give_one_vector_per_text(model_server: ModelServer, client: httpx.Client) -> None:
    model_server.script([Reply(vectors_of=(1.0, 0.0), usage=ReplyUsage(input_tokens=9))])
    body = client.post("/v1/embeddings", json={"model": "text-embedding-3-small", "input": ["a", "b"]}).json()
    assert [item["embedding"] for item in body["data"]] == [[1.0, 0.0]] * 2
    assert body["usage"] == {"prompt_tokens": 9, "total_tokens": 9}
    assert model_server.requests[0].operation == "embeddings"
    assert model_server.requests[0].user == "a\nb"


def test_anthropic_input_tokens_leave_cached_ones_out(model_server: ModelServer) -> None:
    model_server.script([Reply(text="Hello", usage=USAGE)])
    response = httpx.post(
        f"{model_server.url}/v1/messages",
        headers={"x-api-key": "k"},
        json={"model": "claude-sonnet-4-5", "system": "be short", "messages": [{"role": "user", "content": "hi"}]},
    )
    body = response.json()
    assert (body["id"], body["stop_reason"], response.headers["request-id"]) == ("msg_1", "end_turn", "req_1")
    assert body["content"] == [{"type": "text", "text": "Hello"}]
    usage = body["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == (13, 45)
    assert (usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]) == (100, 7)
    assert (model_server.requests[0].system, model_server.requests[0].user) == ("be short", "hi")


def test_anthropic_stream_spreads_usage_over_first_and_last_event(model_server: ModelServer) -> None:
    model_server.script([Reply(text="two words", usage=USAGE)])
    stream = httpx.post(
        f"{model_server.url}/v1/messages", headers={"x-api-key": "k"}, json={"model": "c", "stream": True}
    )
    found = events(stream)
    assert [event["type"] for event in found] == [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert found[0]["message"]["usage"]["cache_read_input_tokens"] == 100
    assert found[0]["message"]["usage"]["output_tokens"] == 1
    assert found[-2]["usage"] == {"output_tokens": 45}
    assert stream.text.startswith("event: message_start\n")


def test_anthropic_tool_results_count_as_tool_results(model_server: ModelServer) -> None:
    model_server.script([Rule(tool_results=1, replies=Reply(text="done")), Reply.call("lookup", {"q": 1})])
    first: list[dict[str, Any]] = [{"role": "user", "content": "look"}]
    results = [{"type": "tool_result", "tool_use_id": "toolu_1_1", "content": "found"}]
    headers = {"x-api-key": "k"}
    url = f"{model_server.url}/v1/messages"
    body = {"model": "c", "tools": [{"name": "lookup", "input_schema": {}}]}
    asked = httpx.post(url, headers=headers, json={**body, "messages": first}).json()
    assert asked["content"] == [{"type": "tool_use", "id": "toolu_1_1", "name": "lookup", "input": {"q": 1}}]
    messages = [*first, {"role": "assistant", "content": asked["content"]}, {"role": "user", "content": results}]
    assert httpx.post(url, headers=headers, json={**body, "messages": messages}).json()["content"][0]["text"] == "done"


def test_ollama_streams_lines_and_says_counts_in_the_last(model_server: ModelServer) -> None:
    model_server.script(lambda _: Reply(text="two words", usage=USAGE))
    url = f"{model_server.url}/api/chat"
    lines = [json.loads(line) for line in httpx.post(url, json={"model": "llama3"}).text.splitlines()]
    assert [line["message"]["content"] for line in lines] == ["two ", "words", ""]
    assert [line["done"] for line in lines] == [False, False, True]
    assert (lines[-1]["prompt_eval_count"], lines[-1]["eval_count"]) == (120, 45)
    whole = httpx.post(url, json={"model": "llama3", "stream": False}).json()
    assert (whole["message"]["content"], whole["eval_count"]) == ("two words", 45)


def test_google_candidates_leave_thoughts_out(model_server: ModelServer) -> None:
    model_server.script([Reply(text="Hello", usage=USAGE), Reply.rate_limited()])
    url = f"{model_server.url}/v1beta/models/gemini-2.5-flash:generateContent"
    body = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
    answer = httpx.post(url, headers={"x-goog-api-key": "k"}, json=body).json()
    assert answer["candidates"][0]["content"]["parts"] == [{"text": "Hello"}]
    assert (answer["responseId"], answer["modelVersion"]) == ("resp_1", "gemini-2.5-flash")
    assert answer["usageMetadata"] == {
        "promptTokenCount": 120,
        "candidatesTokenCount": 25,
        "totalTokenCount": 165,
        "thoughtsTokenCount": 20,
        "cachedContentTokenCount": 100,
    }
    refused = httpx.post(url, headers={"x-goog-api-key": "k"}, json=body)
    assert refused.json()["error"]["status"] == "RESOURCE_EXHAUSTED"


def test_google_stream_is_an_array_or_events(model_server: ModelServer) -> None:
    model_server.script(lambda _: Reply(text="two words"))
    url = f"{model_server.url}/v1beta/models/gemini-2.5-flash:streamGenerateContent"
    headers = {"x-goog-api-key": "k"}
    array = httpx.post(url, headers=headers, json={"contents": []}).json()
    sse = events(httpx.post(f"{url}?alt=sse", headers=headers, json={"contents": []}))
    texts = [[chunk["candidates"][0]["content"]["parts"][0]["text"] for chunk in chunks] for chunks in (array, sse)]
    assert texts == [["two ", "words"]] * 2
    assert "finishReason" not in array[0]["candidates"][0]
    assert array[1]["candidates"][0]["finishReason"] == "STOP"


def test_usage_can_be_left_out_of_an_answer(model_server: ModelServer, client: httpx.Client) -> None:
    model_server.script([Reply(usage=None)])
    assert "usage" not in chat(client).json()


def test_broken_answers_reach_the_client_as_they_are(model_server: ModelServer, client: httpx.Client) -> None:
    model_server.script([Reply.bad_json(), Reply.dropped(), Reply.dropped(after_chunks=2)])
    with pytest.raises(ValueError, match="Expecting value"):
        chat(client).json()
    with pytest.raises(httpx.RemoteProtocolError):
        chat(client)
    with pytest.raises(httpx.RemoteProtocolError):
        chat(client, stream=True)
    assert chat(client).status_code == 200


def test_rules_answer_in_order_and_are_used_up(model_server: ModelServer, client: httpx.Client) -> None:
    model_server.script(
        [
            Rule(user="refund", times=2, replies=[Reply(text="first"), Reply(text="second")]),
            Rule(model="mini", has_tools=False, replies=Reply(text="mini")),
            Rule(replies=Reply(text="rest")),
        ]
    )

    def say(text: str, **fields: Any) -> Any:
        return chat(client, messages=[{"role": "user", "content": text}], **fields).json()["choices"][0]["message"]

    answers = [say("a Refund?"), say("hi", model="gpt-4o-mini"), say("refund"), say("refund"), say("hi", tools=[TOOL])]
    assert [answer["content"] for answer in answers] == ["first", "mini", "second", "rest", "rest"]


def test_default_reply_calls_a_required_tool_and_fills_a_wanted_schema(client: httpx.Client) -> None:
    parameters = {"type": "object", "properties": {"city": {"type": "string"}, "unit": {"enum": ["C", "F"]}}}
    tool = {"type": "function", "function": {"name": "weather", "parameters": parameters}}
    call = chat(client, tools=[tool]).json()["choices"][0]["message"]["tool_calls"][0]["function"]
    assert call == {"name": "weather", "arguments": '{"city": "text", "unit": "C"}'}
    schema = {"type": "object", "properties": {"answer": {"type": "string"}, "confidence": {"type": "number"}}}
    wanted = {"type": "json_schema", "json_schema": {"schema": schema}}
    answer = chat(client, response_format=wanted).json()["choices"][0]["message"]["content"]
    assert json.loads(answer) == {"answer": "text", "confidence": 0.9}


def test_function_script_sees_the_request(model_server: ModelServer, client: httpx.Client) -> None:
    seen: list[ModelRequest] = []

    def answer(request: ModelRequest) -> Reply | None:
        seen.append(request)
        return Reply(text="", tool_calls=(ReplyToolCall("a"), ReplyToolCall("b"))) if request.tools else None

    model_server.script(answer)
    client.headers["traceparent"] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert len(chat(client, tools=[TOOL]).json()["choices"][0]["message"]["tool_calls"]) == 2
    assert chat(client).json()["choices"][0]["message"]["content"] == Reply().text
    assert seen == model_server.requests
    assert seen[0].headers["traceparent"] == client.headers["traceparent"]
    assert seen[0].tools == ("lookup",)


def test_concurrent_requests_get_distinct_ids(model_server: ModelServer) -> None:
    def one(_: int) -> str:
        response = httpx.post(f"{model_server.url}/v1/chat/completions", headers=BEARER, json={"model": "m"})
        return str(response.json()["id"])

    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(one, range(40)))
    assert ids == {f"chatcmpl-{number}" for number in range(1, 41)}


def test_unknown_path_and_broken_request_are_refused(model_server: ModelServer, client: httpx.Client) -> None:
    assert client.post("/v1/unknown", json={}).status_code == 404
    assert client.post("/v1/chat/completions", content=b"{").status_code == 400
    assert model_server.requests == []


def test_stopping_frees_port_threads_and_waiting_clients() -> None:
    before = set(threading.enumerate())
    arrived = threading.Event()

    def answer_late(_: ModelRequest) -> Reply:
        arrived.set()
        return Reply(delay_s=60)

    with ModelServer() as server:
        server.script(answer_late)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(httpx.post, f"{server.url}/v1/chat/completions", headers=BEARER, json={}, timeout=60)
            assert arrived.wait(10)
            server.stop()
            with pytest.raises(httpx.RemoteProtocolError):
                waiting.result(timeout=10)
    assert set(threading.enumerate()) <= before
    with pytest.raises(RuntimeError, match="not running"):
        _ = server.url
