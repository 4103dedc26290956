"""`kaizen-otel rules [FILE]`: the rules of a file as rules and unit tests for Prometheus."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations when the command is called
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kaizen_processors.alerts.promql.rule_groups import PrometheusRules
    from kaizen_processors.alerts.rules import Rule

_CANNOT_BE_SAID = 1
_BAD_INPUT = 2


def rules(  # noqa: PLR0913 - each argument is an option
    file: Annotated[
        Path | None, typer.Argument(help="YAML file of rules; without one, the built-in rules.", show_default=False)
    ] = None,
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the rules here; without it, print them.")
    ] = None,
    tests: Annotated[
        Path | None, typer.Option("--tests", help="Write unit tests for promtool here; needs --output.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option("--preset", help="Built-in rules: default or production.", metavar="NAME")
    ] = None,
    constant: Annotated[
        list[str] | None,
        typer.Option("--constant", help="A number that conditions may name: budget_limit=100.", metavar="NAME=NUMBER"),
    ] = None,
    interval: Annotated[
        str | None, typer.Option("--interval", help="How often Prometheus judges them, e.g. 30s.", metavar="DURATION")
    ] = None,
    selector: Annotated[
        str, typer.Option("--selector", help="What every series must have besides: 'job=\"desk\"'.", metavar="MATCHER")
    ] = "",
) -> None:
    """Write rules for Prometheus, and unit tests for promtool.

    Exit status: 0 when they were written, 1 when a rule cannot be said in PromQL, 2 when the input is wrong.
    """
    from kaizen_processors.alerts.promql.rule_groups import UntranslatableError, prometheus_rules  # noqa: PLC0415 - YAML

    if tests is not None and output is None:
        _fail("--tests needs --output: the tests name the file of the rules", _BAD_INPUT)
    found, origin = _rules(file, preset, _constants(constant or []))
    try:
        written = prometheus_rules(found, interval_s=_seconds(interval), selector=_matcher(selector))
    except UntranslatableError as error:
        _fail(str(error), _CANNOT_BE_SAID)
    _write(written, found, origin, (output, tests))


def _write(
    written: PrometheusRules, found: Sequence[Rule], origin: str, files: tuple[Path | None, Path | None]
) -> None:
    from kaizen_processors.alerts.promql.unit_tests import promtool_tests, unit_tests_to_yaml  # noqa: PLC0415 - as above

    output, tests = files
    for warning in written.warnings:
        typer.echo(f"warning: {warning}", err=True)
    if output is None:
        typer.echo(written.to_yaml(origin), nl=False)
        return
    _save(output, written.to_yaml(origin))
    if tests is not None:
        document, untested = promtool_tests(found, _seen_from(tests, output))
        for one in untested:
            typer.echo(f"warning: {one}", err=True)
        _save(tests, unit_tests_to_yaml(document, origin))


def _rules(file: Path | None, preset: str | None, constants: dict[str, float]) -> tuple[Sequence[Rule], str]:
    from kaizen_processors.alerts.rule_file import read_rules  # noqa: PLC0415 - YAML is loaded when used
    from kaizen_processors.alerts.rules import DEFAULT_RULES, RuleError, production_rules  # noqa: PLC0415 - same

    if file is not None:
        if preset is not None:
            _fail("give a file or --preset, not both", _BAD_INPUT)
        try:
            found = read_rules(file, constants=constants)
        except RuleError as error:
            _fail(str(error), _BAD_INPUT)
        if found.budgets:
            names = ", ".join(budget.name for budget in found.budgets)
            typer.echo(f"warning: budgets are counted in the process, not in Prometheus: {names}", err=True)
        return found.rules, file.name
    if preset in {None, "default"}:
        return DEFAULT_RULES, "the built-in rules"
    if preset != "production":
        _fail(f"--preset cannot be {preset!r}; allowed: default, production", _BAD_INPUT)
    if "budget_limit" not in constants:
        _fail("--preset production needs --constant budget_limit=DOLLARS", _BAD_INPUT)
    return production_rules(constants["budget_limit"]), "the production rules"


def _constants(given: Sequence[str]) -> dict[str, float]:
    from kaizen_processors.alerts.parsing import checked_constants  # noqa: PLC0415 - loaded when used

    found: dict[str, float] = {}
    for one in given:
        name, _, text = one.partition("=")
        try:
            number = float(text)
        except ValueError:
            _fail(f"--constant cannot be {one!r}; allowed: NAME=NUMBER, such as budget_limit=100", _BAD_INPUT)
        try:
            found |= checked_constants({name.strip(): number})
        except ValueError as error:
            _fail(f"--constant {one!r}: {error}", _BAD_INPUT)
    return found


def _seconds(interval: str | None) -> float | None:
    from kaizen_processors.alerts.durations import parse_duration  # noqa: PLC0415 - loaded when used

    if interval is None:
        return None
    seconds = parse_duration(interval)
    if not seconds:
        _fail(f"--interval cannot be {interval!r}; allowed: a duration such as 15s or 1m", _BAD_INPUT)
    return seconds


def _matcher(selector: str) -> str:
    from kaizen_processors.alerts.silences import Matcher, SilenceError  # noqa: PLC0415 - loaded when used

    try:
        return str(Matcher.parse(selector)) if selector else ""
    except SilenceError as error:
        _fail(f"--selector: {error}", _BAD_INPUT)


def _seen_from(tests: Path, output: Path) -> str:
    """The file of the rules as promtool finds it: it looks beside the file of the tests."""
    return output.name if tests.resolve().parent == output.resolve().parent else str(output.resolve())


def _save(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        _fail(f"{path}: {error.strerror or error}", _BAD_INPUT)


def _fail(message: str, status: int) -> NoReturn:
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(status)
