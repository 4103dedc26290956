"""Policies, and what every attribute of content has to look like."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from kaizen_processors.content import ContentEncoder, ContentMode, ContentPolicy

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
