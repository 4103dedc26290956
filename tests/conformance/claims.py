"""Tests claim cells of `docs/coverage.md`, and what they emit is held to the claim.

`@pytest.mark.covers("module:Class.method", "traced", "tokens", …)` says that a test runs this method of Kaizen, and
what is seen of it. `@pytest.mark.covers_each("method", "traced", …)` claims the same of each method that `parametrize`
gives the parameter `method`. `tests/docs/coverage.py` reads the claims and writes the page.

The method is found where it is entered, by a profile function: nothing of Kaizen is imported or patched for it. The
spans of a run are the one that was begun for it, and what is below; of a method without a span of its own, those that
were begun below the caller's since it was entered, and the model call that it is a part of.
"""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest.mock import patch

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import SynchronousMultiSpanProcessor

from kaizen_semconv import attributes as own
from kaizen_semconv import gen_ai
from tests.conformance.checker import is_ours

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from types import CodeType, FrameType

    from opentelemetry.sdk.trace import ReadableSpan

MARKER = "covers"
EACH = "covers_each"
CELLS = ("traced", "tokens", "cost", "error", "context")
_OURS = ("kaizen_otel.", "wrapt.")
_MODEL_CALLS = frozenset({"chat", "embeddings", "generate_content", "text_completion"})


class Entry(NamedTuple):
    """A method was entered: in which span, what was current before our wrapper, and how many spans had begun."""

    method: str
    span_id: int
    before: int | None
    begun: int


class Watch:
    """What is known of a test's runs of some methods."""

    def __init__(self, methods: Collection[str]) -> None:
        """Nothing was entered yet."""
        self._methods = frozenset(methods)
        self._names: dict[CodeType, str] = {}
        self._current: dict[int, int] = {}
        self._lock = threading.Lock()
        self.entries: list[Entry] = []
        self.begun: list[ReadableSpan] = []

    def profile(self, frame: FrameType, event: str, _argument: object) -> None:
        """Look at each function that is entered."""
        if event != "call":
            return
        name = self._names.get(frame.f_code)
        if name is None:
            name = self._names[frame.f_code] = self._name(frame)
        if not name or _resumed(frame):
            return
        if name == "ours":
            self._current[id(frame)] = trace.get_current_span().get_span_context().span_id
        else:
            now = trace.get_current_span().get_span_context().span_id
            self.entries.append(Entry(name, now, self._before(frame), len(self.begun)))

    def begin(self, span: ReadableSpan) -> None:
        """A span was begun."""
        with self._lock:
            self.begun.append(span)

    def missing(self, method: str, cells: Collection[str]) -> list[str]:
        """The claimed cells that no run of the method shows."""
        entries = [entry for entry in self.entries if entry.method == method]
        if not entries:
            return ["a run of it"]
        shown = {cell for entry in entries for cell in self._shown(entry)}
        return [cell for cell in cells if cell not in shown]

    def _name(self, frame: FrameType) -> str:
        module = frame.f_globals.get("__name__", "")
        if module.startswith(_OURS) and not module.startswith("kaizen_otel.demo."):
            return "ours"
        name = f"{module}:{frame.f_code.co_qualname}"
        return name if name in self._methods else ""

    def _before(self, frame: FrameType) -> int | None:
        """What was current where the outermost of our frames right above this one was entered; None without one."""
        found = None
        above = frame.f_back
        while above is not None and self._names.get(above.f_code) == "ours":
            found = self._current.get(id(above), found)
            above = above.f_back
        return found

    def _shown(self, entry: Entry) -> Iterator[str]:
        by_id = {_id(span): span for span in self.begun}
        span = by_id.get(entry.span_id)
        traced = span is not None and _is_ours(span) and entry.before not in {None, entry.span_id}
        below = [one for one in self.begun[entry.begun :] if entry.span_id in _above(one, by_id)]
        if entry.span_id == 0:
            below = self.begun[entry.begun :]
        told = [one for one in below if _is_ours(one)]
        if span is not None and (traced or (span.attributes or {}).get(gen_ai.GEN_AI_OPERATION_NAME) in _MODEL_CALLS):
            told.append(span)
        if traced:
            yield "traced"
        if any((one.attributes or {}).get(gen_ai.GEN_AI_USAGE_INPUT_TOKENS) for one in told):
            yield "tokens"
        if any((one.attributes or {}).get(own.KAIZEN_USAGE_COST_AMOUNT) for one in told):
            yield "cost"
        if any(_failed(one) for one in ([span] if traced and span is not None else told)):
            yield "error"
        if traced and span is not None:
            # Its own span is a child of the caller's, and nothing that was begun meanwhile lost its trace.
            meanwhile = [one for one in self.begun[entry.begun :] if _is_ours(one) and _within(one, span)]
            if span.parent is not None and span.parent.span_id == entry.before and all(one.parent for one in meanwhile):
                yield "context"
        elif entry.span_id and told:
            yield "context"


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line(
        "markers", f"{MARKER}(method, *cells): this test runs a method of Kaizen, and these cells of it are seen"
    )
    config.addinivalue_line("markers", f"{EACH}(parameter, *cells): the same of each method that the parameter names")


