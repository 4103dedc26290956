"""Slots of the model calls: `LlmClient`, the wires, the mock provider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.hostile.slot import Slots

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.hostile.stage import Stage

SLOTS = Slots()
COMPLETE = "kaizen.llm.client:LlmClient.complete"
STREAM = "kaizen.llm.client:LlmClient.stream"
EMBED = "kaizen.llm.client:LlmClient.embed"
MOCK = "kaizen.nodes.ai.llm_agent:LLMAgentNode._mock_llm_response"

_NUMBERS = ("temperature", "top_p", "max_tokens", "seed", "n", "top_k", "frequency_penalty", "presence_penalty")


def complete(stage: Stage, messages: Any = None, *, http: Any = None, **given: Any) -> Any:
    from tests.hostile import fakes

    messages = fakes.MESSAGES if messages is None else messages
    return stage.run(fakes.llm_client().complete(messages, http_client=http or fakes.Http(), **given))


@SLOTS.add(COMPLETE)
def complete_messages(stage: Stage) -> Any:
    from tests.hostile import fakes

    return stage.run(fakes.llm_client().complete(stage.value, http_client=fakes.Http()))


@SLOTS.add(COMPLETE)
def complete_content(stage: Stage) -> Any:
    return complete(stage, [{"role": "user", "content": stage.value}])


@SLOTS.add(COMPLETE)
def complete_role(stage: Stage) -> Any:
    return complete(stage, [{"role": stage.value, "content": "x", "tool_calls": stage.value}])


@SLOTS.add(COMPLETE)
def complete_model(stage: Stage) -> Any:
    return complete(stage, model=stage.value)


@SLOTS.add(COMPLETE)
def complete_tools(stage: Stage) -> Any:
    return complete(stage, tools=stage.value, tool_choice=stage.value)


@SLOTS.add(COMPLETE)
def complete_one_tool(stage: Stage) -> Any:
    return complete(stage, tools=[{"type": "function", "function": {"name": stage.value, "parameters": stage.value}}])


@SLOTS.add(COMPLETE)
def complete_response_format(stage: Stage) -> Any:
    return complete(stage, response_format=stage.value)


@SLOTS.add(COMPLETE)
def complete_response_format_type(stage: Stage) -> Any:
    return complete(stage, response_format={"type": stage.value})


@SLOTS.add(COMPLETE)
def complete_stop(stage: Stage) -> Any:
    return complete(stage, stop=stage.value)


@SLOTS.add(COMPLETE)
def complete_parameters(stage: Stage) -> Any:
    return complete(stage, **dict.fromkeys(_NUMBERS, stage.value))


@SLOTS.add(COMPLETE)
def complete_user(stage: Stage) -> Any:
    return complete(stage, user=stage.value, logit_bias=stage.value)


@SLOTS.add(COMPLETE)
def complete_unknown_argument(stage: Stage) -> Any:
    return complete(stage, no_such_argument=stage.value)


@SLOTS.add(COMPLETE, takes="error")
def complete_raises(stage: Stage) -> Any:
    from tests.hostile import fakes

    return complete(stage, http=fakes.Http(refuse=stage.throw))


# -- streams ------------------------------------------------------------------------------------------------------


async def _read(chunks: Any) -> list[Any]:
    return [chunk async for chunk in chunks]


def _stream(stage: Stage, chunk: Callable[[], Any], *, refuse: Any = None, messages: Any = None) -> Any:
    """A stream of two chunks, which Kaizen's own parser makes of what `chunk` says."""
    from tests.hostile import fakes

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kaizen.llm.client._parse_stream_line", lambda *_: chunk())
        chunks = fakes.llm_client().stream(
            fakes.MESSAGES if messages is None else messages, http_client=fakes.Http(refuse=refuse)
        )
        return stage.run(_read(chunks))


def _text_chunk() -> Any:
    return {"text": "a", "usage": {"input_tokens": 1, "output_tokens": 1}, "stop_reason": "stop", "model": "gpt-4o"}


@SLOTS.add(STREAM)
def stream_messages(stage: Stage) -> Any:
    from tests.hostile import fakes

    return stage.run(_read(fakes.llm_client().stream(stage.value, http_client=fakes.Http())))


@SLOTS.add(STREAM)
def stream_chunk(stage: Stage) -> Any:
    return _stream(stage, stage.give)


