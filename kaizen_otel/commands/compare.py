"""`kaizen-otel compare BEFORE AFTER`: whether a run is worse than an earlier one."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path  # noqa: TC003 - typer reads the annotations when the command is called
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from kaizen_processors.money import UNITS_PER_USD, format_usd

if TYPE_CHECKING:
    from kaizen_processors.baselines import Baseline, Comparison, Limits

_WORSE = 1
_BAD_INPUT = 2

_SHOWN = {
    "regression": "bold red",
    "improvement": "green",
    "too few samples": "yellow",
    "only before": "yellow",
    "only after": "yellow",
}


def compare_runs(  # noqa: PLR0913 - an argument for each option of the command
    before: Annotated[Path, typer.Argument(help="The earlier run.", metavar="BEFORE")],
    after: Annotated[Path, typer.Argument(help="The later run.", metavar="AFTER")],
    *,
    samples: Annotated[int, typer.Option(help="Fewest samples of a metric on each side.")] = 10,
    alpha: Annotated[float, typer.Option(help="Highest probability of a false alarm, over all metrics.")] = 0.01,
    effect: Annotated[float, typer.Option(help="Least Cliff's delta that is a change, 0 to 1.")] = 0.2,
    shift: Annotated[float, typer.Option(help="Least change of the median that is one, as a part of it.")] = 0.05,
    points: Annotated[float, typer.Option(help="Least change of a share of errors that is one, 0 to 1.")] = 0.05,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list instead of a table.")] = False,
) -> None:
    """Compare two runs: files of PerformanceMonitor.save(), or OTLP-JSON files of spans.

    Of spans, each agent's errors, durations, tokens, cost and quality are compared.

    Exit status: 0 when nothing is worse, 1 when something is, 2 when there is nothing to compare, a file cannot be read
    or an option is not allowed.
    """
    from kaizen_processors.baselines import Limits, Verdict, compare  # noqa: PLC0415 - when used

    try:
        limits = Limits(samples, alpha, effect, shift, points)
        found = compare(_measured(before), _measured(after), limits)
    except ValueError as error:
        _fail(str(error))
    except ModuleNotFoundError as error:
        _fail(f'{error.name} is missing: pip install "kaizen-otel[stats]"')
    if as_json:
        typer.echo(json.dumps([{**asdict(one), "shift": one.shift} for one in found], allow_nan=False))
    else:
        _print(found, limits)
    if any(one.verdict is Verdict.REGRESSION for one in found):
        raise typer.Exit(_WORSE)


def _measured(path: Path) -> Baseline:
    """A run with a sample at least: one that crashed before its first execution ended must not pass."""
    run = _load(path)
    if not any(metric.samples for metric in run.metrics.values()):
        raise ValueError(f"{path}: nothing to compare: no execution ended in this run, and nothing was measured")
    return run


def _load(path: Path) -> Baseline:
    from kaizen_processors.baselines import Baseline  # noqa: PLC0415 - when used
    from kaizen_processors.baselines.runs import from_spans  # noqa: PLC0415 - when used
    from kaizen_processors.export.otlp_file import OtlpFileError  # noqa: PLC0415 - the SDK: 90 ms

    try:
        if _is_baseline(path):
            return Baseline.load(path)
        return from_spans(path)
    except OtlpFileError as error:
        raise ValueError(f"{error}; nor is it a baseline") from error
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}") from error


def _is_baseline(path: Path) -> bool:
    from kaizen_processors.baselines.samples import is_baseline  # noqa: PLC0415 - when used

    try:
        return is_baseline(json.loads(path.read_text(encoding="utf-8")))
    except ValueError:
        return False  # several lines: a file of spans


def _print(found: list[Comparison], limits: Limits) -> None:
    from rich.console import Console  # noqa: PLC0415 - loaded for tables only
    from rich.table import Table  # noqa: PLC0415 - same

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("metric", overflow="fold")
    for name in ("n", "before", "after", "change", "p"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    for one in found:
        table.add_row(
            one.name,
            f"{one.count_before}, {one.count_after}",
            _amount(one.before, one.unit),
            _amount(one.after, one.unit),
            "-" if one.shift is None else f"{one.shift:+.1%}",
            "-" if one.p_value is None else f"{one.p_value:.2g}",
            f"[{_SHOWN.get(one.verdict, 'dim')}]{one.verdict}[/]",
        )
    console = Console(file=sys.stdout, highlight=False)
    with console.capture() as captured:  # it fills the last column with spaces
        console.print(table)
        console.print(
            f"medians, and shares of errors; a change: p below {limits.alpha:g} over all, Cliff's delta from"
            f" {limits.effect:g} and the median by {limits.shift:.0%}, or the share by {limits.points:.0%}",
            style="dim",
        )
    sys.stdout.writelines(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def _amount(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    if unit == "%":
        return f"{value:.1%}"
    if unit == "USD":
        return format_usd(round(Fraction(value) * UNITS_PER_USD))
    shown = f"{value:,.4g}" if abs(value) < 10_000 else f"{value:,.0f}"  # noqa: PLR2004 - four digits, or whole numbers
    return shown if unit.startswith("{") or unit == "1" else f"{shown} {unit}"


def _fail(message: str) -> NoReturn:
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(_BAD_INPUT)