@contextmanager
def watched(methods: Collection[str]) -> Iterator[Watch]:
    """Watch the runs of these methods, in this thread and in those that start."""
    watch = Watch(methods)
    original = SynchronousMultiSpanProcessor.on_start

    def on_start(self: Any, span: Any, parent_context: Any = None) -> None:
        watch.begin(span)
        original(self, span, parent_context)

    with patch.object(SynchronousMultiSpanProcessor, "on_start", on_start):
        threading.setprofile(watch.profile)
        sys.setprofile(watch.profile)
        try:
            yield watch
        finally:
            sys.setprofile(None)
            threading.setprofile(None)


@pytest.fixture(autouse=True)
def claims(request: pytest.FixtureRequest) -> Iterator[None]:
    """Hold a test to what it claims."""
    claimed: dict[str, set[str]] = {}
    for marker in request.node.iter_markers(MARKER):
        claimed.setdefault(marker.args[0], set()).update(marker.args[1:])
    for marker in request.node.iter_markers(EACH):
        claimed.setdefault(request.node.callspec.params[marker.args[0]], set()).update(marker.args[1:])
    if not claimed:
        yield
        return
    unknown = {cell for cells in claimed.values() for cell in cells} - set(CELLS)
    if unknown or not all(claimed.values()):
        pytest.fail(f"a claim names some of {', '.join(CELLS)}; not {sorted(unknown)}", pytrace=False)
    with watched(claimed) as watch:
        yield
    lacking = {
        method: missing for method, cells in claimed.items() if (missing := watch.missing(method, sorted(cells)))
    }
    if lacking:
        pytest.fail(f"claimed and not seen: {lacking}", pytrace=False)


def _resumed(frame: FrameType) -> bool:
    """Whether a coroutine or generator goes on: that is a `call` to profilers, too, but no run of its own."""
    return frame.f_code.co_code[frame.f_lasti + 1] & 3 != 0  # the argument of `RESUME`: 0 where a function begins


def _id(span: ReadableSpan) -> int:
    context = span.get_span_context()
    return context.span_id if context is not None else 0


def _is_ours(span: ReadableSpan) -> bool:
    scope = span.instrumentation_scope
    return scope is not None and is_ours(scope)


def _failed(span: ReadableSpan) -> bool:
    return span.status.status_code is trace.StatusCode.ERROR and bool((span.attributes or {}).get(gen_ai.ERROR_TYPE))


def _within(span: ReadableSpan, outer: ReadableSpan) -> bool:
    return outer.end_time is None or (span.start_time or 0) <= outer.end_time


def _above(span: ReadableSpan, by_id: dict[int, ReadableSpan]) -> set[int]:
    found: set[int] = set()
    now: ReadableSpan | None = span
    while now is not None and now.parent is not None and now.parent.span_id not in found:
        found.add(now.parent.span_id)
        now = by_id.get(now.parent.span_id)
    return found
