"""The cells of `docs/coverage.md`, out of what tests claim (`tests/conformance/claims.py`).

Run `python tests/docs/coverage.py` after a change of claims or rows, and commit what it writes. `--check` writes
nothing and exits 1 when the page is stale: no `yes` of a claimed table is without a test that is held to it.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "coverage.md"
CELLS = ("traced", "tokens", "cost", "error", "context")
CLAIMED = ("## Model calls", "## Agents")
"""The tables whose cells come from claims."""

BY_HAND = frozenset(
    {
        "kaizen.llm.http_client:LlmHttpClient.post",
        "kaizen.providers.ollama_provider:OllamaProvider.generate*",
        "kaizen.agent:Agent.*",
        "kaizen_agents.supervisor_wrapper:*",
        "kaizen_agents.agents.specialized.batch_processing:*",
        "kaizen_agents.agents.multi_modal.*:*",
        "kaizen_agents.api.agent:Agent.*",
        "kaizen_agents.research_patterns.*:*",
    }
)
"""Rows of those tables, by their first pattern, that no test claims yet: the tests that they name show their cells."""

_BEGIN, _END = "<!-- from the claims -->\n", "<!-- end -->"

Claims = dict[str, dict[str, set[str]]]
"""By method and cell, the tests that claim it."""


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
            for method in _keys(tables[parameter], module):
                yield method, cells


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


def rendered(text: str, claimed: Claims) -> str:
    """The page with the cells that the claims give."""
    parts = re.split(r"(?m)^(?=## )", text)
    page = "".join(_section(part, claimed) if part.startswith(CLAIMED) else part for part in parts)
    before, begin, rest = page.partition(_BEGIN)
    if not begin:
        raise ValueError(f"{PAGE.name} has no place for the claims")
    return before + begin + methods(claimed) + rest[rest.index(_END) :]


def methods(claimed: Claims) -> str:
    """The table of all claims, method by method."""
    lines = ["| method | " + " | ".join(CELLS) + " | claimed by |", "|---" * 7 + "|"]
    for method in sorted(claimed):
        cells = claimed[method]
        tests = sorted({test.partition("::")[0] for found in cells.values() for test in found})
        said = " | ".join("yes" if cell in cells else "" for cell in CELLS)
        lines.append(f"| `{method}` | {said} | {', '.join(f'`{test}`' for test in tests)} |")
    return "\n".join(lines) + "\n"


def _section(part: str, claimed: Claims) -> str:
    seen: set[str] = set()
    return "".join(_line(line, claimed, seen) for line in part.splitlines(keepends=True))


def _line(line: str, claimed: Claims, seen: set[str]) -> str:
    columns = line.split("|")
    patterns = re.findall(r"`([^`]+)`", columns[1]) if line.startswith("| `") else []
    if not patterns or ":" not in patterns[0] or patterns[0] in BY_HAND:
        return line
    # As a reader does: a method belongs to the first row that names it.
    own = {p: [m for m in claimed if m not in seen and fnmatchcase(m, p)] for p in patterns}
    seen.update(method for found in own.values() for method in found)
    for number, cell in enumerate(CELLS, start=2):
        if all(any(cell in claimed[method] for method in own[pattern]) for pattern in patterns):
            columns[number] = " yes "
        elif columns[number].strip() == "yes":
            columns[number] = " no "  # nothing shows it
    return "|".join(columns)


def main(arguments: list[str]) -> int:
    """Write or check the page; the exit status."""
    now = PAGE.read_text(encoding="utf-8")
    page = rendered(now, claims())
    if "--check" in arguments:
        if page != now:
            print("docs/coverage.md is not what the tests claim: run python tests/docs/coverage.py", file=sys.stderr)  # noqa: T201
        return int(page != now)
    PAGE.write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
