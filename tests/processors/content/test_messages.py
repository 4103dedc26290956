"""What a conversation, its tools and its answer look like in the conventions' shapes."""

from __future__ import annotations

import pytest

from kaizen_processors.content import ContentEncoder, ContentMode, ContentPolicy, encode_messages
from kaizen_processors.redaction import Redactor
from tests.processors.content.support import (
    EVENT,
    INPUT,
    OUTPUT,
    SPAN,
    SYSTEM,
    TOOLS,
    Untouchable,
    parts,
    read,
    sent,
    user,
)


def test_nothing_is_computed_when_content_is_off() -> None:
    encoder = ContentEncoder(ContentPolicy())
    untouchable = Untouchable()

    assert encoder.request(untouchable, system=untouchable, tools=untouchable) == {}
    assert encoder.response(text=untouchable, tool_calls=untouchable, finish_reason=untouchable) == {}
    assert encoder.structured(untouchable) is None
    assert encode_messages(untouchable, ContentPolicy()) is None


def test_a_whole_conversation_in_the_conventions_shape() -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Weather in Paris?", "name": "ann"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": '{"celsius": 21}'},
        {"role": "assistant", "content": "21 °C", "reasoning_content": "The tool said so."},
    ]

    assert sent(*messages) == [
        {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
        {"role": "user", "parts": [{"type": "text", "content": "Weather in Paris?"}], "name": "ann"},
        {
            "role": "assistant",
            "parts": [{"type": "tool_call", "id": "c1", "name": "weather", "arguments": {"city": "Paris"}}],
        },
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": {"celsius": 21}}]},
        {
            "role": "assistant",
            "parts": [{"type": "reasoning", "content": "The tool said so."}, {"type": "text", "content": "21 °C"}],
        },
    ]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("words", {"type": "text", "content": "words"}),
        ({"type": "text", "text": "words"}, {"type": "text", "content": "words"}),
        ({"type": "refusal", "refusal": "no"}, {"type": "text", "content": "no"}),
        ({"type": "thinking", "thinking": "hm"}, {"type": "reasoning", "content": "hm"}),
        (
            {"type": "image_url", "image_url": {"url": "https://ann:pw@host/a.png?X-Amz-Signature=abc"}},
            {"type": "uri", "modality": "image", "uri": "https://[redacted:credentials]@host/a.png?[redacted:query]"},
        ),
        (
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}},
            {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "", "omitted_bytes": 26},
        ),
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "QUJD"}},
            {"type": "blob", "modality": "image", "mime_type": "image/jpeg", "content": "", "omitted_bytes": 4},
        ),
        (
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": b"QUJD"}},
            {"type": "blob", "modality": "document", "mime_type": "application/pdf", "content": "", "omitted_bytes": 4},
        ),
        (
            {"type": "image", "source": {"type": "url", "url": "https://host/a.png"}},
            {"type": "uri", "modality": "image", "uri": "https://host/a.png"},
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "wav"}},
            {"type": "blob", "modality": "audio", "mime_type": "audio/wav", "content": "", "omitted_bytes": 4},
        ),
        ({"type": "file", "file": {"file_id": "f-1"}}, {"type": "file", "modality": "document", "file_id": "f-1"}),
        (
            {"type": "tool_use", "id": "t1", "name": "f", "input": {"password": "x"}},
            {"type": "tool_call", "id": "t1", "name": "f", "arguments": {"password": "[redacted:secret]"}},
        ),
        (
            {"type": "tool_result", "tool_use_id": "t1", "content": "done"},
            {"type": "tool_call_response", "id": "t1", "response": "done"},
        ),
        ({"type": "new_kind", "n": 1, "key": "k"}, {"type": "new_kind", "n": 1, "key": "k"}),
        ({"no": "type"}, {"type": "text", "content": '{"no": "type"}'}),
        (7, {"type": "text", "content": "7"}),
    ],
)
def test_part_of_a_content_list(part: object, expected: object) -> None:
    assert parts(user([part])) == [expected]


def test_tool_arguments_that_are_no_json_stay_text() -> None:
    call = {"id": "1", "function": {"name": "f", "arguments": '{"password": "hunter2", '}}

    (part,) = parts({"role": "assistant", "content": "", "tool_calls": [call]})

    assert part["arguments"] == '{"password": "[redacted:secret]", '


