"""`kaizen-otel doctor`: what is set, whether it works, and how to mend what does not."""

from __future__ import annotations

import json
import logging
import os
import sys
import textwrap
from contextlib import contextmanager
from pathlib import Path  # noqa: TC003 - typer reads the annotations when the command is called
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kaizen_otel.doctor.findings import Finding, Report

_UNWELL = 1
_BAD_INPUT = 2
_LONGEST_LINE: Final = 100
_COLORS: Final = {"ok": "green", "info": "cyan", "warning": "yellow", "error": "red"}
_MARKS: Final = {"ok": "✓", "info": "·", "warning": "!", "error": "✗"}
_ASCII_MARKS: Final = {"ok": "+", "info": "-", "warning": "!", "error": "x"}


def doctor(
    *,
    file: Annotated[
        Path | None,
        typer.Option("--file", help="File of settings, instead of the one in KAIZEN_OTEL_CONFIG.", metavar="FILE"),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as errors.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check variables, settings, versions, outputs, and whether a test span and a test log record arrive.

    It sends one span and one log record, both called “kaizen-otel doctor”, where OTLP is set.

    Exit status: 0 when nothing is wrong, 1 when something is (with --strict: or may be), 2 when FILE cannot be read.
    """
    if file is not None:
        _check_readable(file)
    from kaizen_otel.doctor.examination import examine  # noqa: PLC0415 - the SDK: 90 ms
    from kaizen_otel.doctor.findings import Level  # noqa: PLC0415 - same

    with _quiet():
        report = examine(os.environ, file)
    errors, warnings = report.count(Level.ERROR), report.count(Level.WARNING)
    if as_json:
        typer.echo(json.dumps(_as_json(report), ensure_ascii=False, indent=2))
    else:
        _print(report, errors, warnings)
    if errors or (strict and warnings):
        raise typer.Exit(_UNWELL)


def _check_readable(file: Path) -> None:
    """End the command where there is no table of settings to look at; what is wrong within one is a finding."""
    from kaizen_otel.settings import SettingsError  # noqa: PLC0415 - loaded when used
    from kaizen_otel.settings.errors import Refusals  # noqa: PLC0415 - same
    from kaizen_otel.settings.files import read_file  # noqa: PLC0415 - same

    try:
        read_file(file.expanduser(), where="--file", refusals=Refusals())
    except SettingsError as refused:
        typer.echo(f"error: {refused}", err=True)
        raise typer.Exit(_BAD_INPUT) from refused


@contextmanager
def _quiet() -> Iterator[None]:
    """What libraries log of a wrong variable is among the findings."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def _as_json(report: Report) -> dict[str, Any]:
    from kaizen_otel._version import __version__  # noqa: PLC0415 - loaded by now
    from kaizen_otel.doctor.findings import Level  # noqa: PLC0415 - same

    return {
        "version": __version__,
        "errors": report.count(Level.ERROR),
        "warnings": report.count(Level.WARNING),
        "sections": [
            {
                "title": section.title,
                "findings": [
                    {
                        "check": found.check,
                        "level": found.level.value,
                        "message": found.message,
                        "remedy": found.remedy,
                        "facts": found.facts,
                    }
                    for found in section.findings
                ],
            }
            for section in report.sections
        ],
        "settings": {name: {"value": value, "source": source} for name, value, source in report.settings},
    }


def _print(report: Report, errors: int, warnings: int) -> None:
    from kaizen_processors.export.console import terminal_width, wants_color  # noqa: PLC0415 - loaded for people only

    width = min(terminal_width(sys.stdout), _LONGEST_LINE)
    color = wants_color(sys.stdout)
    for section in report.sections:
        _say(typer.style(section.title, bold=True) if color else section.title)
        for found, remedy in _with_remedies(section.findings):
            for line in _lines(found, remedy, width, color=color):
                _say(line)
        _say("")
    _say(_verdict(errors, warnings))


def _with_remedies(findings: Sequence[Finding]) -> Iterator[tuple[Finding, str]]:
    """Each finding with what to do about it; about several in a row that is said once, below the last of them."""
    following_ones = [*(found.remedy for found in findings[1:]), ""][: len(findings)]
    for found, following in zip(findings, following_ones, strict=True):
        yield found, "" if found.remedy == following else found.remedy


def _lines(found: Finding, remedy: str, width: int, *, color: bool) -> Iterator[str]:
    marks = _MARKS if _can_write("".join(_MARKS.values())) else _ASCII_MARKS
    mark = marks[found.level.value]
    shown = typer.style(mark, fg=_COLORS[found.level.value], bold=True) if color else mark
    first, *rest = textwrap.wrap(found.message, width - 4, break_on_hyphens=False, break_long_words=False) or [""]
    yield f"  {shown} {first}"
    yield from (f"    {line}" for line in rest)
    if remedy:
        yield from textwrap.wrap(
            remedy,
            width,
            initial_indent="      ",
            subsequent_indent="      ",
            break_on_hyphens=False,
            break_long_words=False,
        )


def _verdict(errors: int, warnings: int) -> str:
    if not (errors or warnings):
        return "All is well."
    parts = [
        f"{count} {word}{'' if count == 1 else 's'}"
        for count, word in ((errors, "error"), (warnings, "warning"))
        if count
    ]
    return f"{', '.join(parts)}. What to do stands below each."


def _say(line: str) -> None:
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    typer.echo(line.encode(encoding, "replace").decode(encoding))


def _can_write(text: str) -> bool:
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
