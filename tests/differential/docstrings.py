"""The examples in the docstrings of the installed packages that run something: read, and not imported."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGES: Final = ("kaizen", "kaizen_agents")

RUNS: Final = frozenset(
    {
        *("run", "run_async", "run_sync", "run_stream", "run_turn", "run_plan", "run_print", "run_interactive"),
        *("execute", "execute_async", "execute_workflow", "execute_pipeline", "execute_with_handoff", "execute_cot"),
        *("execute_react", "execute_multi_round", "stream", "stream_chat", "complete", "embed", "chat", "debate"),
        *("recall", "build_context", "find_similar", "read_relevant", "write_insight", "load_turns", "detect_faqs"),
        *("search", "load_context", "save_turn", "communicate_with", "call_tool"),
    }
)
"""Names of the public methods by which something is run, asked or looked up."""

_BLOCK: Final = re.compile(r"^( *)(?:Examples?|Usage)\b[^\n]*:{1,2}\n((?:\1[ ]+[^\n]*\n|[ ]*\n)+)", re.MULTILINE)
_PROMPT: Final = re.compile(r"^ *(?:>>>|\.\.\.)(?: (.*))?$", re.MULTILINE)
_FENCED: Final = re.compile(r"```python\n(.*?)```", re.DOTALL)
_RUNS: Final = re.compile(rf"\.(?:{'|'.join(sorted(RUNS))})\(")


class DocstringExample(NamedTuple):
    """The example of one docstring: where it stands, as `module:Class.method`, and its code."""

    where: str
    code: str


def docstring_examples() -> list[DocstringExample]:
    """All of public modules, classes, functions and methods whose code calls a method that runs something."""
    return [example for example in _examples() if _RUNS.search(example.code)]


def _examples() -> Iterator[DocstringExample]:
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        root = Path(spec.origin).parent
        for path in sorted(root.rglob("*.py")):
            module = ".".join([package, *path.relative_to(root).with_suffix("").parts]).removesuffix(".__init__")
            if any(part.startswith("_") for part in module.split(".")):
                continue
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for name, node in _documented(tree):
                code = _code(ast.get_docstring(node) or "")
                if code:
                    yield DocstringExample(f"{module}:{name}", code)


def _documented(tree: ast.Module) -> Iterator[tuple[str, ast.Module | ast.ClassDef | ast.FunctionDef]]:
    yield "", tree
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield node.name, node  # type: ignore[misc]
            for inner in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef) and not inner.name.startswith("_"):
                    yield f"{node.name}.{inner.name}", inner  # type: ignore[misc]


def _code(docstring: str) -> str:
    """What of a docstring is an example: prompts, fences, or what stands under its heading."""
    text = docstring + "\n"
    parts = [match[1] or "" for match in _PROMPT.finditer(text)] or _FENCED.findall(text)
    return "\n".join(parts or [match[2] for match in _BLOCK.finditer(text)])
