"""Whatever is sent or returned is valid and bounded, and nothing of it is run."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaizen_processors.content import ContentEncoder, ContentMode, ContentPolicy
from tests.processors.content.support import (
    EVENT,
    INPUT,
    OUTPUT,
    SMALL,
    SPAN,
    SYSTEM,
    TOOLS,
    Untouchable,
    check_attribute_value,
    check_message,
    check_part,
    check_tool,
    read,
    sent,
)


@pytest.mark.parametrize(
    "message",
    [
        None,
        7,
        "text",
        [],
        {},
        {"role": None, "content": 3},
        {"role": Untouchable(), "content": Untouchable(), "tool_calls": Untouchable(), "name": Untouchable()},
        {"role": "tool", "tool_call_id": Untouchable(), "content": Untouchable()},
        {"role": "user", "content": [Untouchable(), None, [], {"type": Untouchable()}, {"type": "image_url"}]},
        {"role": "user", "content": [{"type": kind} for kind in ("text", "image", "file", "input_audio", "tool_use")]},
        {"role": "user", "content": b"\x00" * 100},
        {"role": "user", "content": math.nan},
        {"role": "user", "content": "\ud800"},
        {"role": "tool", "content": "[" * 60_000},
        {"role": "tool", "content": '{"a": ' + "1" * 6000 + "}"},
        {"role": "r" * 10_000, "name": "n" * 10_000, "content": "x"},
        {1: 2, None: 3, Untouchable: 4},
        {"role": "assistant", "tool_calls": [None, 7, {"function": None}, {"function": {"arguments": Untouchable()}}]},
        {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}},
    ],
    ids=lambda _: "",
)
def test_odd_message_is_encoded_without_running_it(message: object) -> None:
    for policy in (SPAN, SMALL):
        (encoded,) = sent(message, policy=policy)
        assert set(encoded) >= {"role", "parts"}
        check_message(encoded)


def test_cyclic_message_comes_back() -> None:
    message: dict[str, object] = {"role": "user"}
    message["content"] = [message]

    (encoded,) = sent(message)

    assert "[circular]" in json.dumps(encoded)


TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=200) | st.builds(
    lambda n: "x" * n, st.integers(0, 3000)
)
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.binary() | st.builds(object),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
TYPES = [
    "text",
    "blob",
    "uri",
    "tool_call",
    "reasoning",
    "image_url",
    "image",
    "input_audio",
    "file",
    "tool_use",
    "tool_result",
    "thinking",
    "other",
]
PARTS = TEXT | st.fixed_dictionaries(
    {"type": st.sampled_from(TYPES)},
    optional=dict.fromkeys(
        ("text", "image_url", "source", "input_audio", "file", "input", "name", "id", "content"), ANY
    ),
)
CALLS = st.fixed_dictionaries(
    {}, optional={"id": TEXT, "function": st.fixed_dictionaries({"name": TEXT, "arguments": ANY})}
)
MESSAGES = ANY | st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant", "tool"])},
    optional={
        "content": TEXT | st.lists(PARTS, max_size=4) | ANY,
        "tool_calls": st.lists(CALLS, max_size=3) | ANY,
        "tool_call_id": TEXT,
        "name": TEXT | ANY,
    },
)
POLICIES = st.sampled_from([(SPAN, EVENT), (SMALL, ContentPolicy(ContentMode.EVENT, 1024, 256))])


@given(
    st.lists(MESSAGES, min_size=1, max_size=12), st.lists(ANY, max_size=4), TEXT | st.lists(PARTS, max_size=4), POLICIES
)
def test_whatever_is_sent_is_valid_bounded_and_the_same_in_both_modes(
    messages: list[object], tools: list[object], system: object, policies: tuple[ContentPolicy, ContentPolicy]
) -> None:
    for_span, for_event = map(ContentEncoder, policies)

    in_span = for_span.request(messages, system=system, tools=tools)
    in_event = for_event.request(messages, system=system, tools=tools)

    for value in in_span.values():
        assert isinstance(value, str)
        assert len(value.encode()) <= policies[0].max_bytes
    assert {key: read(value) for key, value in in_span.items()} == in_event
    assert in_span == for_span.request(messages, system=system, tools=tools)
    for message in in_event[INPUT]:
        check_message(message)
    for part in in_event.get(SYSTEM, []):
        check_part(part)
    for tool in in_event.get(TOOLS, []):
        check_tool(tool)
    for value in in_event.values():
        check_attribute_value(value)


@given(TEXT | st.lists(PARTS, max_size=3) | ANY, st.lists(CALLS, max_size=3) | ANY, TEXT | st.none(), POLICIES)
def test_whatever_is_returned_is_valid_and_bounded(
    text: object, tool_calls: object, finish_reason: object, policies: tuple[ContentPolicy, ContentPolicy]
) -> None:
    for_span, for_event = map(ContentEncoder, policies)

    in_span = for_span.response(text=text, tool_calls=tool_calls, finish_reason=finish_reason)
    in_event = for_event.response(text=text, tool_calls=tool_calls, finish_reason=finish_reason)

    assert {key: read(value) for key, value in in_span.items()} == in_event
    for message in in_event.get(OUTPUT, []):
        check_message(message)
        assert type(message["finish_reason"]) is str  # type: ignore[call-overload,index]  # check_message told
    for value in in_span.values():
        assert isinstance(value, str)
        assert len(value.encode()) <= policies[0].max_message_bytes + 2


@given(ANY)
def test_any_structured_value_is_valid_and_bounded(value: object) -> None:
    encoded = ContentEncoder(SMALL).structured(value)

    assert encoded is not None
    read(encoded)
    assert len(encoded.encode()) <= SMALL.max_message_bytes


REMEMBERING = ContentEncoder(SMALL)


@given(MESSAGES)
def test_remembered_message_is_the_one_that_was_sent(message: object) -> None:
    assert REMEMBERING.request([message]) == ContentEncoder(SMALL).request([message])
