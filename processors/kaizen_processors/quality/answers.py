"""Where in an execution's output the answer is, and whether there is one.

Kaizen returns a text, a dictionary of signature fields, its own `{"answer": …, "response": …}`, or a node's
`{"success": …, "response": {"content": …}}`. When a model gave nothing, it fills the place with sentences of its own;
those are no answers.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kaizen_processors.values import (
    entries_of,
    entry_of,
    has_entry,
    is_mapping,
    is_sequence,
    pairs_of,
    size_of,
    text_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

ANSWER_KEYS = ("answer", "response", "output", "result", "text", "content", "message")
"""Keys under which Kaizen and its nodes put the answer, the most telling first."""

_INVISIBLE = " \t\r\n\f\v\u00a0\u200b\u200c\u200d\u2060\ufeff"

_PLACEHOLDERS = frozenset(
    {
        # kaizen.core.agents, kaizen.core.base_agent (seen in 2.46.1)
        "No response generated",
        "No response",
        "Simple strategy execution",
        # kaizen.strategies.multi_cycle
        "Multi-cycle strategy execution",
        # kaizen.execution.parser: written into signature fields that the model's answer lacks
        (
            "Current situation requires comprehensive evaluation of existing systems, processes, and organizational"
            " readiness for proposed changes."
        ),
        "Implement a structured approach with clear phases, stakeholder engagement, and risk mitigation strategies.",
        (
            "Key risks include technical complexity, resource constraints, timeline pressures, and potential resistance"
            " to change."
        ),
        (
            "Phase 1 (Months 1-3): Planning and preparation. Phase 2 (Months 4-9): Implementation. Phase 3 (Months"
            " 10-12): Optimization and review."
        ),
    }
)
_PLACEHOLDER_SHAPE = re.compile(
    r"(?:Placeholder|Multi-cycle) result for \w{1,128}|Detailed analysis and planning required for .{1,128} component\."
)
_LONGEST_PLACEHOLDER_CHARS = 256
_LOOKED_AT = 100
"""Entries of a container that are looked at before it counts as something."""
_MAX_DEPTH = 4


def is_placeholder(text: str) -> bool:
    """Whether a text is one that Kaizen writes where a model gave nothing."""
    if len(text) > _LONGEST_PLACEHOLDER_CHARS:
        return False
    stripped = text.strip(_INVISIBLE)
    return stripped in _PLACEHOLDERS or _PLACEHOLDER_SHAPE.fullmatch(stripped) is not None


def is_blank(value: object, depth: int = 0) -> bool:
    """Whether a value holds nothing: no text, only white space, a placeholder, or containers of those."""
    if value is None:
        return True
    text = text_of(value)
    if text is not None:
        return not text.strip(_INVISIBLE) or is_placeholder(text)
    if depth >= _MAX_DEPTH or (size_of(value) or 0) > _LOOKED_AT:
        return False
    if is_mapping(value):
        return _is_blank_mapping(value, depth)
    return is_sequence(value) and all(is_blank(entry, depth + 1) for entry in entries_of(value, _LOOKED_AT))


def _is_blank_mapping(value: object, depth: int) -> bool:
    if has_entry(value, "content"):
        # A model's message: role, model and usage beside the content are no answer, a tool call is.
        return is_blank(entry_of(value, "content"), depth + 1) and is_blank(entry_of(value, "tool_calls"), depth + 1)
    return all(is_blank(entry, depth + 1) for _, entry in pairs_of(value, _LOOKED_AT))


def field_value(output: object, name: str) -> object:
    """Give a signature field's value; Kaizen puts the fields into the output or into its `response`."""
    value = entry_of(output, name)
    return entry_of(entry_of(output, "response"), name) if value is None else value


def is_empty(output: object, expected_fields: Sequence[str] | None) -> bool:
    """Whether an execution returned no answer at all."""
    if not is_mapping(output):
        return is_blank(output)
    if expected_fields and not all(is_blank(field_value(output, name)) for name in expected_fields):
        return False
    answers = [value for value in _answers(output) if value is not None]
    if answers or expected_fields:
        return all(is_blank(value) for value in answers)
    return is_blank(output)


def answer_texts(output: object, expected_fields: Sequence[str] | None) -> list[str]:
    """Give the texts that answer the caller: of the expected fields, else of the keys that Kaizen uses."""
    text = text_of(output)
    if text is not None:
        return [text]
    values = [field_value(output, name) for name in expected_fields or ()]
    return [text for text in map(_message_text, values or _answers(output)) if text]


def _answers(output: object) -> list[object]:
    return [entry_of(output, key) for key in ANSWER_KEYS]


def _message_text(value: object) -> str | None:
    return text_of(entry_of(value, "content") if is_mapping(value) else value)