@SLOTS.add(STREAM)
def stream_usage(stage: Stage) -> Any:
    return _stream(stage, lambda: {**_text_chunk(), "usage": stage.give()})


@SLOTS.add(STREAM)
def stream_chunk_fields(stage: Stage) -> Any:
    return _stream(
        stage, lambda: {"text": stage.give(), "stop_reason": stage.value, "model": stage.value, "usage": stage.value}
    )


@SLOTS.add(STREAM, takes="error")
def stream_raises(stage: Stage) -> Any:
    return _stream(stage, _text_chunk, refuse=stage.throw)


@SLOTS.add(STREAM, takes="error")
def stream_thrown_into(stage: Stage) -> Any:
    """The consumer throws into the generator, between two chunks."""
    from tests.hostile import fakes

    async def consume() -> Any:
        chunks = fakes.llm_client().stream(fakes.MESSAGES, http_client=fakes.Http())
        await anext(chunks)
        return await chunks.athrow(stage.give())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kaizen.llm.client._parse_stream_line", lambda *_: _text_chunk())
        return stage.run(consume())


# -- embeddings ---------------------------------------------------------------------------------------------------


def _embed(stage: Stage, texts: Any, *, http: Any = None, **given: Any) -> Any:
    from tests.hostile import fakes

    given.setdefault("model", "text-embedding-3-small")
    return stage.run(fakes.llm_client().embed(texts, http_client=http or _vectors(lambda: 1), **given))


def _vectors(tokens: Callable[[], Any], **fields: Any) -> Any:
    from tests.hostile import fakes

    return fakes.Http(
        lambda: {"data": [{"index": 0, "embedding": [0.5]}], "usage": {"prompt_tokens": tokens()}, **fields}
    )


@SLOTS.add(EMBED)
def embed_texts(stage: Stage) -> Any:
    return _embed(stage, stage.value)


@SLOTS.add(EMBED)
def embed_one_text(stage: Stage) -> Any:
    return _embed(stage, [stage.value])


@SLOTS.add(EMBED)
def embed_model(stage: Stage) -> Any:
    return _embed(stage, ["a"], model=stage.value)


@SLOTS.add(EMBED)
def embed_payload(stage: Stage) -> Any:
    from tests.hostile import fakes

    return _embed(stage, ["a"], http=fakes.Http(stage.give))


@SLOTS.add(EMBED)
def embed_usage(stage: Stage) -> Any:
    return _embed(stage, ["a"], http=_vectors(stage.give))


@SLOTS.add(EMBED, takes="error")
def embed_raises(stage: Stage) -> Any:
    from tests.hostile import fakes

    return _embed(stage, ["a"], http=fakes.Http(refuse=stage.throw))


# -- Bedrock: the headers of an answer ------------------------------------------------------------------------------


POST = "kaizen.llm.http_client:LlmHttpClient.post"


def _post(stage: Stage, respond: Callable[[], Any]) -> Any:
    """A chat with Bedrock through Kaizen's own HTTP client, whose network answers with what `respond` says."""
    from tests.hostile import fakes

    return stage.run(fakes.bedrock_client().complete(fakes.MESSAGES, http_client=fakes.http_client(respond)))


@SLOTS.add(POST)
def post_header(stage: Stage) -> Any:
    from tests.hostile import fakes

    return _post(stage, lambda: fakes.answer({"x-amzn-bedrock-input-token-count": stage.give()}))


@SLOTS.add(POST)
def post_headers(stage: Stage) -> Any:
    from tests.hostile import fakes

    return _post(stage, lambda: fakes.answer(stage.give()))


@SLOTS.add(POST, takes="error")
def post_raises(stage: Stage) -> Any:
    return _post(stage, stage.throw)


# -- wires: the raw payload on its way to Kaizen's shaper ----------------------------------------------------------


def _wire(module: str, payload: Callable[[Any], Any], place: str) -> None:
    surface = f"kaizen.llm.wire_protocols.{module}:parse_response"

    def run(stage: Stage) -> Any:
        import importlib

        from tests.hostile import fakes

        shaper = importlib.import_module(f"kaizen.llm.wire_protocols.{module}")

        def answer() -> Any:
            # Inside a model call, which is where we read payloads.
            shaper.parse_response(payload(stage.value))
            return fakes.HEALTHY

        return complete(stage, http=fakes.Http(answer))

    run.__name__ = f"{module}_{place}"
    SLOTS.add(surface)(run)