def test_system_instructions_and_tools_have_their_own_attributes() -> None:
    tools = [
        {
            "type": "function",
            "function": {
                "name": "login",
                "description": "Mail ann@example.com",
                "parameters": {"type": "object", "properties": {"password": {"type": "string"}}},
            },
        },
        {"name": "anthropic_style", "input_schema": {"type": "object"}},
        {"type": "web_search", "name": "web"},
    ]

    attributes = ContentEncoder(SPAN).request(
        [user("hi")], system=["Be brief.", {"type": "text", "text": "Be kind."}], tools=tools
    )

    assert read(attributes[SYSTEM]) == [
        {"type": "text", "content": "Be brief."},
        {"type": "text", "content": "Be kind."},
    ]
    assert read(attributes[TOOLS]) == [
        {
            "type": "function",
            "name": "login",
            "description": "Mail [redacted:email]",
            "parameters": {"type": "object", "properties": {"password": {"type": "string"}}},
        },
        {"type": "function", "name": "anthropic_style", "parameters": {"type": "object"}},
        {"type": "web_search", "name": "web"},
    ]


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("stop", "stop"),
        ("end_turn", "stop"),
        ("MAX_TOKENS", "length"),
        ("tool_use", "tool_call"),
        ("refusal", "content_filter"),
        ("new_reason", "new_reason"),
        (None, "unknown"),
    ],
)
def test_response_is_one_output_message(said: object, written: str) -> None:
    attributes = ContentEncoder(SPAN).response(text="Mail ann@example.com", finish_reason=said)

    assert read(attributes[OUTPUT]) == [
        {
            "role": "assistant",
            "parts": [{"type": "text", "content": "Mail [redacted:email]"}],
            "finish_reason": written,
        }
    ]


def test_response_of_tool_calls_only() -> None:
    calls = [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]

    (message,) = read(ContentEncoder(SPAN).response(tool_calls=calls, finish_reason="tool_calls")[OUTPUT])

    assert message["parts"] == [{"type": "tool_call", "id": "c1", "name": "f", "arguments": {}}]


def test_no_response_gives_no_attribute() -> None:
    assert ContentEncoder(SPAN).response(finish_reason="stop") == {}
    assert ContentEncoder(SPAN).request([]) == {}
    assert ContentEncoder(SPAN).request("not a list") == {}


def test_event_mode_gives_the_same_as_structured_values() -> None:
    messages = [{"role": "system", "content": "s"}, user("ann@example.com"), user([{"type": "text", "text": "x"}])]
    tools = [{"type": "function", "function": {"name": "f", "parameters": {}}}]

    spans = ContentEncoder(SPAN)
    events = ContentEncoder(EVENT)

    in_span = spans.request(messages, system="s", tools=tools) | spans.response(text="t", finish_reason="stop")
    in_event = events.request(messages, system="s", tools=tools) | events.response(text="t", finish_reason="stop")
    assert {key: read(value) for key, value in in_span.items()} == in_event


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"city": "Paris", "password": "x"}, {"city": "Paris", "password": "[redacted:secret]"}),
        ('{"password": "x"}', {"password": "[redacted:secret]"}),
        ("ann@example.com", "[redacted:email]"),
        (None, None),
        ([1.5, True], [1.5, True]),
    ],
)
def test_structured_value_is_redacted_json_in_every_mode(value: object, expected: object) -> None:
    for policy in (SPAN, EVENT):
        assert read(ContentEncoder(policy).structured(value)) == expected


def test_own_redaction_applies() -> None:
    policy = ContentPolicy(mode=ContentMode.SPAN, redactor=Redactor(keys=["city"], patterns={"ticket": "TCK-[0-9]+"}))
    call = {"id": "1", "function": {"name": "f", "arguments": '{"city": "Paris"}'}}

    encoded = ContentEncoder(policy).request([{"role": "assistant", "content": "TCK-1", "tool_calls": [call]}])[INPUT]

    assert "Paris" not in encoded
    assert "TCK-1" not in encoded
