"""What a run waited for, on trees by hand and on any tree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaizen_processors.critical_path import bottlenecks, critical_path, self_ns
from kaizen_processors.trace_tree import SpanNode, walk

if TYPE_CHECKING:
    from collections.abc import Sequence


def span(name: str, start_ns: int | None, end_ns: int | None, *children: SpanNode) -> SpanNode:
    node = SpanNode("t", name, name)
    node.start_ns, node.end_ns = start_ns, end_ns
    node.children = list(children)
    return node


def path(root: SpanNode) -> list[tuple[str, int, int]]:
    return [(segment.node.name, segment.start_ns, segment.end_ns) for segment in critical_path(root)]


def test_a_span_alone_is_its_own_path() -> None:
    assert path(span("root", 0, 10)) == [("root", 0, 10)]


def test_what_runs_in_a_row_is_waited_for_in_a_row() -> None:
    root = span("root", 0, 10, span("a", 1, 4), span("b", 5, 9))
    assert path(root) == [("root", 0, 1), ("a", 1, 4), ("root", 4, 5), ("b", 5, 9), ("root", 9, 10)]


def test_of_what_runs_side_by_side_only_the_last_to_end_is_waited_for() -> None:
    root = span("root", 0, 10, span("quick", 1, 4), span("slow", 1, 9))
    assert path(root) == [("root", 0, 1), ("slow", 1, 9), ("root", 9, 10)]


def test_before_the_last_began_an_earlier_one_was_waited_for() -> None:
    root = span("root", 0, 10, span("first", 0, 6), span("second", 5, 10))
    assert path(root) == [("first", 0, 5), ("second", 5, 10)]


def test_the_path_goes_down_to_what_was_really_slow() -> None:
    root = span("root", 0, 10, span("agent", 1, 9, span("tool", 2, 3), span("chat", 3, 8)))
    assert path(root) == [
        ("root", 0, 1),
        ("agent", 1, 2),
        ("tool", 2, 3),
        ("chat", 3, 8),
        ("agent", 8, 9),
        ("root", 9, 10),
    ]


def test_what_goes_on_after_its_parent_was_not_waited_for() -> None:
    root = span("root", 0, 10, span("late", 8, 30), span("never", 12, 20))
    assert path(root) == [("root", 0, 8), ("late", 8, 10)]
    assert self_ns(root) == 8


@pytest.mark.parametrize(("start_ns", "end_ns"), [(None, 5), (5, None), (5, 5), (6, 5)])
def test_a_root_without_a_duration_has_no_path(start_ns: int | None, end_ns: int | None) -> None:
    root = span("root", start_ns, end_ns, span("child", 1, 2))
    assert path(root) == []
    assert [one.share for one in bottlenecks(root, [root])] == [0.0]


def test_a_child_without_times_is_passed_over() -> None:
    root = span("root", 0, 10, span("torn", None, 5))
    assert path(root) == [("root", 0, 10)]
    assert self_ns(root) == 10


def test_a_tree_of_any_depth_is_walked() -> None:
    node = span("leaf", 0, 100_000)
    for _ in range(20_000):
        node = span("step", 0, 100_000, node)
    assert path(node) == [("leaf", 0, 100_000)]


def test_a_run_of_many_steps_is_walked() -> None:
    root = span("root", 0, 50_000, *(span("step", place, place + 1) for place in range(50_000)))
    assert len(path(root)) == 50_000


def test_bottlenecks_are_named_by_what_the_run_waited_for() -> None:
    root = span("root", 0, 10_000_000, span("chat", 0, 4_000_000), span("chat", 4_000_000, 9_000_000))
    root.children.append(span("aside", 0, 2_000_000))
    found = bottlenecks(root, [node for node, _ in walk([root])])
    assert [(one.name, one.waited_ms, one.share, one.self_ms, one.calls) for one in found] == [
        ("chat", 9.0, 0.9, 9.0, 2),
        ("root", 1.0, 0.1, 1.0, 1),
        ("aside", 0.0, 0.0, 2.0, 1),
    ]


times = st.tuples(st.integers(0, 50), st.integers(0, 50))
trees = st.recursive(
    times.map(lambda pair: span("leaf", *pair)),
    lambda below: st.tuples(times, st.lists(below, max_size=4)).map(lambda made: span("node", *made[0], *made[1])),
    max_leaves=20,
)


@given(st.lists(trees, max_size=5))
def test_the_path_fills_the_root_without_gap_and_without_overlap(children: Sequence[SpanNode]) -> None:
    root = span("root", 10, 40, *children)
    segments = critical_path(root)
    assert [segment.start_ns for segment in segments] == [10, *(segment.end_ns for segment in segments[:-1])]
    assert segments[-1].end_ns == 40
    for segment in segments:
        assert segment.node.start_ns is not None
        assert segment.node.end_ns is not None
        assert segment.node.start_ns <= segment.start_ns < segment.end_ns <= segment.node.end_ns


@given(trees)
def test_a_spans_own_time_is_between_nothing_and_all_of_it(root: SpanNode) -> None:
    for node, _ in walk([root]):
        assert 0 <= self_ns(node) <= (node.duration_ns or 0)
