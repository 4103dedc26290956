"""`docstrings.md` against the docstrings of the installed packages, and against the programs."""

from __future__ import annotations

import ast
import importlib.util
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.differential.docstrings import DocstringExample, docstring_examples
from tests.differential.test_same_with_and_without_us import PROGRAMS
from tests.versions.capabilities import LANES, installed

HERE: Final = Path(__file__).parent
PAGE: Final = HERE / "docstrings.md"

pytestmark = pytest.mark.skipif(installed() != LANES[0].release, reason="the page is about the newest Kaizen")


class Row(NamedTuple):
    """One line of the page."""

    patterns: tuple[str, ...]
    programs: tuple[str, ...]
    reason: str

    def names(self, example: DocstringExample) -> bool:
        return any(fnmatchcase(example.where, pattern) for pattern in self.patterns)


def rows() -> list[Row]:
    found: list[Row] = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("| `"):
            where, programs, reason = (cell.strip() for cell in line[1:-1].split("|"))
            patterns, named = (tuple(re.findall(r"`([^`]+)`", cell)) for cell in (where, programs))
            found.append(Row(patterns, named, reason))
    return found


EXAMPLES: Final = docstring_examples()


def test_each_example_that_runs_something_has_a_row() -> None:
    known = rows()
    assert len(EXAMPLES) > 200
    assert [example.where for example in EXAMPLES if not any(row.names(example) for row in known)] == []


def test_each_row_is_the_first_of_some_example() -> None:
    known = rows()
    first = {next(number for number, row in enumerate(known) if row.names(example)) for example in EXAMPLES}
    assert [row.patterns for number, row in enumerate(known) if number not in first] == []
    for row in known:
        for pattern in row.patterns:
            assert any(fnmatchcase(example.where, pattern) for example in EXAMPLES), pattern


def test_each_row_names_programs_that_there_are_or_says_why_there_are_none() -> None:
    for row in rows():
        assert row.programs or len(row.reason.split()) > 2, row
        assert set(row.programs) <= set(PROGRAMS), row
        for path in re.findall(r"`(tests/[^`]+)`", row.reason):
            assert (HERE.parents[1] / path).exists(), path


def test_what_is_said_to_be_missing_is_missing() -> None:
    for module in ("sentence_transformers", "dataflow", "nexus", "whisper", "faster_whisper"):
        assert importlib.util.find_spec(module) is None, module


def test_every_program_that_was_written_for_a_docstring_is_on_the_page() -> None:
    named = {program for row in rows() for program in row.programs}
    for file in ("adapters", "parts", "patterns", "specialists"):
        written = ast.parse((HERE / "programs" / f"{file}.py").read_text(encoding="utf-8")).body
        functions = [node for node in written if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        assert {f"{file}.{one.name}" for one in functions if not one.name.startswith("_")} <= named
