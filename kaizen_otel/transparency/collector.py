"""Collects the spans that end inside a block, for those who ask the block about them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from kaizen_processors.pipeline import Observer
from kaizen_processors.trace_tree import DISPLAY_ATTRIBUTES, SpanNode, build_traces
from kaizen_semconv import attributes as ka

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

MAX_SPANS: Final = 10_000
"""Spans that are kept of one block; further ones are counted."""

KEPT_ATTRIBUTES: Final = DISPLAY_ATTRIBUTES | {ka.KAIZEN_NODE_ID, ka.KAIZEN_NODE_TYPE, ka.KAIZEN_EXECUTION_ID}


class SpanCollector(Observer):
    """The ended spans of one trace, as nodes."""

    def __init__(self, trace_id: int) -> None:
        """Collect spans of this trace, whoever made them."""
        self._trace_id = trace_id
        self._lock = threading.Lock()
        self._nodes: list[SpanNode] = []
        self.dropped = 0

    def on_span(self, span: ReadableSpan) -> None:
        """Keep a span of the trace."""
        context = span.get_span_context()
        if context is None or context.trace_id != self._trace_id:
            return
        node = SpanNode.from_sdk(span, only=KEPT_ATTRIBUTES)
        with self._lock:
            if len(self._nodes) < MAX_SPANS:
                self._nodes.append(node)
            else:
                self.dropped += 1

    def tree_below(self, root: SpanNode) -> SpanNode:
        """The root with everything below it that has ended; spans beside it are left out."""
        with self._lock:
            nodes = [node for node in self._nodes if node.span_id != root.span_id]
        for node in nodes:
            node.children = []  # this may not be the first time that somebody asks
        built = build_traces([root, *nodes])
        return next((found for trace in built for found in trace.roots if found is root), root)
