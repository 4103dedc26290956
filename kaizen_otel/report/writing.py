"""A report as text for a terminal, Markdown, CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len

from kaizen_otel.report.compiling import MOST_EXPENSIVE
from kaizen_processors.export import figures
from kaizen_processors.export.figures import UNICODE, Glyphs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kaizen_otel.report.compiling import Report
    from kaizen_otel.report.figures import Change, Line

_NOTHING: Final = "-"
_BAR: Final = 16
_HEADINGS: Final = ("executions", "errors", "p50", "p95", "tokens in", "tokens out", "cost", "quality")
_SHOWN: Final = (
    "executions",
    "error_rate",
    "p50_latency_ms",
    "p95_latency_ms",
    "input_tokens",
    "output_tokens",
    "cost_usd",
    "quality_average",
)
_OF_WORDS: Final = frozenset({"", "alert", "since", "until"})
"""Headings of columns that stand to the left."""

MOST_ALERTS: Final = 20
"""Alerts that are listed where people read, the latest; JSON has all."""

_NAMES: Final = {
    "executions": "executions",
    "error_rate": "error rate",
    "average_latency_ms": "average latency",
    "p95_latency_ms": "p95 latency",
    "input_tokens": "tokens in",
    "output_tokens": "tokens out",
    "cost_usd": "cost",
    "cost_per_execution": "cost per execution",
    "quality_average": "quality",
}

Rows = list[tuple[str, ...]]


def as_json(report: Report) -> str:
    """One JSON object."""
    return json.dumps(report.as_dict(), ensure_ascii=False, allow_nan=False, indent=2)


def as_csv(report: Report) -> str:
    """The lines by agent, model or day, and nothing else: one header, one row each."""
    out = io.StringIO()
    first = report.totals.as_dict()
    writer = csv.DictWriter(out, [report.by, *first], lineterminator="\n")
    writer.writeheader()
    for line in report.lines:
        writer.writerow({report.by: figures.printable(line.label), **line.as_dict()})
    return out.getvalue().rstrip("\n")


def as_markdown(report: Report) -> str:
    """Headings and tables, for an issue or a wiki."""
    return _document(report, UNICODE, lambda title: f"\n## {title}\n", _markdown_table, f"# {_title(report)}")


def as_text(report: Report, glyphs: Glyphs) -> str:
    """Tables for a terminal."""
    return _document(report, glyphs, lambda title: f"\n{title}", _text_table, _title(report))


def _document(
    report: Report,
    glyphs: Glyphs,
    heading: Callable[[str], str],
    table: Callable[[Rows, Glyphs], list[str]],
    title: str,
) -> str:
    lines = [title]
    lines += [heading("Totals"), *table(_totals(report, glyphs), glyphs)]
    if report.before is None and report.history_from_ns is not None:
        lines += ["", f"No comparison: the history begins {_moment(report, report.history_from_ns)}."]
    if report.by != "day":
        lines += [heading(f"By {report.by}, the dearest first"), *table(_by(report, glyphs), glyphs)]
        left_out = len(report.lines) - MOST_EXPENSIVE
        if left_out > 0:
            lines += ["", f"{left_out:,} more: --format csv, or json, has all."]
    lines += [heading(f"By {report.grain}"), *table(_trend(report, glyphs), glyphs)]
    if report.alerts:
        lines += [heading("Alerts"), *table(_alerts(report), glyphs)]
        left_out = len(report.alerts) - MOST_ALERTS
        if left_out > 0:
            lines += ["", f"{left_out:,} earlier: --format json has all."]
    return "\n".join(lines)


def _title(report: Report) -> str:
    since, until = (_moment(report, at) for at in report.stretch)
    return f"{figures.printable(report.service, 60)}: {since} to {until} ({report.zone.key})"


def _moment(report: Report, time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns / 1e9, report.zone).strftime("%Y-%m-%d %H:%M")


def _totals(report: Report, glyphs: Glyphs) -> Rows:
    now = report.totals.as_dict()
    said = report.changes
    rows: Rows = [("", "this time", *(("before", "change") if said else ()))]
    for name, title in _NAMES.items():
        row: tuple[str, ...] = (title, _figure(name, now[name], report.totals, glyphs))
        if report.before is not None:
            change = next(one for one in said if one.name == name)
            row = (*row, _figure(name, change.before, report.before, glyphs), _change(change))
        rows.append(row)
    return rows


def _change(change: Change) -> str:
    if change.name == "error_rate":  # a part of a part would be misread
        known = change.now is not None and change.before is not None
        return f"{((change.now or 0) - (change.before or 0)) * 100:+.1f} points" if known else _NOTHING
    part = change.part
    return _NOTHING if part is None else f"{part:+.1%}"


def _by(report: Report, glyphs: Glyphs) -> Rows:
    rows: Rows = [(report.by, *_HEADINGS, "share of cost")]
    whole = report.totals.sums.cost_units
    for one in report.lines[:MOST_EXPENSIVE]:
        share = f"{one.sums.cost_units / whole:.1%}" if whole else _NOTHING
        rows.append((figures.printable(one.label, 60), *_cells(one, glyphs), share))
    return rows


def _trend(report: Report, glyphs: Glyphs) -> Rows:
    most = max((one.sums.cost_units for one in report.trend), default=0)
    rows: Rows = [("", *_HEADINGS, "")]
    for one in report.trend:
        bar = glyphs.bar * -(-one.sums.cost_units * _BAR // most) if most else ""
        rows.append((one.label, *_cells(one, glyphs), bar))
    return rows


def _alerts(report: Report) -> Rows:
    rows: Rows = [("severity", "alert", "since", "until", "")]
    for one in report.alerts[-MOST_ALERTS:]:
        until = {"firing": "it fires", "unknown": _NOTHING}.get(one["status"]) or _moment(report, one["ends_at_ns"])
        said = (one["severity"], one["type"], _moment(report, one["starts_at_ns"]), until, one["message"])
        rows.append(tuple(figures.printable(str(text), 200) for text in said))
    return rows


def _cells(line: Line, glyphs: Glyphs) -> tuple[str, ...]:
    sums = line.sums
    if not sums.executions and not sums.model_calls:
        return (_NOTHING,) * len(_HEADINGS)
    found = line.as_dict()
    return tuple(_figure(name, found[name], line, glyphs) for name in _SHOWN)


def _figure(name: str, value: float | None, line: Line, glyphs: Glyphs) -> str:
    if name.startswith("cost"):
        return _dollars(value, line, glyphs)
    if value is None:
        return _NOTHING
    if name == "error_rate":
        return f"{value:.1%}" if value else "0"
    if name.endswith("_ms"):
        return figures.duration(round(value * 1e6), glyphs)
    if name == "quality_average":
        return f"{value:.2f}"
    return f"{int(value):,}"


def _dollars(value: float | None, line: Line, glyphs: Glyphs) -> str:
    if value is None:
        return _NOTHING if line.complete else "?"
    written = figures.money(Decimal(repr(value)))
    return written if line.complete else f"{glyphs.at_least}{written}"


def _text_table(rows: Rows, glyphs: Glyphs) -> list[str]:
    """Columns of equal width: the first to the left, numbers to the right, the last one of words to the left."""
    widths = [max(cell_len(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines = [_text_row(row, widths, rows[0]) for row in rows]
    return [lines[0], glyphs.rule * max(cell_len(line) for line in lines), *lines[1:]]


def _text_row(row: Sequence[str], widths: Sequence[int], headings: Sequence[str]) -> str:
    cells = []
    for at, (cell, width) in enumerate(zip(row, widths, strict=True)):
        space = " " * (width - cell_len(cell))
        left = at == 0 or headings[at] in _OF_WORDS
        cells.append(cell + space if left else space + cell)
    return "  ".join(cells).rstrip()


def _markdown_table(rows: Rows, _glyphs: Glyphs) -> list[str]:
    headings = rows[0]
    rule = ["---" if at == 0 or headings[at] in _OF_WORDS else "---:" for at in range(len(headings))]
    return [_markdown_row(headings), f"|{'|'.join(rule)}|", *(_markdown_row(row) for row in rows[1:])]


def _markdown_row(row: Sequence[str]) -> str:
    escaped = (cell.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;") for cell in row)
    return f"| {' | '.join(escaped)} |"
