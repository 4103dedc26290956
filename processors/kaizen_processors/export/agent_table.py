"""The table by agent: executions, errors, p95, tokens, cost and quality, with a total below."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from kaizen_processors.export import figures
from kaizen_processors.trace_totals import sum_totals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kaizen_processors.export.figures import Glyphs
    from kaizen_processors.trace_totals import Totals

_HEADINGS: Final = ("agent", "executions", "errors", "p95", "tokens in", "tokens out", "cost", "quality")
_ERRORS: Final = _HEADINGS.index("errors")
_COST: Final = _HEADINGS.index("cost")
_NOTHING: Final = "-"
_SURE: Final = ("$", _NOTHING)
_MIN_NAME: Final = 8


def agent_table(agents: Mapping[str, Totals], width: int, glyphs: Glyphs) -> list[Text]:
    """Lines of the table, empty without agents.

    Args:
        agents: As of `totals_by_agent`.
        width: Cells in a line; names are shortened to fit, numbers never.
        glyphs: Unicode or ASCII.
    """
    if not agents:
        return []
    body = [_cells(name, totals, glyphs) for name, totals in agents.items()]
    footer = _cells("total", sum_totals(agents.values()), glyphs)
    table = [_HEADINGS, *body, footer]
    widths = [max(cell_len(row[column]) for row in table) for column in range(len(_HEADINGS))]
    gap = "  " if sum(widths) + 2 * (len(widths) - 1) <= width else " "
    numbers = sum(widths[1:]) + len(gap) * (len(widths) - 1)
    widths[0] = max(_MIN_NAME, min(widths[0], width - numbers))
    rule = Text(glyphs.rule * (widths[0] + numbers), style="dim")
    lines = [_line(_HEADINGS, widths, gap, "bold"), rule]
    lines += [_line(row, widths, gap, "", colored=True) for row in body]
    return [*lines, rule, _line(footer, widths, gap, "bold")]


def _cells(name: str, totals: Totals, glyphs: Glyphs) -> tuple[str, ...]:
    ran = totals.executions > 0
    return (
        figures.printable(name),
        f"{totals.executions:,}" if ran else _NOTHING,
        f"{totals.errors:,}" if ran else _NOTHING,
        figures.duration(totals.p95_ns, glyphs) or _NOTHING,
        f"{totals.input_tokens:,}",
        f"{totals.output_tokens:,}",
        figures.cost(totals.cost, glyphs) or _NOTHING,
        _NOTHING if totals.quality is None else f"{totals.quality:.2f}",
    )


def _line(cells: tuple[str, ...], widths: list[int], gap: str, style: str, *, colored: bool = False) -> Text:
    name = cells[0] if cell_len(cells[0]) <= widths[0] else set_cell_size(cells[0], widths[0] - 1) + "~"
    line = Text(name + " " * (widths[0] - cell_len(name)), style=style or "cyan")
    for column, cell in enumerate(cells[1:], start=1):
        shade = style
        if colored and column == _ERRORS and cell not in {"0", _NOTHING}:
            shade = "red"
        elif colored and column == _COST and not cell.startswith(_SURE):
            shade = "yellow"
        line.append(gap + cell.rjust(widths[column]), style=shade or "default")
    return line
