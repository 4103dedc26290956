"""What a run waited for: the critical path through a tree of finished spans, and the time that is each span's own.

The critical path is walked backwards from the end of the root: at each moment the run was waiting for the span that
ended last before it, and for what that one waited for, and so on; what no child covers is the span's own. Its segments
lie end to end and fill the root exactly, so shortening anything on it shortens the run, and shortening anything else
does not.

A child is looked at only as far as it lies within its parent: what goes on after the parent has ended, nobody waited
for.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kaizen_processors.trace_tree import SpanNode

_NS_IN_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of the critical path. Times are nanoseconds since the Unix epoch."""

    node: SpanNode
    start_ns: int
    end_ns: int

    @property
    def duration_ns(self) -> int:
        """How long the run waited for this span itself here."""
        return self.end_ns - self.start_ns


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """Spans of one name, and what the run waited for them.

    Attributes:
        name: The spans' name.
        waited_ms: Milliseconds of the critical path that are these spans' own.
        share: The same as a part of the root's duration, 0 to 1.
        self_ms: Milliseconds that are the spans' own, on the path or beside it.
        calls: How many there are.
    """

    name: str
    waited_ms: float
    share: float
    self_ms: float
    calls: int


def critical_path(root: SpanNode) -> list[Segment]:
    """The segments of the path, from the root's start to its end; empty when the root has no duration."""
    if root.start_ns is None or root.end_ns is None or root.end_ns <= root.start_ns:
        return []
    backwards: list[Segment] = []
    # What is still to be walked: a span, from where, to where, what is below it. No recursion: trees may be deep.
    stack = [(root, root.start_ns, root.end_ns, _Below(root))]
    while stack:
        node, start_ns, end_ns, below = stack.pop()
        last = below.last(start_ns, end_ns)
        if last is None:
            backwards.append(Segment(node, start_ns, end_ns))
            continue
        child, child_start_ns, child_end_ns = last
        if child_end_ns < end_ns:
            backwards.append(Segment(node, child_end_ns, end_ns))
        if child_start_ns > start_ns:
            stack.append((node, start_ns, child_start_ns, below))
        stack.append((child, child_start_ns, child_end_ns, _Below(child)))
    return backwards[::-1]


class _Below:
    """The children of a span, asked for from its end to its start: each is looked at once, however many there are."""

    def __init__(self, node: SpanNode) -> None:
        timed = [
            (child.end_ns, child.start_ns, place)
            for place, child in enumerate(node.children)
            if child.start_ns is not None and child.end_ns is not None and child.end_ns > child.start_ns
        ]
        self._children = node.children
        self._by_end = sorted(timed)
        self._running: list[
            tuple[int, int]
        ] = []  # those that end at the moment asked about or later, latest start first

    def last(self, start_ns: int, end_ns: int) -> tuple[SpanNode, int, int] | None:
        """The child that ends last in a stretch, cut to it; of several, the one that began last.

        Each stretch must lie before the one of the call before.
        """
        by_end, running = self._by_end, self._running
        while by_end and by_end[-1][0] >= end_ns:
            _, began_ns, place = by_end.pop()
            heappush(running, (-began_ns, place))
        while running and -running[0][0] >= end_ns:
            heappop(running)  # it began later than anything that will be asked about
        if running:
            began_ns, place = -running[0][0], running[0][1]
            return self._children[place], max(began_ns, start_ns), end_ns
        if by_end and by_end[-1][0] > start_ns:
            ended_ns, began_ns, place = by_end[-1]
            return self._children[place], max(began_ns, start_ns), ended_ns
        return None


def self_ns(node: SpanNode) -> int:
    """Nanoseconds of a span that no child of it covers; 0 for one without a duration."""
    if node.duration_ns is None or node.start_ns is None or node.end_ns is None:
        return 0
    covered, reached_ns = 0, node.start_ns
    inside = sorted(
        (child.start_ns, child.end_ns)
        for child in node.children
        if child.start_ns is not None and child.end_ns is not None
    )
    for start_ns, end_ns in inside:
        begins_ns, ends_ns = max(start_ns, reached_ns), min(end_ns, node.end_ns)
        if ends_ns > begins_ns:
            covered += ends_ns - begins_ns
            reached_ns = ends_ns
    return node.duration_ns - covered


def bottlenecks(root: SpanNode, nodes: Iterable[SpanNode]) -> list[Bottleneck]:
    """The names of a tree's spans by what the run waited for them, the longest first.

    Args:
        root: Whose critical path it is.
        nodes: All spans of the tree. Names that the run never waited for come last.
    """
    waited: dict[str, int] = {}
    for segment in critical_path(root):
        waited[segment.node.name] = waited.get(segment.node.name, 0) + segment.duration_ns
    own: dict[str, int] = {}
    calls: dict[str, int] = {}
    for node in nodes:
        own[node.name] = own.get(node.name, 0) + self_ns(node)
        calls[node.name] = calls.get(node.name, 0) + 1
    whole_ns = root.duration_ns or 0
    found = [
        Bottleneck(
            name=name,
            waited_ms=waited.get(name, 0) / _NS_IN_MS,
            share=waited.get(name, 0) / whole_ns if whole_ns else 0.0,
            self_ms=own[name] / _NS_IN_MS,
            calls=count,
        )
        for name, count in calls.items()
    ]
    return sorted(found, key=lambda one: (-one.waited_ms, -one.self_ms, one.name))
