"""Trees and the table by agent, printed together: what `kaizen-otel open` and the demo show."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from kaizen_processors.export.agent_table import agent_table
from kaizen_processors.export.console import terminal_width, wants_color
from kaizen_processors.export.figures import glyphs_for
from kaizen_processors.export.tree_view import TreeView, render
from kaizen_processors.trace_totals import totals_by_agent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kaizen_processors.trace_tree import Trace


def print_report(
    traces: Sequence[Trace], file: TextIO, *, width: int | None = None, color: bool | None = None, trees: bool = True
) -> None:
    """Print each trace as a tree, then one table by agent over all of them.

    Args:
        traces: As of `build_traces`.
        file: Where to print.
        width: Columns; by default those of the terminal, 100 where there is none.
        color: By default as for `ConsoleTree`.
        trees: `False` prints the table alone.
    """
    encoding = getattr(file, "encoding", None) or "utf-8"
    view = TreeView(width or terminal_width(file), glyphs_for(encoding))
    colored = wants_color(file) if color is None else color
    blocks = [view.trace(trace) for trace in traces] if trees else []
    blocks.append(
        agent_table(totals_by_agent([root for trace in traces for root in trace.roots]), view.width, view.glyphs)
    )
    text = "\n".join(render(block, color=colored) for block in blocks if block)
    file.write(text.encode(encoding, "replace").decode(encoding))
