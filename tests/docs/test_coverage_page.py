"""docs/coverage.md against the code: what Kaizen can run, what we patch, and the tests that show it."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from kaizen_otel.patches.table import PATCHER, SURFACES
from tests.docs import coverage
from tests.docs.pages import ROOT
from tests.versions.capabilities import absent_modules

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kaizen_otel.testing import Captured

PAGE = ROOT / "docs" / "coverage.md"
COLUMNS = "| where | traced | tokens | cost | error | context | shown by, or why not |"
PACKAGES = ("kaizen", "kaizen_agents")
WORDS = frozenset({"yes", "no", "below", "n/a"})

RUNS = frozenset(
    {
        *("run", "run_async", "run_sync", "run_stream", "run_turn", "run_plan", "run_print", "run_interactive"),
        *("execute", "execute_async", "execute_workflow", "execute_pipeline", "execute_with_handoff", "execute_cot"),
        *("execute_react", "execute_multi_round", "stream", "stream_chat", "complete", "embed", "chat", "debate"),
        *("recall", "build_context", "find_similar", "read_relevant", "write_insight", "load_turns", "detect_faqs"),
        *("search", "load_context", "save_turn", "communicate_with", "call_tool"),
    }
)
"""Names of the public methods by which something is run, asked or looked up."""


class Row(NamedTuple):
    """One line of the page."""

    patterns: tuple[str, ...]
    traced: str
    cells: tuple[str, ...]
    reason: str

    def covers(self, method: str) -> bool:
        return any(fnmatchcase(method, pattern) for pattern in self.patterns)


def rows() -> list[Row]:
    found: list[Row] = []
    text = PAGE.read_text(encoding="utf-8")
    for table in re.findall(rf"^{re.escape(COLUMNS)}\n\|[-| ]+\n((?:\|.*\n)+)", text, re.MULTILINE):
        for line in table.splitlines():
            where, traced, *cells, reason = (cell.strip() for cell in line[1:-1].split("|"))
            found.append(Row(tuple(re.findall(r"`([^`]+)`", where)), traced, tuple(cells), reason))
    return found


ROWS = rows()


def public_methods() -> Iterator[str]:
    """`module:Class.method` of everything that runs something, read and not imported: some modules need more."""
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        root = Path(spec.origin).parent
        for path in sorted(root.rglob("*.py")):
            module = ".".join([package, *path.relative_to(root).with_suffix("").parts]).removesuffix(".__init__")
            if any(part.startswith("_") for part in module.split(".")):
                continue
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    yield from (
                        f"{module}:{node.name}.{method.name}"
                        for method in node.body
                        if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef) and method.name in RUNS
                    )


def test_every_public_method_that_runs_something_has_a_row() -> None:
    methods = set(public_methods())
    assert len(methods) > 200
    assert sorted(method for method in methods if not any(row.covers(method) for row in ROWS)) == []


@pytest.mark.kaizen_otel(stream_usage=True)
def test_everything_that_is_patched_has_a_row_and_what_is_not_traced_is_not_patched(kaizen_telemetry: Captured) -> None:
    from kailash.nodes.base import Node

    del kaizen_telemetry
    for module in {surface.module for surface in SURFACES} - absent_modules():
        importlib.import_module(module)
    patched = {
        f"{owner.__module__}:{owner.__name__}.{name}" if isinstance(owner, type) else f"{owner.__name__}:{name}"
        for owner, name in PATCHER.patched()
        if not (isinstance(owner, type) and issubclass(owner, Node) and owner is not Node)
    }
    assert sorted(one for one in patched if not any(row.covers(one) for row in ROWS)) == []
    first = {one: next(row for row in ROWS if row.covers(one)) for one in patched}
    assert sorted(one for one, row in first.items() if row.traced == "no") == []


def test_each_row_says_what_shows_it_or_why_it_is_not_watched() -> None:
    for row in ROWS:
        assert row.patterns, row
        assert {row.traced, *row.cells} <= WORDS, row
        assert len(row.cells) == COLUMNS.count("|") - 4, row
        tests = re.findall(r"`(tests/[^`]+)`", row.reason)
        if row.traced == "no":
            assert len(row.reason.split()) > 2, row
        else:
            assert tests, row
        for test in tests:
            path, _, name = test.partition("::")
            assert (ROOT / path).exists(), test
            assert f"def {name}" in (ROOT / path).read_text(encoding="utf-8"), test


def test_no_row_is_about_nothing() -> None:
    known = {method.partition(":")[0] for method in public_methods()} | {surface.module for surface in SURFACES}
    for row in ROWS:
        for pattern in row.patterns:
            assert any(fnmatchcase(module, pattern.partition(":")[0]) for module in known), pattern


def test_each_yes_of_a_claimed_table_is_a_claim() -> None:
    text, claimed = PAGE.read_text(encoding="utf-8"), coverage.claims()

    assert coverage.rendered(text, claimed) == text
    assert {row.patterns[0] for row in ROWS} >= coverage.BY_HAND
    without = {method: cells for method, cells in claimed.items() if method != "kaizen.llm.client:LlmClient.stream"}
    changed = coverage.rendered(text, without).splitlines()
    assert [line.split("|")[2:7] for line in changed if line.startswith("| `kaizen.llm.client:LlmClient.stream`")] == [
        [" no "] * 5
    ]


def test_a_claimed_method_is_one_of_kaizens() -> None:
    known = set(public_methods())
    claimed = {
        method
        for method in coverage.claims()
        if "._" not in method and ":_" not in method and not method.endswith(":parse_response")
    }
    assert sorted(claimed - known) == []
