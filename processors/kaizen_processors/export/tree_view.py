"""Trees of spans as lines of text: a waterfall that fits a terminal of any width.

Nothing here prints. A `TreeView` turns a `Trace` into `rich.text.Text` lines; `render` turns lines into a string, with
colour or without.
"""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from rich.text import Text

from kaizen_processors.export import figures
from kaizen_processors.forking import importing
from kaizen_processors.trace_totals import Cost, Totals, call_cost, totals_of
from kaizen_processors.trace_tree import walk
from kaizen_semconv import attributes as ka
from kaizen_semconv import gen_ai

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from kaizen_processors.export.figures import Glyphs
    from kaizen_processors.trace_tree import SpanNode, Trace


_VERBS: Final = {
    "invoke_agent": "agent",
    "invoke_workflow": "workflow",
    "execute_tool": "tool",
    "create_agent": "create",
}
_STYLES: Final = {"invoke_agent": "cyan", "invoke_workflow": "blue", "execute_tool": "green", "create_agent": "cyan"}
_MISSING_NOTES: Final = {"currency": "not in USD"}
_LOW_QUALITY: Final = 0.7
"""The built-in alert threshold for quality; below it a score is shown in red."""

_GAP: Final = "  "
_MIN_WIDTH: Final = 60
_MIN_NAME: Final = 24
_MIN_BAR: Final = 8
_MAX_BAR: Final = 40


class _Row:
    """One span, as the texts of its columns."""

    __slots__ = ("cost", "duration", "input", "label", "node", "output", "prefix", "quality", "under")

    def __init__(self, node: SpanNode, prefix: str, label: Text) -> None:
        self.node = node
        self.prefix = prefix
        self.label = label
        self.under: Text | None = None
        self.duration = self.input = self.output = self.cost = self.quality = ""


class _Columns:
    """Widths in cells; 0 means that the column is not shown."""

    __slots__ = ("bar", "cost", "duration", "input", "name", "output", "quality")

    def __init__(self, rows: Sequence[_Row], width: int, arrow: str) -> None:
        self.duration = max(len(row.duration) for row in rows)
        self.input = max(len(row.input) for row in rows)
        self.output = max(len(row.output) for row in rows)
        self.cost = max(len(row.cost) for row in rows)
        self.quality = max(len(row.quality) for row in rows)
        wanted_name = max(len(row.prefix) + row.label.cell_len for row in rows)
        tokens = self.input + len(arrow) + self.output if self.input else 0
        numbers = sum(column + len(_GAP) for column in (self.duration, tokens, self.cost) if column)
        room = width - numbers - (self.quality + len(_GAP) if self.quality else 0)
        self.bar = _MIN_BAR
        if room - _MIN_BAR - len(_GAP) < min(wanted_name, _MIN_NAME):  # narrow: names before bars before scores
            self.bar = 0
        if self.quality and room < min(wanted_name, _MIN_NAME):
            room += self.quality + len(_GAP)
            self.quality = 0
        if self.bar:
            self.bar = max(_MIN_BAR, min(_MAX_BAR, room - wanted_name - len(_GAP)))
            room -= self.bar + len(_GAP)
        self.name = max(1, min(wanted_name, room))


