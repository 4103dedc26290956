"""The public methods by which Kaizen, kaizen_agents and Kailash's runtimes run something, read and not imported.

A method or function is one of them when it can run something: its first word says so (`run`, `ask`, `search`, …), or it
is awaited, or what it calls is named so. What only declares a method (protocols, abstract ones), and properties, run
nothing. Neither does `run` of a node: `Node.execute` calls it, which is what is watched.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGES = ("kaizen", "kaizen_agents", "kailash.runtime")
"""Whose methods `docs/coverage.md` has a row for, each one of them."""

RUNNING = frozenset(
    {
        *(
            "run",
            "execute",
            "call",
            "invoke",
            "perform",
            "handle",
            "process",
            "start",
            "resume",
            "schedule",
            "dispatch",
        ),
        *("enqueue", "dequeue", "submit", "send", "request", "fetch", "route", "delegate", "coordinate", "collaborate"),
        *("communicate", "chat", "complete", "completion", "stream", "embed", "generate", "ask", "answer", "describe"),
        *("debate", "solve", "plan", "reason", "analyze", "evaluate", "judge", "score", "rank", "compare", "translate"),
        *("transcribe", "extract", "summarize", "learn", "train", "optimize", "compile", "search", "find", "query"),
        *("retrieve", "recall", "store", "save", "load", "read", "write", "explain", "refactor", "vote", "aggregate"),
    }
)
"""First words of the names by which something is run, asked, looked up or kept."""

CALLING = frozenset({"run", "execute", "call", "invoke", "stream", "chat", "complete", "embed", "submit"})
"""First words of the names of what a method calls to have something run."""

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_ACCESSORS = frozenset({"property", "cached_property", "setter", "overload"})


@functools.cache
def running_methods() -> frozenset[str]:
    """Each as `module:Class.method` or `module:function`, where it is defined."""
    return frozenset(name for package in PACKAGES for name in _of_package(package))


def _of_package(package: str) -> Iterator[str]:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(package)
    root = Path(spec.origin).parent
    for path in sorted(root.rglob("*.py")):
        module = ".".join([package, *path.relative_to(root).with_suffix("").parts]).removesuffix(".__init__")
        yield from (f"{module}:{name}" for name in _of_body(ast.parse(path.read_text(encoding="utf-8")).body, ""))


def _of_body(body: list[ast.stmt], prefix: str, *, is_node: bool = False) -> Iterator[str]:
    for part in body:
        if isinstance(part, ast.ClassDef) and not part.name.startswith("_"):
            yield from _of_body(part.body, f"{prefix}{part.name}.", is_node=_is_node(part))
        elif isinstance(part, _Function) and _runs(part) and not (is_node and part.name in {"run", "async_run"}):
            yield prefix + part.name


def _is_node(made: ast.ClassDef) -> bool:
    """Whether it is a node of workflows, by the name of a base."""
    bases = {ast.unparse(base).rpartition(".")[2] for base in made.bases}
    return any(base.endswith(("Node", "NodeBase", "NodeMixin")) for base in bases)


def _runs(function: _Function) -> bool:
    decorators = {ast.unparse(one).partition("(")[0].rpartition(".")[2] for one in function.decorator_list}
    if decorators & _ACCESSORS or _only_declares(function):
        return False
    if function.name.startswith("_"):
        return function.name == "__call__"
    if isinstance(function, ast.AsyncFunctionDef) or _first_word(function.name) in RUNNING:
        return True
    called = (node.func for node in ast.walk(function) if isinstance(node, ast.Call))
    return any(_first_word(_name(one)) in CALLING for one in called)


def _only_declares(function: _Function) -> bool:
    """Whether it has no body but a docstring, `...`, or a refusal."""
    return all(
        isinstance(statement, ast.Pass)
        or (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
        or (isinstance(statement, ast.Raise) and "NotImplementedError" in ast.unparse(statement))
        for statement in function.body
    )


def _name(called: ast.expr) -> str:
    return called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""


def _first_word(name: str) -> str:
    return name.strip("_").partition("_")[0]
