"""Placeholders in a file of spans: superseded by the span that they stand for, or all that is left of it.

A process that was killed never sent the spans that ran. Its placeholders say under which ids and parents those would
have come, so that what had ended below them finds its place in the tree.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from kaizen_semconv import attributes as ka
from kaizen_semconv import gen_ai

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kaizen_processors.trace_tree import SpanNode

_SPAN_ID: Final = re.compile("[0-9a-f]{16}", re.ASCII)
_NS_PER_S: Final = 1e9
_PREFIX: Final = "kaizen.pending."

_SUMS: Final = {
    ka.KAIZEN_PENDING_INPUT_TOKENS: ka.KAIZEN_EXECUTION_TOTAL_INPUT_TOKENS,
    ka.KAIZEN_PENDING_OUTPUT_TOKENS: ka.KAIZEN_EXECUTION_TOTAL_OUTPUT_TOKENS,
    ka.KAIZEN_PENDING_COST_AMOUNT: ka.KAIZEN_EXECUTION_TOTAL_COST_AMOUNT,
}
"""Under which names a finished execution has what a placeholder tells of a running one."""


def settled(spans: dict[str, SpanNode]) -> dict[str, SpanNode]:
    """The spans of one trace, by id, without placeholders.

    Where the span that placeholders stand for is not among them, there is one in its place, with the latest of what
    they say: `pending`, and as long as it was last seen running.
    """
    placeholders: dict[str, list[SpanNode]] = {}
    found: dict[str, SpanNode] = {}
    for span_id, node in spans.items():
        stands_for = node.text(ka.KAIZEN_PENDING_SPAN_ID) or ""
        if node.flag(ka.KAIZEN_SPAN_PENDING) and _SPAN_ID.fullmatch(stands_for):
            placeholders.setdefault(stands_for, []).append(node)
        else:
            found[span_id] = node
    for span_id, told in placeholders.items():
        if span_id not in found:
            found[span_id] = _running(span_id, told)
    return found


def _running(span_id: str, told: list[SpanNode]) -> SpanNode:
    latest = max(told, key=_elapsed_s)
    # A span is of the class that the tree is made of; importing it here would be a circle.
    node = type(latest)(latest.trace_id, span_id, latest.text(ka.KAIZEN_PENDING_SPAN_NAME) or latest.name)
    node.pending = True
    parent_id = latest.text(ka.KAIZEN_PENDING_PARENT_SPAN_ID) or ""
    node.parent_id = parent_id if _SPAN_ID.fullmatch(parent_id) else None
    node.kind, node.scope, node.service = latest.kind, latest.scope, latest.service
    node.start_ns = _earliest(told)
    if node.start_ns is not None:
        node.end_ns = node.start_ns + int(_elapsed_s(latest) * _NS_PER_S)
    node.attributes = _attributes(latest)
    return node


def _attributes(latest: SpanNode) -> dict[str, Any]:
    given = latest.attributes
    attributes = {
        key: value for key, value in given.items() if key != ka.KAIZEN_SPAN_PENDING and not key.startswith(_PREFIX)
    }
    sums = {total: given[so_far] for so_far, total in _SUMS.items() if so_far in given}
    if sums:
        attributes |= {**sums, ka.KAIZEN_EXECUTION_COST_COMPLETE: False}
    operation = latest.text(ka.KAIZEN_PENDING_OPERATION)
    if operation is not None:
        attributes[gen_ai.GEN_AI_OPERATION_NAME] = operation
    return attributes


def _elapsed_s(node: SpanNode) -> float:
    return max(0.0, node.number(ka.KAIZEN_PENDING_ELAPSED) or 0.0)


def _earliest(told: Iterable[SpanNode]) -> int | None:
    return min((node.start_ns for node in told if node.start_ns is not None), default=None)
