"""`kaizen-otel …`: the command line.

A command is one line in `COMMANDS`: where its function is, and what the overview says of it. Its module is imported
when it is called, so that `kaizen-otel --help` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperGroup
from typer.main import get_command

from kaizen_otel._version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

COMMANDS: Final = {
    "compare": ("kaizen_otel.commands.compare:compare_runs", "Say whether a run is worse than an earlier one."),
    "demo": ("kaizen_otel.demo.command:demo", "Run a support desk of real Kaizen agents and show their traces."),
    "doctor": ("kaizen_otel.commands.doctor:doctor", "Check settings, versions, and whether telemetry arrives."),
    "rules": ("kaizen_otel.commands.rules:rules", "Write rules and their unit tests for Prometheus."),
    "report": ("kaizen_otel.commands.report:report", "Report what an application did and cost, from its store."),
    "top": ("kaizen_otel.commands.top:top", "Watch a running application from its store."),
    "open": ("kaizen_otel.commands.open_file:open_file", "Show trees and totals of an OTLP-JSON file."),
}


class _LazyGroup(TyperGroup):
    """A group whose commands are those of the table."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - click's signature
        if cmd_name not in COMMANDS:
            return None
        where, _ = COMMANDS[cmd_name]
        module, _, name = where.partition(":")
        function: Callable[..., Any] = getattr(importlib.import_module(module), name)
        single = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
        single.command(cmd_name)(function)
        return get_command(single)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - click's signature
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in sorted(COMMANDS.items())])


app = typer.Typer(
    name="kaizen-otel",
    cls=_LazyGroup,
    help="OpenTelemetry traces, metrics, cost and quality for Kaizen agents.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"kaizen-otel {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """OpenTelemetry traces, metrics, cost and quality for Kaizen agents."""


def main() -> None:
    """Run the command line; the entry point of the `kaizen-otel` script."""
    app()
