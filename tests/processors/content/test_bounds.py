"""How much content is kept: cut where it is too long, saying so, and still valid."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kaizen_processors.content import ContentEncoder, ContentError, ContentMode, ContentPolicy
from tests.processors.content.support import INPUT, SMALL, SYSTEM, TOOLS, read, sent, user


def test_long_message_is_cut_says_so_and_stays_json() -> None:
    (message,) = sent(user("x" * 10_000), policy=SMALL)

    content = message["parts"][0]["content"]
    kept, _, note = content.partition("…[truncated ")
    assert 100 < len(kept) < 256
    assert int(note.removesuffix(" characters]")) == 10_000 - len(kept)


@pytest.mark.parametrize("character", ['"', "\\", "\x00", "é", "😀", "\ud800"])
def test_limit_is_of_encoded_bytes(character: str) -> None:
    encoded = ContentEncoder(SMALL).request([user(character * 5000)])[INPUT]

    assert isinstance(encoded, str)
    assert len(encoded.encode()) <= SMALL.max_message_bytes + 2
    assert read(encoded)[0]["role"] == "user"


def test_message_that_cannot_be_cut_to_size_is_named() -> None:
    call = {"id": "1", "function": {"name": "f", "arguments": json.dumps(list(range(1000)))}}

    (message,) = sent({"role": "assistant", "tool_calls": [call]}, policy=SMALL)

    assert message["role"] == "assistant"
    assert message["parts"][0]["type"] == "omitted"
    assert message["parts"][0]["bytes"] > SMALL.max_message_bytes


def test_instructions_and_tools_that_cannot_be_cut_to_size_are_named() -> None:
    schema = {f"field_{i}": i for i in range(200)}
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}

    attributes = ContentEncoder(SMALL).request([user("x")], tools=[tool], system=[{"type": "table", "rows": schema}])

    for key in (TOOLS, SYSTEM):
        (kept,) = read(attributes[key])
        assert kept["type"] == "omitted"
        assert kept["bytes"] > SMALL.max_message_bytes
    assert read(attributes[TOOLS])[0]["name"] == "omitted"


def test_parts_beyond_the_limit_are_counted() -> None:
    (message,) = sent(user([{"type": "text", "text": "x"}] * 200))

    *kept, note = message["parts"]
    assert note == {"type": "omitted", "parts": 200 - len(kept)}
    assert 100 <= len(kept) < 200


def test_oldest_messages_go_first_and_system_and_last_stay() -> None:
    history: list[dict[str, object]] = [
        {"role": "system", "content": "Be brief."},
        *(user(f"message {i} " + "." * 100) for i in range(50)),
    ]

    kept = sent(*history, policy=SMALL)

    assert kept[0]["parts"][0]["content"] == "Be brief."
    (note,) = kept[1]["parts"]
    texts = [message["parts"][0]["content"] for message in kept[2:]]
    assert texts == [message["content"] for message in history[-len(texts) :]]
    assert note == {"type": "omitted", "messages": len(history) - 1 - len(texts)}
    assert 3 <= len(texts) < 8


def test_too_many_tools_and_instructions_are_named() -> None:
    tools = [{"type": "function", "function": {"name": f"tool_{i}", "description": "." * 150}} for i in range(200)]

    attributes = ContentEncoder(SMALL).request([user("x")], tools=tools, system=["." * 200] * 50)

    *kept, note = read(attributes[TOOLS])
    assert [tool["name"] for tool in kept] == [f"tool_{i}" for i in range(len(kept))]
    assert note["type"] == "omitted"
    assert note["tools"] + len(kept) == 200
    assert read(attributes[SYSTEM])[-1]["type"] == "omitted"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "attribute"}, "content mode must be one of off, span, event; got 'attribute'"),
        ({"max_message_bytes": 10}, "max_message_bytes must be at least 256, got 10"),
        ({"max_bytes": 20_000}, "max_bytes must be at least 33024"),
    ],
)
def test_unusable_policy_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ContentError, match=message):
        ContentPolicy(**options)


def test_mode_may_be_given_as_text() -> None:
    assert ContentPolicy(mode="event").mode is ContentMode.EVENT  # what settings files have
