"""The cells of `docs/coverage.md`, out of what tests claim (`tests/conformance/claims.py`).

Run `python tests/docs/coverage.py` after a change of claims or rows, and commit what it writes. `--check` writes
nothing and exits 1 when the page is stale: no `yes` is without a test that is held to it, for every method of its row,
and each row says how many methods of Kaizen it stands for, so that a new one is looked at.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "coverage.md"
CELLS = ("traced", "tokens", "cost", "error", "context")
ERROR_BELOW = "error below"
"""Of the claims: a method has a span, and what goes wrong is told by one below it."""

COLUMNS = ("where", "methods", *CELLS, "shown by, or why not")
NOTHING_RUN = ("where", "methods", "why not")
"""The columns of the table of what runs nothing that could be watched."""

WORDS = frozenset({"yes", "no", "below", "n/a", "untested"})

_BEGIN, _END = "<!-- from the claims -->\n", "<!-- end -->"

Claims = dict[str, dict[str, set[str]]]
"""By method and cell, the tests that claim it."""


class Row(NamedTuple):
    """One line of a table: what it stands for (patterns of `module:Class.method`), its cells by column, and why."""

    patterns: tuple[str, ...]
    cells: dict[str, str]
    reason: str

    def covers(self, method: str) -> bool:
        """Whether one of its patterns names the method."""
        return any(fnmatchcase(method, pattern) for pattern in self.patterns)


def rows(text: str) -> list[Row]:
    """All rows of the page, in its order: a method belongs to the first one that covers it."""
    return [row for _, row in _numbered(text)]


def _numbered(text: str) -> Iterator[tuple[int, Row]]:
    heads = {_line(COLUMNS): COLUMNS, _line(NOTHING_RUN): NOTHING_RUN}
    columns: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines()):
        columns = heads.get(line, columns if line.startswith("|") else ())
        if columns and line.startswith("| `"):
            where, _, *cells, reason = (part.strip() for part in line[1:-1].split("|"))
            yield number, Row(tuple(re.findall(r"`([^`]+)`", where)), dict(zip(CELLS, cells, strict=False)), reason)


def _line(columns: Iterable[str]) -> str:
    return "| " + " | ".join(columns) + " |"


def members(table: list[Row], methods: Collection[str]) -> list[list[str]]:
    """The methods of each row."""
    found: list[list[str]] = [[] for _ in table]
    for method in sorted(methods):
        number = next((number for number, row in enumerate(table) if row.covers(method)), None)
        if number is not None:
            found[number].append(method)
    return found


def claims(root: Path = ROOT / "tests") -> Claims:
    """What all tests claim, read and not imported."""
    found: Claims = defaultdict(lambda: defaultdict(set))
    for path in sorted(root.rglob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        if "mark.covers" not in text:
            continue
        module = ast.parse(text)
        for test in module.body:
            if isinstance(test, ast.FunctionDef | ast.AsyncFunctionDef):
                where = f"{path.relative_to(root.parent)}::{test.name}"
                for method, cells in _of(test, module):
                    for cell in cells:
                        found[method][cell].add(where)
    return found


def _of(test: ast.FunctionDef | ast.AsyncFunctionDef, module: ast.Module) -> Iterator[tuple[str, list[str]]]:
    calls = [
        (node.func.attr, node.args)
        for decorator in test.decorator_list
        for node in ast.walk(decorator)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]
    tables = {ast.literal_eval(args[0]): args[1] for name, args in calls if name == "parametrize" and len(args) > 1}
    for name, args in calls:
        if name == "covers":
            method, *cells = map(ast.literal_eval, args)
            yield method, cells
        elif name == "covers_each":
            parameter, *cells = map(ast.literal_eval, args)
            for methods in _keys(tables[parameter], module):
                yield from ((method, cells) for method in methods.split())


def _keys(table: ast.expr, module: ast.Module) -> list[str]:
    """The methods that a test is parametrized with: the keys of a dictionary of its module."""
    if not isinstance(table, ast.Name):
        raise TypeError(f"covers_each needs the name of a dictionary, not {ast.unparse(table)}")
    for node in module.body:
        target = node.target if isinstance(node, ast.AnnAssign) else None
        if isinstance(target, ast.Name) and target.id == table.id and isinstance(node, ast.AnnAssign):
            value = node.value
            if isinstance(value, ast.Dict):
                return [ast.literal_eval(key) for key in value.keys if key is not None]
    raise LookupError(f"no dictionary {table.id} whose keys can be read")


def rendered(text: str, claimed: Claims, methods: Collection[str]) -> str:
    """The page with the cells that the claims give, where Kaizen has these methods."""
    lines = text.splitlines()
    numbered = list(_numbered(text))
    table = [row for _, row in numbered]
    for (number, row), own in zip(numbered, members(table, {*methods, *claimed}), strict=True):
        parts = lines[number].split("|")
        parts[2] = f" {sum(method in methods for method in own)} "
        for place, (cell, written) in enumerate(row.cells.items(), start=3):
            parts[place] = f" {_cell(cell, written, own, claimed)} "
        lines[number] = "|".join(parts)
    before, begin, rest = ("\n".join(lines) + "\n").partition(_BEGIN)
    if not begin:
        raise ValueError(f"{PAGE.name} has no place for the claims")
    return before + begin + by_method(claimed) + rest[rest.index(_END) :]


def _cell(cell: str, written: str, own: list[str], claimed: Claims) -> str:
    if own and all(cell in claimed.get(method, ()) for method in own):
        return "yes"
    if own and cell == "error" and all({cell, ERROR_BELOW} & claimed.get(method, {}).keys() for method in own):
        return "below"
    if cell == "traced" and written == "below":
        return "below" if all(method in claimed for method in own) else "untested"
    return "untested" if written in {"yes", "below"} else written


def by_method(claimed: Claims) -> str:
    """The table of all claims, method by method."""
    lines = [_line(["method", *CELLS, "claimed by"]), "|---" * 7 + "|"]
    for method in sorted(claimed):
        cells = claimed[method]
        tests = sorted({test.partition("::")[0] for found in cells.values() for test in found})
        said = (
            "yes" if cell in cells else "below" if (cell, ERROR_BELOW in cells) == ("error", True) else ""
            for cell in CELLS
        )
        lines.append(_line([f"`{method}`", *said, ", ".join(f"`{test}`" for test in tests)]))
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    """Write or check the page; the exit status."""
    sys.path.insert(0, str(ROOT))
    from tests.docs.methods import running_methods

    now = PAGE.read_text(encoding="utf-8")
    page = rendered(now, claims(), running_methods())
    if "--check" in arguments:
        if page != now:
            print("docs/coverage.md is not what the tests claim: run python tests/docs/coverage.py", file=sys.stderr)  # noqa: T201
        return int(page != now)
    PAGE.write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
