"""A frame as lines for a terminal."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from kaizen_otel.top.frame import name_of
from kaizen_processors.alerts.durations import duration_in_words
from kaizen_processors.export import figures
from kaizen_processors.money import format_usd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from kaizen_otel.top.frame import By, Firing, Frame
    from kaizen_processors.export.figures import Glyphs
    from kaizen_processors.snapshots import PerformanceSnapshot
    from kaizen_processors.store import BudgetStanding

_NOTHING: Final = "-"
_GAP: Final = "  "
_MIN_NAME: Final = 8
_MAX_NAME: Final = 40
_BUDGET_NAME: Final = 24
_BAR: Final = 20
_MAX_LIST: Final = 8
"""Lines that alerts, and budgets, may take."""

_PIDS_SHOWN: Final = 8
_YIELDING: Final = ("active agents", "p99", "p50", "/min", "tokens/s", "cost", "quality", "$/h", "p95")
_BAD_QUALITY: Final = 0.7
_SEVERITY: Final = {"critical": "bold red", "warning": "yellow"}
_NEARLY: Final = 0.8
_NS: Final = 1_000_000_000


class _Column(NamedTuple):
    """A column: the less its `worth`, the sooner it gives way in a narrow terminal."""

    heading: str
    worth: int
    write: Callable[[PerformanceSnapshot, Glyphs], str]


def lines(frame: Frame, width: int, glyphs: Glyphs, *, height: int | None = None) -> list[Text]:
    """Draw a frame: header, overall figures, table, what fires, budgets, delivery.

    Args:
        frame: what to draw.
        width: cells in a line.
        glyphs: Unicode or ASCII.
        height: lines that there are; the table gives way, and says how many rows it left out.
    """
    above = [*_header(frame, width, glyphs), _overall(frame, width, glyphs), Text()]
    below = [*_firing(frame, width, glyphs), *_budgets(frame, width, glyphs), *_delivery(frame, width)]
    room = None if height is None else max(height - len(above) - len(below) - 3, 1)
    drawn = [*above, *_table(frame, width, glyphs, room), *below]
    return drawn if height is None else drawn[:height]


def warning(text: str, width: int) -> Text:
    """A line about what is shown."""
    line = Text(figures.printable(text), style="yellow")
    line.truncate(width, overflow="crop")
    return line


def _header(frame: Frame, width: int, glyphs: Glyphs) -> list[Text]:
    alive = len(frame.workers)
    said = [figures.printable(frame.service, 60)]
    if alive:
        pids = [str(one.pid) for one in sorted(frame.workers, key=lambda one: one.pid)]
        shown = " ".join(pids[:_PIDS_SHOWN]) + (f" {glyphs.ellipsis}" if len(pids) > _PIDS_SHOWN else "")
        said.append(f"{alive} worker{'s' if alive > 1 else ''} (pid {shown})")
        said.append(f"up {_time(frame.up_s or 0.0)}")
    else:
        said.append("no worker is running")
    said.append(f"last {duration_in_words(frame.window_s)}")
    text = glyphs.dot.join(said)
    clock = _clock(frame.taken_ns)
    space = width - cell_len(clock)
    if cell_len(text) >= space:
        text = set_cell_size(text, max(space - 2, 0)) + "~"
    line = Text(text, style="bold" if alive else "bold red")
    line.append(clock.rjust(width - cell_len(text)), style="dim")
    return [line]


def _overall(frame: Frame, width: int, glyphs: Glyphs) -> Text:
    """One line of everything. In a narrow terminal the last of `_YIELDING` gives way first."""
    one = frame.overall
    price = "bold" if one.cost_complete else "yellow"
    parts = {
        "executions": (f"{one.total_executions:,}", "bold"),
        "/min": (_per_minute(one, glyphs), "bold"),
        "errors": (_share(one, glyphs), "bold red" if one.failed_executions else "bold"),
        "p50": (_latency(one.p50_latency_ms, glyphs), "bold"),
        "p95": (_latency(one.p95_latency_ms, glyphs), "bold"),
        "p99": (_latency(one.p99_latency_ms, glyphs), "bold"),
        "tokens/s": (_rate(one.tokens_per_second), "bold"),
        "$/h": (_dollars(one.cost_per_hour, one, glyphs), price),
        "cost": (_cost(one, glyphs), price),
        "quality": (_quality(one, glyphs), "bold red" if _is_bad(one) else "bold"),
    }
    if one.active_agents is not None:
        parts["active agents"] = (f"{one.active_agents:,}", "bold")
    for label in (*_YIELDING, ""):
        line = Text(_GAP).join(_labelled(*part) for part in parts.items())
        if line.cell_len <= width or not label:
            break
        parts.pop(label, None)
    return line


def _labelled(label: str, said: tuple[str, str]) -> Text:
    value, style = said
    if label.startswith("/"):
        return Text.assemble((value, style), (label, "dim"))
    return Text.assemble((f"{label} ", "dim"), (value, style))


def _table(frame: Frame, width: int, glyphs: Glyphs, room: int | None) -> list[Text]:
    if not frame.rows:
        return [Text("nothing ran in this window", style="dim"), Text()]
    rows = list(frame.rows)
    left_out = 0
    if room is not None and len(rows) > room:
        left_out = len(rows) - max(room - 1, 1)
        rows = rows[: max(room - 1, 1)]
    columns = _columns(frame.by)
    cells = [[column.write(row, glyphs) for column in columns] for row in rows]
    widths = [max(cell_len(column.heading), *(cell_len(row[at]) for row in cells)) for at, column in enumerate(columns)]
    shown = _fitting(columns, widths, width)
    names = [figures.printable(name_of(row, frame.by), 200) or _NOTHING for row in rows]
    longest = max(cell_len(frame.by), *(cell_len(name) for name in names))
    numbers = sum(widths[at] + len(_GAP) for at in shown)
    name_width = max(_MIN_NAME, min(longest, _MAX_NAME, width - numbers))
    table = [_row(frame.by, [columns[at].heading for at in shown], [widths[at] for at in shown], name_width, "bold")]
    table.append(Text(glyphs.rule * min(name_width + numbers, width), style="dim"))
    for name, row, written in zip(names, rows, cells, strict=True):
        line = _row(name, [written[at] for at in shown], [widths[at] for at in shown], name_width, "")
        _mark(line, row, shown, columns, widths, name_width)
        table.append(line)
    if left_out:
        table.append(Text(f"{glyphs.ellipsis} and {left_out:,} more", style="dim"))
    return [*table, Text()]


def _fitting(columns: Sequence[_Column], widths: Sequence[int], width: int) -> list[int]:
    """Which columns there is room for, beside a name of some length."""
    shown = list(range(len(columns)))
    while len(shown) > 1 and sum(widths[at] + len(_GAP) for at in shown) + _MIN_NAME > width:
        shown.remove(min(shown, key=lambda at: columns[at].worth))
    return shown


def _row(name: str, cells: Sequence[str], widths: Sequence[int], name_width: int, style: str) -> Text:
    line = Text(_sized(name, name_width), style=style or "cyan")
    for cell, width in zip(cells, widths, strict=True):
        line.append(_GAP + cell.rjust(width), style=style or "default")
    return line


def _mark(
    line: Text,
    row: PerformanceSnapshot,
    shown: Sequence[int],
    columns: Sequence[_Column],
    widths: Sequence[int],
    name_width: int,
) -> None:
    """Colour what asks for attention."""
    styles = {
        "errors": "red" if row.failed_executions else "",
        "quality": "red" if _is_bad(row) else "",
        "cost": "" if row.cost_complete else "yellow",
        "$/h": "" if row.cost_complete else "yellow",
    }
    at = name_width
    for index in shown:
        end = at + len(_GAP) + widths[index]
        style = styles.get(columns[index].heading, "")
        if style:
            line.stylize(style, at, end)
        at = end


def _firing(frame: Frame, width: int, glyphs: Glyphs) -> list[Text]:
    if not frame.firing:
        return []
    ordered = sorted(frame.firing, key=lambda one: (_rank(one), one.since_ns))
    seen_ns = frame.taken_ns if frame.workers else None
    found = _alerts(ordered[:_MAX_LIST], seen_ns, width)
    if len(ordered) > _MAX_LIST:
        found.append(Text(f"{glyphs.ellipsis} and {len(ordered) - _MAX_LIST:,} more", style="dim"))
    return [Text("firing", style="bold"), *found, Text()]


def _rank(one: Firing) -> int:
    return {"critical": 0, "warning": 1}.get(one.severity, 2)


def _alerts(alerts: Sequence[Firing], now_ns: int | None, width: int) -> list[Text]:
    """A line about each; `now_ns` is None where nobody lives who would have seen its end. Messages give way."""
    ages = [_NOTHING if now_ns is None else f"for {_time(max(now_ns - one.since_ns, 0) / _NS)}" for one in alerts]
    severities = [figures.printable(one.severity, 20) for one in alerts]
    types = [figures.printable(one.type, 100) for one in alerts]
    messages = [figures.printable(one.message, 300) for one in alerts]
    type_width = min(_widest(types), _MAX_NAME)
    severity_width = max(_widest(severities), _MIN_NAME)
    room = width - severity_width - type_width - _widest(ages) - 3 * len(_GAP)
    message_width = min(_widest(messages), max(room, _MIN_NAME))
    found = []
    for one, severity, type_, message, age in zip(alerts, severities, types, messages, ages, strict=True):
        line = Text()
        line.append(_sized(severity, severity_width), style=_SEVERITY.get(one.severity, "cyan"))
        line.append(f"{_GAP}{_sized(type_, type_width)}", style="bold")
        line.append(f"{_GAP}{_sized(message, message_width)}")
        line.append(f"{_GAP}{age}", style="dim")
        line.truncate(width, overflow="crop")
        found.append(line)
    return found


def _widest(texts: Iterable[str]) -> int:
    return max(map(cell_len, texts), default=0)


def _sized(text: str, width: int) -> str:
    """A text in so many cells: cut, with `~` for what is left out, or filled up."""
    short = text if cell_len(text) <= width else set_cell_size(text, width - 1) + "~"
    return short + " " * (width - cell_len(short))


def _budgets(frame: Frame, width: int, glyphs: Glyphs) -> list[Text]:
    if not frame.budgets:
        return []
    ordered = sorted(frame.budgets, key=_part, reverse=True)
    found = _budget_lines(ordered[:_MAX_LIST], frame.taken_ns, width, glyphs)
    if len(ordered) > _MAX_LIST:
        found.append(Text(f"{glyphs.ellipsis} and {len(ordered) - _MAX_LIST:,} more", style="dim"))
    return [Text("budgets", style="bold"), *found, Text()]


def _budget_lines(budgets: Sequence[BudgetStanding], now_ns: int, width: int, glyphs: Glyphs) -> list[Text]:
    names = [figures.printable(f"{one.budget} {one.whose}".strip(), 100) for one in budgets]
    parts = [f"{_part(one):.0%}" for one in budgets]
    spent = [format_usd(one.spent_units) for one in budgets]
    limits = [f"{format_usd(one.limit_units)} {one.period}" for one in budgets]
    name_width = max(_BUDGET_NAME, min(_widest(names), _MAX_NAME))
    found = []
    for one, name, part, dollars, limit in zip(budgets, names, parts, spent, limits, strict=True):
        full = min(int(_part(one) * _BAR), _BAR)
        style = "red" if _part(one) >= 1 else "yellow" if _part(one) >= _NEARLY else "green"
        line = Text(f"{_sized(name, name_width)}{_GAP}")
        line.append(glyphs.bar * full, style=style)
        line.append(glyphs.wait * (_BAR - full), style="dim")
        line.append(f"{_GAP}{part.rjust(max(_widest(parts), 5))}", style=style)
        line.append(f"{_GAP}{dollars.rjust(_widest(spent))} of {_sized(limit, _widest(limits))}")
        line.append(f"{_GAP}{_time(max(one.ends_ns - now_ns, 0) / _NS)} left", style="dim")
        line.truncate(width, overflow="crop")
        found.append(line)
    return found


def _part(one: BudgetStanding) -> float:
    return one.spent_units / one.limit_units


def _delivery(frame: Frame, width: int) -> list[Text]:
    """A line for each signal."""
    found = []
    signals = [figures.printable(one.signal, 20) for one in frame.delivery]
    exported = [f"{one.exported:,}" for one in frame.delivery]
    waiting = [f"{one.waiting:,}" for one in frame.delivery]
    for number, one in enumerate(frame.delivery):
        line = Text()
        line.append(
            f"{'' if number else 'telemetry':<9}{_GAP}{_sized(signals[number], max(_widest(signals), 6))}", "dim"
        )
        line.append(f"{_GAP}{exported[number].rjust(_widest(exported))} exported", style="dim")
        line.append(f", {waiting[number].rjust(_widest(waiting))} waiting", style="dim")
        if one.spooled:
            line.append(f", {one.spooled:,} spooled", style="yellow")
        line.append(f", {one.dropped:,} dropped", style="bold red" if one.dropped else "dim")
        line.truncate(width, overflow="crop")
        found.append(line)
    if frame.failures:
        found.append(warning(f"telemetry failed {frame.failures:,} times; your calls were not affected", width))
    if frame.mistakes:
        found.append(warning(f"mistakes in settings ignored {frame.mistakes:,} times; the log says which", width))
    return found


def _columns(by: By) -> list[_Column]:
    first = (
        [_Column("executions", 90, lambda one, _: f"{one.total_executions:,}"), _Column("/min", 30, _per_minute)]
        if by == "agent"
        else [
            _Column("calls", 90, lambda one, _: f"{one.model_calls:,}"),
            _Column("tokens in", 45, lambda one, _: figures.tokens(one.tokens_input)),
            _Column("tokens out", 46, lambda one, _: figures.tokens(one.tokens_output)),
        ]
    )
    latencies = [
        _Column("errors", 80, _share),
        _Column("p50", 20, lambda one, glyphs: _latency(one.p50_latency_ms, glyphs)),
        _Column("p95", 70, lambda one, glyphs: _latency(one.p95_latency_ms, glyphs)),
        _Column("p99", 10, lambda one, glyphs: _latency(one.p99_latency_ms, glyphs)),
    ]
    return [
        *first,
        *(latencies if by == "agent" else []),
        _Column("tokens/s", 40, lambda one, _: _rate(one.tokens_per_second)),
        _Column("$/h", 50, lambda one, glyphs: _dollars(one.cost_per_hour, one, glyphs)),
        _Column("cost", 85, _cost),
        *([_Column("quality", 60, _quality)] if by == "agent" else []),
    ]


def _per_minute(one: PerformanceSnapshot, _glyphs: Glyphs) -> str:
    return _rate(one.throughput_rpm)


def _rate(value: float | None) -> str:
    if value is None:
        return _NOTHING
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"  # noqa: PLR2004 - three digits are enough


def _share(one: PerformanceSnapshot, _glyphs: Glyphs) -> str:
    if one.error_rate is None:
        return _NOTHING
    return f"{one.error_rate:.1%}" if one.failed_executions else "0"


def _latency(value_ms: float | None, glyphs: Glyphs) -> str:
    return _NOTHING if value_ms is None else figures.duration(round(value_ms * 1e6), glyphs)


def _dollars(amount: float | None, one: PerformanceSnapshot, glyphs: Glyphs) -> str:
    if amount is None:
        return "?" if not one.cost_complete else _NOTHING
    written = figures.money(Decimal(repr(amount)))
    return written if one.cost_complete else f"{glyphs.at_least}{written}"


def _cost(one: PerformanceSnapshot, glyphs: Glyphs) -> str:
    return _dollars(one.cost_usd, one, glyphs)


def _quality(one: PerformanceSnapshot, _glyphs: Glyphs) -> str:
    return _NOTHING if one.quality_average is None else f"{one.quality_average:.2f}"


def _is_bad(one: PerformanceSnapshot) -> bool:
    return one.quality_average is not None and one.quality_average < _BAD_QUALITY


def _time(seconds: float) -> str:
    """`45s`, `2m03s`, `1h02m`, `3d04h`."""
    whole = int(seconds)
    if whole < 60:  # noqa: PLR2004 - seconds in a minute
        return f"{whole}s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:  # noqa: PLR2004 - minutes in an hour
        return f"{minutes}m{rest:02d}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours < 24 else f"{hours // 24}d{hours % 24:02d}h"  # noqa: PLR2004 - hours in a day


def _clock(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns / _NS, UTC).astimezone().strftime("%H:%M:%S")
