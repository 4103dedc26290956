"""docs/faults.md names a test for each fault, and each of these exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.faults.support import ROOT

PAGE = ROOT / "docs" / "faults.md"
OWNERS = {"owned", "app's", "both"}
HERE = Path(__file__).parent
HEADER = "| fault | what we promise | whose path | test |"


def rows() -> list[list[str]]:
    """The cells of each row of the page's tables."""
    lines = PAGE.read_text("utf-8").splitlines()
    found: list[list[str]] = []
    inside = False
    for line in lines:
        inside = line == HEADER or (inside and line.startswith("|"))
        if inside and line != HEADER and not line.startswith("|---"):
            found.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return found


@cache
def functions_of(file: str) -> frozenset[str]:
    """The names of the tests in a file."""
    tree = ast.parse((ROOT / "tests" / file).read_text("utf-8"))
    return frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    )


def named(cell: str) -> list[tuple[str, str]]:
    """The tests that a cell names, as file and function."""
    return re.findall(r"`([\w/]+\.py)::(test_\w+)`", cell)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_each_fault_has_a_promise_an_owner_and_a_test_that_exists(row: list[str]) -> None:
    assert len(row) == 4
    _, promise, owner, tests = row
    assert promise
    assert owner in OWNERS
    assert named(tests)
    for file, test in named(tests):
        assert test in functions_of(file), f"{file} has no {test}"


def test_each_test_of_this_lane_stands_in_the_table() -> None:
    known = {pair for row in rows() for pair in named(row[3])}
    here = {
        (f"faults/{file.name}", test)
        for file in HERE.glob("test_*.py")
        if file != Path(__file__)
        for test in functions_of(f"faults/{file.name}")
    }
    assert here <= known, sorted(here - known)
