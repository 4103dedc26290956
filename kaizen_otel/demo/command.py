"""`kaizen-otel demo`: run the support desk and show what kaizen-otel makes of it."""

from __future__ import annotations

import importlib.util
import json
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Final, TextIO

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kaizen_otel.demo.run import DemoRun, Export
    from kaizen_processors.trace_tree import Trace

_NO_KAIZEN: Final = 2
_NOT_DELIVERED: Final = 1
_MIN_WIDTH: Final = 60


def demo(
    *,
    offline: Annotated[
        bool, typer.Option("--offline", help="Use the local model server even when OPENAI_API_KEY is set.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object with the exact totals instead.")
    ] = False,
    width: Annotated[
        int | None, typer.Option("--width", min=_MIN_WIDTH, help="Columns of the trees; by default the terminal's.")
    ] = None,
) -> None:
    """Run a support desk of real Kaizen agents and show their traces, tokens, cost and quality.

    Without OPENAI_API_KEY the demo starts a model server of its own: no key, no network. With it the provider answers;
    KAIZEN_DEMO_MODEL chooses the model. Where OTEL_EXPORTER_OTLP_ENDPOINT is set, everything is exported there too.

    Exit status: 0, 1 when an export was asked for and did not arrive, 2 without Kaizen.
    """
    if importlib.util.find_spec("kaizen") is None or importlib.util.find_spec("kailash") is None:
        typer.echo("error: the demo runs real Kaizen agents: pip install 'kaizen-otel[kaizen]'", err=True)
        raise typer.Exit(_NO_KAIZEN)
    from kaizen_otel.demo.run import run_demo  # noqa: PLC0415 - the SDK and rich are loaded when the demo runs

    if as_json:
        run = run_demo(_Nobody(), offline=offline)
        typer.echo(json.dumps(totals_of_run(run), indent=2))
    else:
        screen = _Screen(sys.stdout, width)
        run = run_demo(screen, offline=offline)
        screen.end(run)
    if run.export.endpoint is not None and not run.export.delivered:
        raise typer.Exit(_NOT_DELIVERED)


class _Nobody:
    """Watches without a word."""

    def begin(self, *, local: bool) -> None:
        """See `Audience`."""

    def question(self, asker: str, text: str) -> None:
        """See `Audience`."""

    def text(self, piece: str) -> None:
        """See `Audience`."""

    def answered(self, traces: Sequence[Trace]) -> None:
        """See `Audience`."""


class _Screen:
    """Shows each question, the answer as it is written, and the trace; at the end the table by agent."""

    def __init__(self, file: TextIO, width: int | None) -> None:
        from kaizen_processors.export.console import terminal_width, wants_color  # noqa: PLC0415 - loaded when used
        from kaizen_processors.export.figures import glyphs_for  # noqa: PLC0415 - same
        from kaizen_processors.export.tree_view import TreeView  # noqa: PLC0415 - rich

        self._file = file
        self._color = wants_color(file)
        self._encoding = getattr(file, "encoding", None) or "utf-8"
        self._view = TreeView(width or terminal_width(file), glyphs_for(self._encoding))

    def begin(self, *, local: bool) -> None:
        """See `Audience`."""
        if local:
            self._write(
                "A support desk of real Kaizen agents, answered by the demo's own model server: no key, no network.\n"
                "On purpose one call is refused with 429 and made again, one fails with 500, one answer is cut off.\n"
            )
        else:
            self._write("A support desk of real Kaizen agents, answered by OpenAI.\n")

    def question(self, asker: str, text: str) -> None:
        """See `Audience`."""
        self._write(f"\n{self._bold(asker.rjust(5))}  {text}\n{self._bold(' desk')}  ")

    def text(self, piece: str) -> None:
        """See `Audience`."""
        self._write(piece)

    def answered(self, traces: Sequence[Trace]) -> None:
        """See `Audience`."""
        from kaizen_processors.export.tree_view import render  # noqa: PLC0415 - loaded by now

        self._write("\n")
        for trace in traces:
            self._write("\n" + render(self._view.trace(trace), color=self._color))
        if not traces:
            self._write("\nNo span was recorded: is OTEL_SDK_DISABLED set, or a sampler that drops them?\n")

    def end(self, run: DemoRun) -> None:
        """The table, and where the telemetry went."""
        from kaizen_processors.export.report import print_report  # noqa: PLC0415 - loaded by now

        if run.traces:
            self._write("\n")
        print_report(run.traces, self._file, width=self._view.width, color=self._color, trees=False)
        self._write("\n" + _told(run.export) + "\n")

    def _bold(self, text: str) -> str:
        return f"\x1b[1m{text}\x1b[0m" if self._color else text

    def _write(self, text: str) -> None:
        self._file.write(text.encode(self._encoding, "replace").decode(self._encoding))
        self._file.flush()


def _told(export: Export) -> str:
    if export.endpoint is None:
        return "Exported nowhere: set OTEL_EXPORTER_OTLP_ENDPOINT to send the same to a collector."
    if export.delivered:
        return f"Exported to {export.endpoint}: delivered."
    return f"Exported to {export.endpoint}: NOT delivered. Does a collector listen there? ({export.trouble})"


def totals_of_run(run: DemoRun) -> dict[str, Any]:
    """The exact sums of a run by agent and model, money as a string of US dollars, and the ids of its traces."""
    calls, executions = run.stats.get("calls", {}), run.stats.get("executions", {})
    pairs = sorted({*calls, *((agent, model) for agent, model, _ in executions)})
    rows = [_row(pair, calls.get(pair), executions) for pair in pairs]
    return {
        "models": "local" if run.local else "provider",
        "traces": [trace.trace_id for trace in run.traces],
        "agents": rows,
        "total": {
            "executions": sum(executions.values()),
            "model_calls": sum(row["model_calls"] for row in rows),
            "input_tokens": sum(row["input_tokens"] for row in rows),
            "output_tokens": sum(row["output_tokens"] for row in rows),
            "cost_usd": _dollars(sum((sums["cost"] for sums in calls.values()), Decimal(0))),
        },
        "missing": [
            {"model": model, "reason": reason, "calls": count}
            for (model, reason), count in sorted(run.stats.get("missing", {}).items())
        ],
        "export": {"endpoint": run.export.endpoint, "delivered": run.export.delivered, "trouble": run.export.trouble},
    }


def _row(pair: tuple[str, str], sums: Any, executions: Any) -> dict[str, Any]:
    return {
        "agent": pair[0],
        "model": pair[1],
        "executions": {status: executions.get((*pair, status), 0) for status in ("success", "error", "cancelled")},
        "model_calls": sums["model_calls"] if sums else 0,
        "input_tokens": sums["input_tokens"] if sums else 0,
        "output_tokens": sums["output_tokens"] if sums else 0,
        "cost_usd": _dollars(sums["cost"]) if sums else "0",
    }


def _dollars(amount: Decimal) -> str:
    return f"{amount.normalize():f}"
