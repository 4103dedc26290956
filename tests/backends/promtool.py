"""Runs promtool, as built from the committed Go module."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Answer:
    """What it said, and whether it was content."""

    content: bool
    text: str


@dataclass(frozen=True, slots=True)
class Promtool:
    """The program."""

    binary: Path

    def check_rules(self, rules: Path) -> Answer:
        """Whether the rules can be read."""
        return self._run("check", "rules", str(rules))

    def test_rules(self, tests: Path) -> Answer:
        """Whether the tests pass."""
        return self._run("test", "rules", str(tests))

    def backfill(self, openmetrics: Path, blocks: Path) -> Answer:
        """Make blocks of Prometheus' database of a file of samples."""
        return self._run("tsdb", "create-blocks-from", "openmetrics", str(openmetrics), str(blocks))

    def _run(self, *arguments: str) -> Answer:
        done = subprocess.run(  # noqa: S603 - a program that this session has built
            [str(self.binary), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Answer(done.returncode == 0, done.stdout + done.stderr)


def input_series(series: dict[str, list[float | None]]) -> list[dict[str, str]]:
    """Series as promtool's tests take them: one value for each scrape, `_` where there is none."""
    return [
        {"series": name, "values": " ".join("_" if value is None else repr(value) for value in values)}
        for name, values in series.items()
    ]


def write_yaml(path: Path, document: Any) -> Path:
    """Write a document, and return where."""
    path.write_text(yaml.safe_dump(document, sort_keys=False, width=10**9), encoding="utf-8")
    return path


def openmetrics(series: dict[str, list[float | None]], start_s: float, step_s: float) -> Iterable[str]:
    """Series as a file of samples with times."""
    for name, values in sorted(series.items()):
        for step, value in enumerate(values):
            if value is not None:
                yield f"{name} {value!r} {start_s + step * step_s:.3f}\n"
    yield "# EOF\n"
