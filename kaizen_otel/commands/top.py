"""`kaizen-otel top`: a live view of an application that runs elsewhere, or ran, from its store."""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from kaizen_otel.commands.stores import fail, open_store, store_named

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console, ConsoleOptions, RenderResult

    from kaizen_otel.top.frame import Frame
    from kaizen_processors.export.figures import Glyphs

_SHORTEST_INTERVAL_S = 0.2
_MAX_WINDOW_S = 90 * 86_400.0


def top(  # noqa: PLR0913 - an argument for each option of the command
    which: Annotated[
        str | None,
        typer.Argument(
            help="A process of the application, or the file of its store; without it, the one that runs.",
            metavar="[PID | STORE]",
            show_default=False,
        ),
    ] = None,
    *,
    window: Annotated[str, typer.Option(help="What the figures are about: 30s, 5m, 1h, 1d.")] = "5m",
    by: Annotated[Literal["agent", "model"], typer.Option(help="What a row is.")] = "agent",
    sort: Annotated[
        Literal["cost", "executions", "errors", "latency", "tokens", "quality", "name"],
        typer.Option(help="What rows are sorted by."),
    ] = "cost",
    interval: Annotated[str, typer.Option(help="Time between two frames.")] = "2s",
    once: Annotated[bool, typer.Option("--once", help="Print one frame and leave; so does a pipe.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one frame as a JSON object and leave.")] = False,
) -> None:
    """Watch how the agents of a running application perform; it does not notice.

    The application must keep a store: kaizen_otel.instrument(store=True). Ctrl+C ends the view.

    Exit status: 0 when something was shown, 2 when there is no store, or an option is not allowed.
    """
    window_s = _seconds("--window", window, 1.0, _MAX_WINDOW_S)
    interval_s = _seconds("--interval", interval, _SHORTEST_INTERVAL_S, 3_600.0)
    view = _View(store_named(which), window_s, by, sort)
    first = view.first()
    if as_json:
        typer.echo(json.dumps(first.as_dict(), ensure_ascii=False, allow_nan=False))
    elif once or not sys.stdout.isatty():
        _print(first)
    else:
        _watch(view, first, interval_s)


class _View:
    """What is looked at, and how. The file is opened for each frame: it may be another one by then."""

    def __init__(self, path: Path, window_s: float, by: Any, sort: str) -> None:
        self._path = path
        self._how = (window_s, by, sort)

    def first(self) -> Frame:
        """Read a frame; ends the command with a message where that cannot be done."""
        from kaizen_otel.top.gathering import frame_of  # noqa: PLC0415 - when used
        from kaizen_processors.store import StoreError  # noqa: PLC0415 - when used

        try:
            with open_store(self._path) as reader:
                return frame_of(reader, *self._how)
        except (StoreError, sqlite3.Error) as error:
            fail(f"{self._path}: {error}")

    def next(self, last: Frame) -> tuple[Frame, str]:
        """Read another frame; the last one again, and why, where that cannot be done just now."""
        from kaizen_otel.top.gathering import frame_of  # noqa: PLC0415 - when used
        from kaizen_processors.store import StoreError, StoreReader  # noqa: PLC0415 - when used

        try:
            with StoreReader(self._path) as reader:
                return frame_of(reader, *self._how), ""
        except (StoreError, sqlite3.Error, OSError) as error:
            return last, f"not new: {error}"


def _print(frame: Frame) -> None:
    from kaizen_otel.top.drawing import lines  # noqa: PLC0415 - when used
    from kaizen_processors.export.console import terminal_width, wants_color  # noqa: PLC0415 - when used
    from kaizen_processors.export.figures import glyphs_for  # noqa: PLC0415 - when used
    from kaizen_processors.export.tree_view import render  # noqa: PLC0415 - when used

    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    text = render(lines(frame, terminal_width(sys.stdout), glyphs_for(encoding)), color=wants_color(sys.stdout))
    sys.stdout.write(text.rstrip("\n").encode(encoding, "replace").decode(encoding) + "\n")


def _watch(view: _View, frame: Frame, interval_s: float) -> None:
    """Draw frame after frame on the whole screen, until Ctrl+C."""
    from rich.console import Console  # noqa: PLC0415 - when used
    from rich.live import Live  # noqa: PLC0415 - when used

    from kaizen_processors.export.console import wants_color  # noqa: PLC0415 - when used
    from kaizen_processors.export.figures import glyphs_for  # noqa: PLC0415 - when used

    glyphs = glyphs_for(getattr(sys.stdout, "encoding", None))
    console = Console(file=sys.stdout, highlight=False, no_color=not wants_color(sys.stdout))
    try:
        with Live(_Screen(frame, glyphs), console=console, screen=True, auto_refresh=False) as live:
            while True:
                time.sleep(interval_s)
                frame, trouble = view.next(frame)
                live.update(_Screen(frame, glyphs, trouble), refresh=True)
    except KeyboardInterrupt:
        return


class _Screen:
    """A frame that fits itself to the size that the terminal has when it is drawn."""

    def __init__(self, frame: Frame, glyphs: Glyphs, trouble: str = "") -> None:
        self._frame = frame
        self._glyphs = glyphs
        self._trouble = trouble

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from kaizen_otel.top.drawing import lines, warning  # noqa: PLC0415 - loaded by now

        height = options.height or console.size.height
        if self._trouble:
            yield warning(self._trouble, options.max_width)
            height -= 1
        yield from lines(self._frame, options.max_width, self._glyphs, height=height)


def _seconds(option: str, text: str, least_s: float, most_s: float) -> float:
    from kaizen_processors.alerts.durations import parse_duration, write_duration  # noqa: PLC0415 - when used

    seconds = parse_duration(text)
    if seconds is None or not least_s <= seconds <= most_s:
        allowed = f"a duration from {write_duration(least_s)} to {write_duration(most_s)}, such as 30s, 5m, 1h"
        fail(f"{option} cannot be {text!r:.60}; allowed: {allowed}")
    return seconds
