"""`examples.md` against the READMEs that the installed packages bring, and against the programs."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.differential.examples import Example, examples
from tests.differential.test_same_with_and_without_us import PROGRAMS
from tests.versions.capabilities import LANES, installed

HERE: Final = Path(__file__).parent
PAGE: Final = HERE / "examples.md"

pytestmark = pytest.mark.skipif(installed() != LANES[0].release, reason="the page is about the newest Kaizen's README")


class Row(NamedTuple):
    """One line of the page."""

    package: str
    block: str
    programs: tuple[str, ...]
    reason: str


def rows() -> list[Row]:
    found: list[Row] = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith(("| kailash-kaizen", "| kaizen-agents")):
            package, block, programs, reason = (cell.strip() for cell in line[1:-1].split("|"))
            found.append(Row(package, block, tuple(re.findall(r"`([^`]+)`", programs)), reason))
    return found


def key(example: Example) -> tuple[str, str]:
    return example.package, f"{example.heading}, {example.number}"


def test_each_example_has_a_row_in_the_order_of_the_readmes() -> None:
    assert len(examples()) > 20
    assert [(row.package, row.block) for row in rows()] == [key(example) for example in examples()]


def test_each_row_names_programs_that_there_are_or_says_why_there_are_none() -> None:
    for row in rows():
        assert row.programs or len(row.reason.split()) > 2, row
        assert set(row.programs) <= set(PROGRAMS), row


def test_what_is_said_to_be_missing_is_missing() -> None:
    for module in ("kaizen.strategies.base", "kaizen.agents.specialized", "dataflow", "nexus"):
        assert importlib.util.find_spec(module) is None, module


def test_every_program_of_the_readmes_is_on_the_page() -> None:
    written = ast.parse((HERE / "programs" / "readme.py").read_text(encoding="utf-8")).body
    functions = [node for node in written if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    named = {program for row in rows() for program in row.programs}
    assert {f"readme.{one.name}" for one in functions if not one.name.startswith("_")} <= named
