"""Runs `kaizen-otel demo` in processes of its own, and reads the ledger's totals that it prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from tests.backends.processes import BackendError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_END_OF_TOTALS: Final = "end of totals"
_TIMEOUT_S: Final = 120.0
_SCRAPED_DEMO: Final = Path(__file__).with_name("scraped_demo.py")


@dataclass(frozen=True, slots=True)
class Calls:
    """What one agent's calls of one model came to."""

    model_calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal


@dataclass(frozen=True, slots=True)
class Totals:
    """The ledger's exact sums of one run of the demo.

    Attributes:
        traces: The ids of its traces, in the order of the tickets.
        calls: By agent and model.
        executions: How many, by agent, model and status; without zeros.
        missing: How many calls had no usage or price, by model and reason.
        delivered: Whether everything was exported that was to be.
    """

    traces: tuple[str, ...]
    calls: Mapping[tuple[str, str], Calls]
    executions: Mapping[tuple[str, str, str], int]
    missing: Mapping[tuple[str, str], int]
    delivered: bool


def run_demo(endpoint: str, service: str) -> Totals:
    """Run the demo as a user does, with an OTLP endpoint set.

    Raises:
        BackendError: It failed.
    """
    program = Path(sysconfig.get_path("scripts")) / "kaizen-otel"
    answer = subprocess.run(  # noqa: S603 -- our own command
        [str(program), "demo", "--offline", "--json"],
        env=_environment({"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_SERVICE_NAME": service}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=_TIMEOUT_S,
    )
    if answer.returncode != 0:
        raise BackendError(f"the demo ended with {answer.returncode}:\n{answer.stdout}\n{answer.stderr}")
    return _parse(answer.stdout)


@contextmanager
def scraped_demo(folder: Path, port: int) -> Iterator[Totals]:
    """Run the demo with its Prometheus endpoint on `port`, and keep its process there for the block.

    Raises:
        BackendError: It failed.
    """
    log = folder / "stderr"
    with (
        log.open("wb") as errors,
        subprocess.Popen(  # noqa: S603 -- a script of this folder
            [sys.executable, str(_SCRAPED_DEMO), _END_OF_TOTALS],
            env=_environment({"KAIZEN_OTEL_PROMETHEUS_PORT": str(port), "KAIZEN_OTEL_PROMETHEUS_HOST": "127.0.0.1"}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            printed, complete = _read_totals(process.stdout)
            if not complete:
                raise BackendError(f"the scraped demo ended early:\n{printed}\n{log.read_text(encoding='utf-8')}")
            yield _parse(printed)
            assert process.stdin is not None
            process.stdin.close()  # it waits for this
            process.wait(_TIMEOUT_S)
        finally:
            process.kill()


def _read_totals(output: IO[str]) -> tuple[str, bool]:
    lines: list[str] = []
    for line in output:
        if line.strip() == _END_OF_TOTALS:
            return "".join(lines), True
        lines.append(line)
    return "".join(lines), False


def _environment(variables: dict[str, str]) -> dict[str, str]:
    """This process's environment without anything that steers telemetry or chooses a model, and `variables`."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "KAIZEN_", "OPENAI_"))
    }
    return {**inherited, "KAIZEN_OTEL_ENVIRONMENT": "testing", **variables}


def _parse(printed: str) -> Totals:
    raw: dict[str, Any] = json.loads(printed)
    rows: list[dict[str, Any]] = raw["agents"]
    return Totals(
        traces=tuple(raw["traces"]),
        calls={
            (row["agent"], row["model"]): Calls(
                row["model_calls"], row["input_tokens"], row["output_tokens"], Decimal(row["cost_usd"])
            )
            for row in rows
            if row["model_calls"]
        },
        executions={
            (row["agent"], row["model"], status): count
            for row in rows
            for status, count in row["executions"].items()
            if count
        },
        missing={(entry["model"], entry["reason"]): entry["calls"] for entry in raw["missing"]},
        delivered=raw["export"]["delivered"],
    )
