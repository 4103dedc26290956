"""Content in the conventions' shapes: valid, bounded, redacted, and encoded once."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaizen_processors.content import ContentEncoder, ContentError, ContentMode, ContentPolicy, encode_messages
from kaizen_processors.content.cache import FragmentCache
from kaizen_processors.redaction import Redactor

SPAN = ContentPolicy(mode=ContentMode.SPAN)
EVENT = ContentPolicy(mode=ContentMode.EVENT)
SMALL = ContentPolicy(mode=ContentMode.SPAN, max_bytes=1024, max_message_bytes=256)

INPUT = "gen_ai.input.messages"
OUTPUT = "gen_ai.output.messages"
SYSTEM = "gen_ai.system_instructions"
TOOLS = "gen_ai.tool.definitions"


class Untouchable:
    """A value that must not be looked at."""

    def __getattribute__(self, name: str) -> NoReturn:
        raise AssertionError(name)


PART_FIELDS: dict[str, dict[str, type]] = {
    "text": {"content": str},
    "reasoning": {"content": str},
    "tool_call": {"name": str},
    "tool_call_response": {"response": object},
    "blob": {"modality": str, "content": str},
    "uri": {"modality": str, "uri": str},
    "file": {"modality": str, "file_id": str},
}
"""What the conventions require of each type of part; other types are theirs to extend (`GenericPart`)."""


def check_part(part: Any) -> None:
    assert type(part["type"]) is str
    for field, kind in PART_FIELDS.get(part["type"], {}).items():
        assert isinstance(part[field], kind)
    if part["type"] in PART_FIELDS:
        assert isinstance(part.get("id"), str | None)
        assert isinstance(part.get("mime_type"), str | None)
    if part["type"] == "blob":
        assert part["content"] == ""


def check_message(message: Any) -> None:
    assert type(message["role"]) is str
    assert isinstance(message.get("name"), str | None)
    assert type(message["parts"]) is list
    for part in message["parts"]:
        check_part(part)


def check_tool(tool: Any) -> None:
    assert type(tool["type"]) is str
    assert type(tool["name"]) is str
    assert isinstance(tool.get("description"), str | None)


def check_attribute_value(value: object) -> None:
    """What an attribute of a log event may hold: no more than OTLP's AnyValue can carry."""
    if isinstance(value, dict):
        assert all(type(key) is str for key in value)
        for entry in value.values():
            check_attribute_value(entry)
    elif isinstance(value, list):
        for entry in value:
            check_attribute_value(entry)
    else:
        assert value is None or type(value) in {bool, int, float, str}
        assert type(value) is not int or -(2**63) <= value < 2**63
        assert type(value) is not str or value.encode() is not None


def read(value: object) -> Any:
    assert isinstance(value, str)
    return json.loads(value)


def sent(*messages: object, policy: ContentPolicy = SPAN) -> Any:
    return read(ContentEncoder(policy).request(list(messages))[INPUT])


def parts(message: object) -> Any:
    return sent(message)[0]["parts"]


def user(content: object) -> dict[str, object]:
    return {"role": "user", "content": content}


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


def test_history_is_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    redacted: list[str] = []
    original = Redactor.text

    def counting(self: Redactor, text: str, max_chars: int | None = None) -> str:
        redacted.append(text)
        return original(self, text, max_chars)

    monkeypatch.setattr(Redactor, "text", counting)
    encoder = ContentEncoder(SPAN)
    call = {"id": "c", "function": {"name": "f", "arguments": '{"a": "argument"}'}}
    history: list[object] = [user(f"message {i}") for i in range(40)]
    history.append({"role": "assistant", "content": None, "tool_calls": [call]})
    encoder.request(history)
    redacted.clear()

    history.append(user("new"))
    encoder.request([dict(message) if isinstance(message, dict) else message for message in history])

    assert "new" in redacted
    assert not [text for text in redacted if text.startswith(("message", "argument"))]


def test_message_that_was_changed_in_place_is_encoded_again() -> None:
    encoder = ContentEncoder(SPAN)
    part = {"type": "text", "text": "before"}
    message = user([part])
    encoder.request([message])

    part["text"] = "after"

    assert "after" in encoder.request([message])[INPUT]


def test_long_texts_that_differ_only_in_their_middle_are_kept_apart() -> None:
    encoder = ContentEncoder(SMALL)
    first, second = ("x" * 50 + middle + "x" * 5000 for middle in ("A", "B"))

    assert encoder.request([user(first)]) != encoder.request([user(second)])


def test_cache_forgets_what_is_not_used() -> None:
    cache: FragmentCache[int] = FragmentCache()
    made: list[int] = []

    def make(number: int) -> int:
        made.append(number)
        return number

    for number in range(5000):
        cache.get_or_make((0, 1), lambda: make(-1))
        cache.get_or_make((number + 1, 1), lambda number=number: make(number))  # type: ignore[misc]

    assert made.count(-1) == 1
    assert len(cache._young) + len(cache._old) <= 2 * 1024 + 1
    cache.get_or_make((1, 1), lambda: make(0))
    assert made.count(0) == 2


def test_cache_is_bounded_in_characters() -> None:
    encoder = ContentEncoder(ContentPolicy(mode=ContentMode.SPAN))
    for number in range(2000):
        encoder.request([user(f"{number:08}" + "x" * 16_000)])

    assert sum(len(str(key)) for kept in (encoder._cache._young, encoder._cache._old) for key in kept) < 10_000_000


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


def test_values_that_python_calls_equal_are_kept_apart() -> None:
    alike = [
        1,
        True,
        1.0,
        "1",
        b"1",
        b"22",
        [1],
        (1,),
        [True],
        [1.0],
        {1},
        {"a": 1},
        {"a": True},
        {"a": 1.0},
        None,
        "",
        {},
    ]
    encoder = ContentEncoder(SMALL)

    for value in alike:
        for message in (user(value), user([value]), user([{"type": "other", "a": value}])):
            assert encoder.request([message]) == ContentEncoder(SMALL).request([message])
