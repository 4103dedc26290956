"""Tests claim cells of `docs/coverage.md`, and what they emit is held to the claim.

`@pytest.mark.covers("module:Class.method", "traced", "tokens", …)` says that a test runs this method of Kaizen, and
what is seen of it. `@pytest.mark.covers_each("method", "traced", …)` claims the same of each method that `parametrize`
gives the parameter `method`, one or several with blanks between them. `tests/docs/coverage.py` reads the claims and
writes the page; what the page denies of a method (`no`, `n/a`) no test that claims it may see.

The method is found where it is entered, by a profile function: nothing of Kaizen is imported or patched for it. The
spans of a run are the one that was begun for it, and what is below; of a method without a span of its own, those that
were begun below the caller's before it returned, and the model call that it is a part of.
"""

from __future__ import annotations

import dis
import functools
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import SynchronousMultiSpanProcessor

from kaizen_semconv import attributes as own
from kaizen_semconv import gen_ai
from tests.conformance.checker import is_ours
from tests.docs import coverage

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from types import CodeType, FrameType

    from opentelemetry.sdk.trace import ReadableSpan

MARKER = "covers"
EACH = "covers_each"
CLAIMS = (*coverage.CELLS, coverage.ERROR_BELOW)
_OURS = ("kaizen_otel.", "wrapt.")
_MODEL_CALLS = frozenset({"chat", "embeddings", "generate_content", "text_completion"})
_DENIED = frozenset({"no", "n/a"})
_SENT_TO = frozenset({trace.SpanKind.CONSUMER, trace.SpanKind.SERVER})
_WAITING = frozenset({dis.opmap["YIELD_VALUE"], dis.opmap["RESUME"]})
"""Where a frame that waits is: at its yield, or since Python 3.13 at what comes behind it."""


@dataclass
class Entry:
    """A method was entered: in which span, what was current before our wrapper, and how many spans had begun.

    `ended` is how many had begun when it returned; None while it runs, and of one that was left suspended.
    """

    method: str
    span_id: int
    before: int | None
    begun: int
    ended: int | None = None


class Watch:
    """What is known of a test's runs of some methods."""

    def __init__(self, methods: Collection[str]) -> None:
        """Nothing was entered yet."""
        self._methods = frozenset(methods)
        # By identity: a code's own hash goes through all its constants, at each call of the process. The code is kept.
        self._names: dict[int, tuple[str, CodeType]] = {}
        self._current: dict[int, int] = {}
        self._running: dict[int, Entry] = {}
        self._lock = threading.Lock()
        self.entries: list[Entry] = []
        self.begun: list[ReadableSpan] = []

    def profile(self, frame: FrameType, event: str, _argument: object) -> None:
        """Look at each function that is entered, and at the ends of those that are watched."""
        if event == "return" and id(frame) in self._running and not _suspended(frame):
            self._running.pop(id(frame)).ended = len(self.begun)
        if event != "call":
            return
        code = frame.f_code
        known = self._names.get(id(code))
        if known is None:
            known = self._names[id(code)] = (self._name(frame), code)
        name = known[0]
        if not name or _resumed(frame):
            return
        if name == "ours":
            self._current[id(frame)] = trace.get_current_span().get_span_context().span_id
        else:
            now = trace.get_current_span().get_span_context().span_id
            entry = self._running[id(frame)] = Entry(name, now, self._before(frame), len(self.begun))
            self.entries.append(entry)

    def begin(self, span: ReadableSpan) -> None:
        """A span was begun."""
        with self._lock:
            self.begun.append(span)

    def missing(self, method: str, cells: Collection[str]) -> list[str]:
        """The claimed cells that no run of the method shows."""
        entries = [entry for entry in self.entries if entry.method == method]
        if not entries:
            return ["a run of it"]
        shown = self.shown(method)
        return [cell for cell in cells if cell not in shown]

    def shown(self, method: str) -> set[str]:
        """The cells that a run of the method shows."""
        return {cell for entry in self.entries if entry.method == method for cell in self._shown(entry)}

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
        while above is not None and self._names.get(id(above.f_code), ("",))[0] == "ours":
            found = self._current.get(id(above), found)
            above = above.f_back
        return found

    def _shown(self, entry: Entry) -> Iterator[str]:
        by_id = {_id(span): span for span in self.begun}
        span = by_id.get(entry.span_id)
        traced = span is not None and _is_ours(span) and entry.before not in {None, entry.span_id}
        since = self.begun[entry.begun : entry.ended]
        below = [one for one in since if entry.span_id in _above(one, by_id)] if entry.span_id else since
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
        if any(_failed(one) for one in told):
            yield coverage.ERROR_BELOW
        if traced and span is not None:
            # Its own span is a child of the caller's, or of what sent the work, and nothing that was begun meanwhile
            # lost its trace.
            meanwhile = [one for one in self.begun[entry.begun :] if _is_ours(one) and _within(one, span)]
            callers = set(by_id) if span.kind in _SENT_TO else {entry.before}
            if span.parent is not None and span.parent.span_id in callers and all(one.parent for one in meanwhile):
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
        for method in request.node.callspec.params[marker.args[0]].split():
            claimed.setdefault(method, set()).update(marker.args[1:])
    if not claimed:
        yield
        return
    unknown = {cell for cells in claimed.values() for cell in cells} - set(CLAIMS)
    if unknown or not all(claimed.values()):
        pytest.fail(f"a claim names some of {', '.join(CLAIMS)}; not {sorted(unknown)}", pytrace=False)
    with watched(claimed) as watch:
        yield
    lacking = {
        method: missing for method, cells in claimed.items() if (missing := watch.missing(method, sorted(cells)))
    }
    if lacking:
        pytest.fail(f"claimed and not seen: {lacking}", pytrace=False)
    if seen := denied(watch, claimed, _rows()):
        pytest.fail(f"seen, and denied by {coverage.PAGE.name}: {seen}", pytrace=False)


def denied(watch: Watch, methods: Collection[str], rows: list[coverage.Row]) -> dict[str, list[str]]:
    """The cells that a run of a method shows, and of which the page says that they are not seen, or not there."""
    found = {}
    for method in methods:
        row = next((row for row in rows if row.covers(method)), None)
        said = {} if row is None else row.cells
        if cells := sorted(cell for cell in watch.shown(method) if said.get(cell) in _DENIED):
            found[method] = cells
    return found


@functools.cache
def _rows() -> list[coverage.Row]:
    return coverage.rows(coverage.PAGE.read_text(encoding="utf-8"))


def _suspended(frame: FrameType) -> bool:
    """Whether a coroutine or generator only waits: that is a `return` to profilers, too, but no end."""
    return frame.f_code.co_code[frame.f_lasti] in _WAITING


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