WIRES: dict[str, dict[str, Callable[[Any], Any]]] = {
    "openai_chat": {
        "payload": lambda value: value,
        "usage": lambda value: {"choices": [], "usage": value},
        "details": lambda value: {
            "usage": {"prompt_tokens": 1, "prompt_tokens_details": value, "completion_tokens_details": value}
        },
        "fields": lambda value: {"id": value, "model": value, "choices": [{"message": value, "finish_reason": value}]},
    },
    "mistral_chat": {
        "payload": lambda value: value,
        "usage": lambda value: {"choices": [], "usage": value, "id": value, "model": value},
    },
    "anthropic_messages": {
        "payload": lambda value: value,
        "usage": lambda value: {"content": [], "usage": value},
        "message": lambda value: {"type": "message_start", "message": value, "usage": value},
        "cache": lambda value: {
            "content": value,
            "id": value,
            "usage": {"input_tokens": 1, "cache_read_input_tokens": value, "cache_creation_input_tokens": value},
        },
    },
    "google_generate_content": {
        "payload": lambda value: value,
        "usage": lambda value: {"candidates": [], "usageMetadata": value},
        "fields": lambda value: {"responseId": value, "modelVersion": value, "candidates": value},
    },
    "ollama_native": {
        "payload": lambda value: value,
        "counts": lambda value: {"done": True, "prompt_eval_count": value, "eval_count": value, "message": {}},
        "done": lambda value: {"done": value, "model": value, "message": value},
    },
    "cohere_generate": {
        "payload": lambda value: value,
        "usage": lambda value: {"usage": value, "meta": value, "response": value, "delta": value},
        "counts": lambda value: {
            "usage": {"billed_units": {"input_tokens": value}, "tokens": value, "cached_tokens": value}
        },
        "fields": lambda value: {"response_id": value, "id": value, "model": value, "finish_reason": value},
    },
    "huggingface_inference": {
        "payload": lambda value: value,
        "usage": lambda value: {"choices": [], "usage": value, "id": value, "model": value},
        "choices": lambda value: {"choices": value},
    },
    "bedrock_invoke": {
        "payload": lambda value: value,
        "llama": lambda value: {
            "generation": value,
            "prompt_token_count": value,
            "generation_token_count": value,
            "stop_reason": value,
        },
        "titan": lambda value: {
            "results": [{"tokenCount": value, "completionReason": value}],
            "inputTextTokenCount": value,
        },
        "answers": lambda value: {"id": value, "results": value, "outputs": value, "generations": value},
    },
    **{
        f"{provider}_embeddings": {
            "payload": lambda value: value,
            "usage": lambda value: {
                "data": [{"index": 0, "embedding": [0.5]}],
                "embeddings": [[0.5]],
                "embedding": {"values": [0.5]},
                "usage": value,
                "model": value,
                "prompt_eval_count": value,
                "meta": {"billed_units": value},
            },
        }
        for provider in ("openai", "cohere", "google", "huggingface", "ollama")
    },
}
for _module, _payloads in WIRES.items():
    for _place, _payload in _payloads.items():
        _wire(_module, _payload, _place)


# -- the mock provider --------------------------------------------------------------------------------------------


def _node(**config: Any) -> Any:
    from kaizen.nodes.ai.llm_agent import LLMAgentNode

    node = LLMAgentNode()
    node.config = config
    return node


@SLOTS.add(MOCK)
def mock_messages(stage: Stage) -> Any:
    return _node(model="mock-1")._mock_llm_response(stage.value, [], {})


@SLOTS.add(MOCK)
def mock_content(stage: Stage) -> Any:
    return _node(model="mock-1")._mock_llm_response([{"role": "user", "content": stage.value}], [], {})


@SLOTS.add(MOCK)
def mock_tools(stage: Stage) -> Any:
    return _node(model="mock-1")._mock_llm_response([{"role": "user", "content": "x"}], stage.value, stage.value)


@SLOTS.add(MOCK)
def mock_config(stage: Stage) -> Any:
    node = _node(model=stage.value)
    answer = node._mock_llm_response([{"role": "user", "content": "x"}], [], {"model": stage.value})
    node.config = stage.value
    return answer, node._mock_llm_response([{"role": "user", "content": "x"}], [], {})