class TreeView:
    """Turns traces into lines of a given width.

    Args:
        width: Cells in a line; narrower than 60 is taken for 60.
        glyphs: Unicode or ASCII, see `glyphs_for`.
    """

    def __init__(self, width: int, glyphs: Glyphs) -> None:
        self.width = max(_MIN_WIDTH, width)
        self.glyphs = glyphs

    def trace(self, trace: Trace, *, title: str = "", max_spans: int | None = None) -> list[Text]:
        """A title line, the tree, and a line of totals when a model was called.

        Args:
            trace: What to show.
            title: Said after the trace id, such as `continued`.
            max_spans: Show no more spans than that; a last line says how many there are besides.
        """
        lines = [self._title(trace, title)]
        lines += self.tree(trace.roots, max_spans=max_spans)
        sums = totals_of(trace.roots)
        if sums.model_calls:
            lines += self.totals(sums)
        return lines

    def tree(self, roots: Sequence[SpanNode], *, max_spans: int | None = None) -> list[Text]:
        """The spans, one line each, and a second line for an error."""
        spans = sum(1 for _ in walk(roots))
        shown = spans if max_spans is None else min(spans, max_spans)
        rows = [row for row, _ in zip(self._rows(roots), range(shown), strict=False)]
        if not rows:
            return []
        columns = _Columns(rows, self.width, self.glyphs.arrow)
        scale = _time_range(row.node for row in rows)
        lines = []
        for row in rows:
            lines.append(self._line(row, columns, scale))
            if row.under is not None:
                lines.append(self._cut(row.under, self.width))
        if shown < spans:
            lines.append(Text(f"{self.glyphs.ellipsis} {spans - shown:,} more spans", style="dim"))
        return lines

    def totals(self, sums: Totals) -> list[Text]:
        """`Σ 2 executions · 6 model calls, 1 failed · 5,120→1,204 tokens, 4,096 cached · ≥$0.0123`, wrapped to fit."""
        lines = [self.glyphs.sigma]
        for part in self._sums(sums):
            separator = "" if lines[-1] == self.glyphs.sigma else self.glyphs.dot
            if separator and len(lines[-1]) + len(separator) + len(part) > self.width:
                lines.append(f"  {part}")
            else:
                lines[-1] += separator + part
        return [Text(line, style="bold") for line in lines]

    def _sums(self, sums: Totals) -> Iterator[str]:
        if sums.executions or sums.running:
            failed = f", {sums.errors:,} failed" if sums.errors else ""
            cancelled = f", {sums.cancelled:,} cancelled" if sums.cancelled else ""
            running = f", {sums.running:,} still running" if sums.running else ""
            yield f"{_plural(sums.executions, 'execution')}{failed}{cancelled}{running}"
        failed = f", {sums.failed_calls:,} failed" if sums.failed_calls else ""
        yield f"{_plural(sums.model_calls, 'model call')}{failed}"
        cached = f", {figures.tokens(sums.cache_read_tokens)} cached" if sums.cache_read_tokens else ""
        used = f"{figures.tokens(sums.input_tokens)}{self.glyphs.arrow}{figures.tokens(sums.output_tokens)}"
        yield f"{used} tokens{cached}"
        spent = figures.cost(sums.cost, self.glyphs)
        if spent:
            yield spent

    def _title(self, trace: Trace, title: str) -> Text:
        parts = [f"trace {trace.trace_id}"]
        parts += [figures.printable(root.service) for root in trace.roots[:1] if root.service]
        if trace.start_ns is not None:
            started = datetime.fromtimestamp(trace.start_ns // 1_000_000_000, UTC).astimezone()
            parts.append(f"{started:%Y-%m-%d %H:%M:%S}")
        if title:
            parts.append(title)
        return self._cut(Text(self.glyphs.dot.join(parts), style="dim"), self.width)

    def _rows(self, roots: Sequence[SpanNode]) -> Iterator[_Row]:
        """Rows in the order of the tree; `prefix` is the tree's drawing left of the name."""
        deepest = self.width // 3
        stack = [(root, "", "") for root in reversed(roots)]
        while stack:
            node, prefix, below = stack.pop()
            if len(below) > deepest:
                below = self.glyphs.ellipsis + below[-(deepest // 2) :]
            row = self._row(node, prefix)
            error = self._error(node)
            if error:
                row.under = Text().append(
                    below + (self.glyphs.pipe if node.children else self.glyphs.blank), style="dim"
                )
                row.under.append(error, style="red")
            yield row
            for child in reversed(node.children):
                is_last = child is node.children[-1]
                drawn = self.glyphs.last if is_last else self.glyphs.branch
                stack.append((child, below + drawn, below + (self.glyphs.blank if is_last else self.glyphs.pipe)))

    def _row(self, node: SpanNode, prefix: str) -> _Row:
        row = _Row(node, prefix, self._label(node))
        row.duration = figures.duration(node.duration_ns, self.glyphs)
        if node.pending and row.duration:
            row.duration = f"{self.glyphs.at_least}{row.duration}"
        used_in, used_out = _tokens(node)
        row.input = "" if used_in is None else figures.tokens(used_in)
        row.output = "" if used_out is None else figures.tokens(used_out)
        if node.is_model_call and not node.failed and node.text(ka.KAIZEN_USAGE_MISSING_REASON) == "usage":
            row.input, row.output = row.input or "?", row.output or "?"
        row.cost = figures.cost(_cost(node), self.glyphs)
        if node.is_execution and not used_in and not used_out:  # zeros would say that a model answered
            row.input = row.output = ""
            row.cost = "" if row.cost == "$0" else row.cost
        score = node.number(ka.KAIZEN_QUALITY_SCORE)
        row.quality = "" if score is None else f"q {score:.2f}"
        return row

    def _label(self, node: SpanNode) -> Text:
        label = Text()
        style = "red" if node.failed else _style(node)
        if node.failed:
            label.append(f"{self.glyphs.cross} ", style="bold red")
        elif node.cancelled:
            label.append(f"{self.glyphs.stop} ", style="yellow")
        verb, name = _verb_and_name(node)
        label.append(verb, style="dim" if name else style)
        if name:
            label.append(f" {name}", style=f"bold {style}" if node.is_execution else style)
        notes = ", ".join(_notes(node))
        return label.append(f" ({notes})", style="dim") if notes else label

    def _error(self, node: SpanNode) -> str:
        """What went wrong, said once: not again on the spans above that only passed it on."""
        if not node.failed or any(child.failed and child.error_type == node.error_type for child in node.children):
            return ""
        status = node.count(gen_ai.HTTP_RESPONSE_STATUS_CODE)
        parts = [figures.printable(node.error_type or ""), f"HTTP {status}" if status else ""]
        parts.append(figures.printable(node.status_message))
        return self.glyphs.dot.join(part for part in parts if part)

    def _line(self, row: _Row, columns: _Columns, scale: tuple[int, int]) -> Text:
        line = Text(row.prefix, style="")
        line.stylize("dim")
        line.append_text(row.label)
        line = self._cut(line, columns.name)
        line.pad_right(columns.name - line.cell_len)
        style = "red" if row.node.failed else _style(row.node)
        if columns.bar:
            line.append(_GAP).append(self._bar(row.node, scale, columns.bar), style=style)
        line.append(_GAP).append(row.duration.rjust(columns.duration))
        self._append_numbers(line, row, columns)
        return line

    def _append_numbers(self, line: Text, row: _Row, columns: _Columns) -> None:
        if columns.input:
            arrow = self.glyphs.arrow if row.output else " " * len(self.glyphs.arrow)
            line.append(f"{_GAP}{row.input.rjust(columns.input)}{arrow}{row.output.ljust(columns.output)}")
        if columns.cost:
            unsure = row.cost.startswith(("?", self.glyphs.at_least))
            line.append(_GAP).append(row.cost.rjust(columns.cost), style="yellow" if unsure else "")
        if columns.quality:
            score = row.node.number(ka.KAIZEN_QUALITY_SCORE)
            low = score is not None and score < _LOW_QUALITY
            line.append(_GAP).append(row.quality.rjust(columns.quality), style="red" if low else "green")

    def _bar(self, node: SpanNode, scale: tuple[int, int], width: int) -> str:
        """The span's place in the time of the whole, in half cells; before a stream's first chunk it is drawn thin."""
        first, last = scale
        if node.start_ns is None or node.duration_ns is None or last <= first:
            return " " * width
        per_half = (last - first) / (2 * width)
        begin = min(int((node.start_ns - first) / per_half), 2 * width - 1)
        end = min(max(begin + 1, round((node.start_ns + node.duration_ns - first) / per_half)), 2 * width)
        waited_s = node.number(gen_ai.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK) or 0
        waited = begin + int(max(0.0, min(waited_s * 1e9, node.duration_ns)) / per_half)
        cells = []
        for half in range(0, 2 * width, 2):
            left, right = begin <= half < end, begin <= half + 1 < end
            if (left or right) and half + 1 < waited:
                cells.append(self.glyphs.wait)
            elif left and right:
                cells.append(self.glyphs.bar)
            else:
                cells.append(self.glyphs.bar_end if left else self.glyphs.bar_start if right else " ")
        return "".join(cells)

    def _cut(self, text: Text, width: int) -> Text:
        """Shorten to `width` cells, with an ellipsis when something was cut."""
        if text.cell_len <= width:
            return text
        mark = self.glyphs.ellipsis if width > len(self.glyphs.ellipsis) else ""
        text.truncate(width - len(mark), overflow="crop")
        return text.append(mark)


def _style(node: SpanNode) -> str:
    return "magenta" if node.is_model_call else _STYLES.get(node.operation, "")


def _verb_and_name(node: SpanNode) -> tuple[str, str]:
    """`agent`, `researcher` of the span `invoke_agent researcher`; of a model call always the model."""
    name = figures.printable(node.name) or "(no name)"
    operation, _, rest = name.partition(" ")
    if node.is_model_call:
        model = node.text(gen_ai.GEN_AI_REQUEST_MODEL) or node.text(gen_ai.GEN_AI_RESPONSE_MODEL) or rest
        return operation if operation == node.operation else name, figures.printable(model)
    if operation == node.operation and operation in _VERBS:
        return _VERBS[operation], rest
    return name, ""


def _notes(node: SpanNode) -> Iterator[str]:
    if node.orphan:
        yield "parent not seen"
    elif node.remote_parent:
        yield "remote parent"
    yield from _ending(node)
    if node.flag(ka.KAIZEN_TOOL_SIMULATED):
        yield "simulated"
    cached = node.count(gen_ai.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS) if node.is_model_call else None
    if cached:
        yield f"{figures.tokens(cached)} cached"
    late = node.count(ka.KAIZEN_EXECUTION_LATE_CALLS)
    if late:
        yield _plural(late, "late call")
    outcome = node.text(ka.KAIZEN_CALL_OUTCOME)
    if outcome:
        yield figures.printable(outcome, 40).replace("_", " ")
    missing = node.text(ka.KAIZEN_USAGE_MISSING_REASON)
    if missing:
        yield _MISSING_NOTES.get(missing, f"{figures.printable(missing, 40)} unknown")


def _ending(node: SpanNode) -> Iterator[str]:
    """How it ended, where that was not of itself."""
    if node.pending:
        yield "still running when last seen"
    if node.cancelled:
        yield "cancelled"
    abandoned = node.text(ka.KAIZEN_SPAN_ABANDONED)
    if abandoned:
        yield f"ended by {figures.printable(abandoned, 40)}"


def _tokens(node: SpanNode) -> tuple[int | None, int | None]:
    """Tokens in and out: of a model call its own, of an execution the total with what it called."""
    used = node.count(gen_ai.GEN_AI_USAGE_INPUT_TOKENS), node.count(gen_ai.GEN_AI_USAGE_OUTPUT_TOKENS)
    if not node.is_execution:
        return used if node.is_model_call else (None, None)
    total_in = node.count(ka.KAIZEN_EXECUTION_TOTAL_INPUT_TOKENS)
    total_out = node.count(ka.KAIZEN_EXECUTION_TOTAL_OUTPUT_TOKENS)
    return used if total_in is None and total_out is None else (total_in, total_out)


def _cost(node: SpanNode) -> Cost:
    """Cost of a model call, total cost of an execution, nothing for others."""
    if node.is_model_call:
        return call_cost(node)
    cost = Cost()
    if node.is_execution:
        amount = node.number(ka.KAIZEN_EXECUTION_TOTAL_COST_AMOUNT)
        if amount is not None:
            cost.add(amount)
        cost.complete = node.flag(ka.KAIZEN_EXECUTION_COST_COMPLETE) is not False
    return cost


def _time_range(nodes: Iterable[SpanNode]) -> tuple[int, int]:
    timed = [
        (node.start_ns, node.start_ns + node.duration_ns)
        for node in nodes
        if node.start_ns and node.duration_ns is not None
    ]
    if not timed:
        return 0, 0
    return min(start for start, _ in timed), max(end for _, end in timed)


def _plural(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def render(lines: Iterable[Text], *, color: bool) -> str:
    """The lines as a string, each ended by a newline; `color` adds ANSI colours that every terminal has."""
    if not color:
        return "".join(f"{line.plain.rstrip()}\n" for line in lines)
    with importing:
        from rich.console import Console  # noqa: PLC0415 - 20 ms of import, for terminals only

    buffer = io.StringIO()
    console = Console(
        file=buffer, force_terminal=True, color_system="standard", no_color=False, legacy_windows=False, highlight=False
    )
    for line in lines:
        line.rstrip()
        console.print(line, soft_wrap=True)
    return buffer.getvalue()
