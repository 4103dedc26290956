"""Programs that use Kaizen's public API do the same with everything watched as without us: to the last word."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

HERE: Final = Path(__file__).parent
RUN: Final = HERE / "run.py"
MODES: Final = ("unwatched", "watched")
OURS: Final = ("spans", "failures")
TIMEOUT_S: Final = 300

PROGRAMS: Final = [
    f"{path.stem}.{node.name}"
    for path in sorted((HERE / "programs").glob("*.py"))
    for node in ast.parse(path.read_text(encoding="utf-8")).body
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_")
]

Done = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Done]:
    """What each program did, by mode; a process for each mode."""
    folder = tmp_path_factory.mktemp("differential")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "KAIZEN_", "KAILASH_"))}
    return {mode: _run(mode, folder, {**kept, "HOME": str(folder)}) for mode in MODES}


def _run(mode: str, folder: Path, environment: Mapping[str, str]) -> Done:
    output = folder / f"{mode}.json"
    answer = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, str(RUN), mode, str(output)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr[-4_000:]
    found: Done = json.loads(output.read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_does_the_same(program: str, done: Mapping[str, Done]) -> None:
    unwatched, watched = (done[mode][program] for mode in MODES)
    assert {key: value for key, value in watched.items() if key not in OURS} == unwatched
    assert watched["failures"] == {}


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_call_of_a_model_was_seen(program: str, done: Mapping[str, Done]) -> None:
    watched = done["watched"][program]
    calls = [name for name in watched["spans"] if name.startswith(("chat ", "embeddings "))]
    # One that was refused or cancelled before it was sent has a span, too.
    assert len(calls) >= len(watched["asked"])


def test_there_are_enough_programs_and_most_of_them_succeed(done: Mapping[str, Done]) -> None:
    succeeded = [name for name, what in done["unwatched"].items() if "returned" in what]
    assert len(PROGRAMS) >= 60
    assert len(succeeded) >= 50
    assert done["unwatched"].keys() == set(PROGRAMS)
