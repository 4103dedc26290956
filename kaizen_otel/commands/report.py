"""`kaizen-otel report`: what an application did and cost over days and weeks, from the history in its store."""

from __future__ import annotations

import sqlite3
import sys
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from kaizen_otel.commands.stores import fail, open_store, store_named

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from kaizen_otel.report.compiling import Report

_NOTHING_FOUND = 1


def report(
    which: Annotated[
        str | None,
        typer.Argument(
            help="The file of the store, or a process of the application; without it, the one that runs.",
            metavar="[STORE | PID]",
            show_default=False,
        ),
    ] = None,
    *,
    since: Annotated[str, typer.Option(help="Beginning: so long ago (24h, 7d), a date, or a date and time.")] = "7d",
    until: Annotated[str, typer.Option(help="End, likewise.")] = "now",
    by: Annotated[Literal["agent", "model", "day"], typer.Option(help="What a line is.")] = "agent",
    timezone: Annotated[str, typer.Option(help="Whose days and hours: Europe/Berlin, for example.")] = "UTC",
    form: Annotated[
        Literal["text", "json", "csv", "markdown"], typer.Option("--format", help="What is written.")
    ] = "text",
) -> None:
    """Report totals, trend, the most expensive agents, and the comparison with the time before.

    Exit status: 0 when something was reported, 1 when nothing happened, 2 when an option or the store is wrong.
    """
    from kaizen_otel.report.compiling import compile_report  # noqa: PLC0415 - when used
    from kaizen_otel.report.stretches import stretch  # noqa: PLC0415 - when used
    from kaizen_otel.top.gathering import service_of  # noqa: PLC0415 - when used
    from kaizen_processors.store import StoreError  # noqa: PLC0415 - when used

    zone = _zone(timezone)
    with open_store(store_named(which)) as reader:
        try:
            of = stretch(since, until, zone, reader.now_ns())
            found = compile_report(reader, service_of(reader), of, by, zone)
        except (ValueError, StoreError, sqlite3.Error) as error:
            fail(str(error))
    _write(found, form)
    if not found.totals.sums.executions and not found.totals.sums.model_calls:
        raise typer.Exit(_NOTHING_FOUND)


def _write(found: Report, form: str) -> None:
    from kaizen_otel.report import writing  # noqa: PLC0415 - when used
    from kaizen_processors.export.figures import glyphs_for  # noqa: PLC0415 - when used

    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    if form == "json":
        text = writing.as_json(found)
    elif form == "csv":
        text = writing.as_csv(found)
    elif form == "markdown":
        text = writing.as_markdown(found)
    else:
        text = writing.as_text(found, glyphs_for(encoding))
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding) + "\n")


def _zone(name: str) -> ZoneInfo:
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - when used

    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        fail(f"--timezone {name!r:.60} is unknown; allowed: an IANA name such as Europe/Berlin, UTC")
