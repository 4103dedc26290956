"""A readable tree on the terminal as each execution ends.

`ConsoleTree` collects finished spans and prints a trace when its root in this process ends; what ends later is printed
as a continuation. `ConsoleTreeExporter` is the same for any SDK provider::

    provider.add_span_processor(SimpleSpanProcessor(ConsoleTreeExporter()))

Nothing here raises to its caller, and nothing waits: while one thread prints, the others only leave their spans.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Final, TextIO

from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from kaizen_processors.clock import SYSTEM_CLOCK, Clock
from kaizen_processors.fence import Fence
from kaizen_processors.forking import importing
from kaizen_processors.trace_tree import DISPLAY_ATTRIBUTES, SpanNode, Trace, build_traces, walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

_DEFAULT_WIDTH: Final = 100
_OUR_SCOPE: Final = "kaizen_otel"
_GENAI_PREFIXES: Final = ("gen_ai.", "kaizen.")
_NS_PER_S: Final = 1_000_000_000

_CONTINUED: Final = "continued"
_SO_FAR: Final = "so far"
"""Titles of a tree that adds to one printed before, and of one whose root has not ended."""


class ConsoleTree:
    """Prints traces of agents as trees.

    Args:
        file: Where to print; by default the `sys.stderr` of the moment, so that the application's output stays clean.
        width: Columns; by default those of the terminal, 100 where there is none.
        color: Whether to colour. By default `FORCE_COLOR` and `NO_COLOR` decide, else whether `file` is a terminal.
        every_trace: Print also traces in which no span is about an agent or a model (an HTTP server's health checks),
            and those of agents that are only made.
        max_spans: Spans held while their root runs, and the same number remembered as printed. Over it the oldest
            trace is printed as far as it is known.
        max_age_s: A trace that waits longer for its root is printed as far as it is known.
        max_lines: Spans shown of one tree.
        clock: For the ages.
    """

    def __init__(  # noqa: PLR0913 - keyword-only settings, each with a default
        self,
        file: TextIO | None = None,
        width: int | None = None,
        color: bool | None = None,
        *,
        every_trace: bool = False,
        max_spans: int = 10_000,
        max_age_s: float = 600.0,
        max_lines: int = 500,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._file = file
        self._width = width
        self._color = color
        self._every_trace = every_trace
        self._max_lines = max_lines
        self._max_spans = max_spans
        self._max_age_s = max_age_s
        self._clock = clock
        self.fence = Fence()
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._printing = threading.Lock()
        self._inbox: deque[SpanNode] = deque()
        self._traces = TraceBuffer(self._max_spans, round(self._max_age_s * _NS_PER_S), self._clock)
        self.dropped = 0
        """Spans that were not taken because the terminal stood still and the buffer was full."""

    def on_span(self, span: ReadableSpan) -> None:
        """Take one finished span; prints when a root ends. Never raises."""
        with self.fence("console.on_span"):
            if self._pid != os.getpid():
                self._reset()  # forked: what the parent holds is the parent's to print
            if len(self._inbox) >= self._max_spans:
                self.dropped += 1
                return
            self._inbox.append(SpanNode.from_sdk(span, only=DISPLAY_ATTRIBUTES))
            self.drain(wait_s=0)

    def drain(self, wait_s: float = 5.0) -> bool:
        """Print what is complete by now.

        Args:
            wait_s: How long to wait for another thread that is printing. It prints what it finds, so 0 loses nothing.

        Returns:
            Whether everything that was taken has been dealt with.
        """
        while self._inbox:
            if not self._printing.acquire(blocking=wait_s > 0, timeout=wait_s if wait_s > 0 else -1):
                return False
            try:
                with self.fence("console.print"):
                    while self._inbox:
                        self._print(self._traces.add(self._inbox.popleft()))
            finally:
                self._printing.release()
        return True

    def flush(self, wait_s: float = 5.0) -> bool:
        """Print everything held, also traces whose root has not ended. Never raises.

        Returns:
            Whether it was all printed; `False` when another thread's printing took longer than `wait_s`.
        """
        if not self.drain(wait_s) or not self._printing.acquire(timeout=wait_s):
            return False
        try:
            with self.fence("console.print"):
                self._print(self._traces.take_all())
        finally:
            self._printing.release()
        return True

    def _print(self, due: Iterable[tuple[Trace, str]]) -> None:
        for trace, title in due:
            nodes = [node for node, _ in trace.walk()]
            if self._every_trace or (any(map(_is_genai, nodes)) and not all(map(_is_making, nodes))):
                with self.fence("console.print"):
                    self._write(trace, title)

    def _write(self, trace: Trace, title: str) -> None:
        with importing:  # rich is loaded when something is printed
            from kaizen_processors.export.figures import glyphs_for  # noqa: PLC0415 - as above
            from kaizen_processors.export.tree_view import TreeView, render  # noqa: PLC0415 - as above

        file = self._file if self._file is not None else sys.stderr
        if file is None:  # pythonw and some daemons have no streams
            return
        encoding = getattr(file, "encoding", None) or "utf-8"
        view = TreeView(self._width or terminal_width(file), glyphs_for(encoding))
        lines = view.trace(trace, title=title, max_spans=self._max_lines)
        text = render(lines, color=wants_color(file) if self._color is None else self._color) + "\n"
        file.write(text.encode(encoding, "replace").decode(encoding))
        file.flush()


class TraceBuffer:
    """Spans by trace until their root ends, and which were printed; both bounded. Not locked: its owner is."""

    def __init__(self, max_spans: int, max_age_ns: int, clock: Clock) -> None:
        """Start empty; see `ConsoleTree` for the limits."""
        self._max_spans = max_spans
        self._max_age_ns = max_age_ns
        self._clock = clock
        self._waiting: OrderedDict[str, tuple[int, list[SpanNode]]] = OrderedDict()
        self._waiting_spans = 0
        self._printed: OrderedDict[str, set[str]] = OrderedDict()
        self._printed_spans = 0

    def add(self, node: SpanNode) -> list[tuple[Trace, str]]:
        """Take a span, and give the trees that are due now, each with what to say in its title."""
        now = self._clock.monotonic_ns()
        self._waiting.setdefault(node.trace_id, (now, []))[1].append(node)
        self._waiting_spans += 1
        due = []
        if node.parent_id is None or node.remote_parent or node.parent_id in self._printed.get(node.trace_id, ()):
            due.append(self._take_below(node))
        while self._waiting and (
            self._waiting_spans > self._max_spans or now - next(iter(self._waiting.values()))[0] > self._max_age_ns
        ):
            due.append(self._take(next(iter(self._waiting))))
        return due

    def take_all(self) -> list[tuple[Trace, str]]:
        """Give everything that waits, as far as it is known."""
        return [self._take(trace_id) for trace_id in list(self._waiting)]

    def _take_below(self, root: SpanNode) -> tuple[Trace, str]:
        """The tree below a span that ended; others of its trace, whose parents still run, go on waiting."""
        since, nodes = self._waiting[root.trace_id]
        build_traces(nodes)
        taken = {id(node) for node, _ in walk([root])}
        rest = [node for node in nodes if id(node) not in taken]
        self._waiting_spans -= len(nodes) - len(rest)
        if rest:
            self._waiting[root.trace_id] = (since, rest)  # keeps its place in the order of age
        else:
            del self._waiting[root.trace_id]
        return self._remember(Trace(root.trace_id, [root]), _CONTINUED)

    def _take(self, trace_id: str) -> tuple[Trace, str]:
        _, nodes = self._waiting.pop(trace_id)
        self._waiting_spans -= len(nodes)
        return self._remember(build_traces(nodes)[0], _SO_FAR)

    def _remember(self, trace: Trace, title: str) -> tuple[Trace, str]:
        known = self._printed.pop(trace.trace_id, set())
        self._printed_spans -= len(known)
        for root in trace.roots:
            root.orphan = root.orphan and root.parent_id not in known
        said = "" if title == _CONTINUED and not known else title
        new = {node.span_id for node, _ in trace.walk()}
        self._printed[trace.trace_id] = known = new if len(known) + len(new) > self._max_spans else known | new
        self._printed_spans += len(known)
        while self._printed_spans > self._max_spans and len(self._printed) > 1:
            self._printed_spans -= len(self._printed.popitem(last=False)[1])
        return trace, said


class ConsoleTreeExporter(SpanExporter):
    """`ConsoleTree` as an exporter, for any SDK provider.

    Args:
        tree: Where to print; one with the default settings when not given.
    """

    def __init__(self, tree: ConsoleTree | None = None) -> None:
        self.tree = ConsoleTree() if tree is None else tree

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Take finished spans; prints the traces whose root is among them."""
        for span in spans:
            self.tree.on_span(span)
        return SpanExportResult.SUCCESS

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Wait until what is complete is printed. Traces whose root still runs stay, or every flush would tear them."""
        return self.tree.drain(timeout_millis / 1000)

    def shutdown(self) -> None:
        """Print what is left, complete or not."""
        self.tree.flush()


def terminal_width(file: TextIO) -> int:
    """Columns of a terminal, as `COLUMNS` or the terminal says; 100 for anything else."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        return int(columns)
    try:
        return os.get_terminal_size(file.fileno()).columns or _DEFAULT_WIDTH if file.isatty() else _DEFAULT_WIDTH
    except (OSError, ValueError, AttributeError):  # a stream without a descriptor, closed, or no stream at all
        return _DEFAULT_WIDTH


def wants_color(file: TextIO) -> bool:
    """Whether to colour: `NO_COLOR` says no, `FORCE_COLOR` yes, a dumb terminal no, another terminal yes."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR", "0") not in {"", "0"}:
        return True
    try:
        return os.environ.get("TERM") != "dumb" and file.isatty()
    except (ValueError, AttributeError):  # closed, or a stream of one's own making
        return False


def _is_making(node: SpanNode) -> bool:
    """Whether an agent was made, and nothing failed: no run, and one tree for each agent before the first one."""
    return node.operation == "create_agent" and not node.failed


def _is_genai(node: SpanNode) -> bool:
    return node.scope == _OUR_SCOPE or any(key.startswith(_GENAI_PREFIXES) for key in node.attributes)
