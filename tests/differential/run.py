"""Runs every program of this folder in one process, and writes what each did, as JSON.

    run.py unwatched|watched OUTPUT

What a program did: what it returned or raised, what it printed, which warnings it caused, and what it asked the model.
Ids, times and addresses, which differ from run to run, are replaced by their kind.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import importlib.util
import inspect
import io
import json
import re
import sys
import warnings
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import kaizen_otel
from kaizen_otel.demo.loopback import lift_loopback_guard
from kaizen_otel.demo.model_server import ModelServer
from kaizen_otel.demo.script import Reply, Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from opentelemetry.sdk.trace import ReadableSpan

PROGRAMS: Final = Path(__file__).with_name("programs")
WATCHED: Final = "watched"
DEEP: Final = 12
ANSWER: Final = Reply.json(
    {
        "answer": "Paris.",
        "confidence": 0.9,
        "response": "Go on.",
        "code": "x = 1",
        "explanation": "x is 1",
        "attempt": "x",
        "critique": "fine",
        "improved_output": "x",
        "thought": "t",
        "action": "finish",
        "action_input": "Paris.",
        "need_tool": False,
        "plan": [{"step": 1, "action": "look", "description": "around"}],
    }
)
"""What signatures of these programs ask for."""

ANSWERED: Final = (
    Rule(system="Outputs: ", replies=ANSWER),
    Rule(user="Organize a meeting", replies=ANSWER),
    Rule(user="machine learning", replies=ANSWER),
)
"""Where they do: those that ask for structured outputs have no instructions to be known by."""

_KINDS: Final = (
    (re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b"), "UUID"),
    (re.compile(r"\b0x[0-9a-f]+\b"), "ADDRESS"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:\+\d\d:\d\d|Z)?"), "TIME"),
    (re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])|(?<![0-9a-f])[0-9a-f]{16}(?![0-9a-f])"), "ID"),
    (re.compile(r"\b(Workflow-|call_(?:ollama_)?|agent_|run_|conv_|session_|exec_)[0-9a-f]{6,}\b"), r"\1ID"),
    (re.compile(r"\b(pipeline_|handoff_|debate_|proposal_)[0-9a-f]{6,}\b"), r"\1ID"),
    (re.compile(r"\blocalhost:\d+"), "localhost:PORT"),
    (re.compile(r"\b\d{10}\.\d+\b"), "SECONDS"),
)
_TIMED: Final = re.compile(r"time|duration|latency|elapsed|_ms$|_at$|seconds|memory_usage|created$", re.IGNORECASE)


def programs() -> dict[str, Callable[[], Any]]:
    """Every public function of every file, as `file.function`."""
    found: dict[str, Callable[[], Any]] = {}
    for path in sorted(PROGRAMS.glob("*.py")):
        spec = importlib.util.spec_from_file_location(f"programs_{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        for name, value in vars(module).items():
            if inspect.isfunction(value) and value.__module__ == spec.name and not name.startswith("_"):
                found[f"{path.stem}.{name}"] = value
    return found


def did(program: Callable[[], Any], server: ModelServer) -> dict[str, Any]:
    """Run a program, and say what it did."""
    server.reset()
    server.script(ANSWERED)
    printed = io.StringIO()
    with warnings.catch_warnings(record=True) as warned, contextlib.redirect_stdout(printed):
        warnings.simplefilter("always")
        try:
            result = asyncio.run(program()) if inspect.iscoroutinefunction(program) else program()
            outcome = {"returned": plain(result)}
        except BaseException as error:  # noqa: BLE001 - whatever it raises is what it did
            outcome = {"raised": [type(link).__qualname__ for link in chain(error)], "message": lasting(str(error))}
    # Which of them the garbage collector finds, and when, differs from run to run.
    told = [one for one in warned if not issubclass(one.category, ResourceWarning)]
    return {
        **outcome,
        # What runs side by side prints and asks in any order.
        "printed": sorted(lasting(printed.getvalue()).splitlines()),
        "warnings": sorted({f"{one.category.__name__}: {lasting(str(one.message))}" for one in told}),
        "asked": sorted((request.path, json.dumps(plain(request.body), sort_keys=True)) for request in server.requests),
    }


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and those that it was raised from."""
    while error is not None:
        yield error
        error = error.__cause__


def plain(value: Any, depth: int = 0) -> Any:
    """A value as JSON, without what differs from run to run."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return lasting(value)
    if isinstance(value, Enum):
        return plain(value.value, depth)
    if isinstance(value, BaseException):
        return [type(value).__qualname__, lasting(str(value))]
    return inside(value, depth) if depth < DEEP else type(value).__qualname__


def inside(value: Any, depth: int) -> Any:
    """A value that holds others; one that is none of these is known by its type."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {lasting(str(key)): entry(key, one, depth) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(one, depth + 1) for one in value]
    return type(value).__qualname__


def entry(key: Any, value: Any, depth: int) -> Any:
    """One entry of a dictionary: a time, when its key says so, is only a time."""
    if isinstance(value, int | float) and not isinstance(value, bool) and _TIMED.search(str(key)):
        return "TIME"
    return plain(value, depth + 1)


def lasting(text: str) -> str:
    """A text without ids, times and addresses."""
    for pattern, kind in _KINDS:
        text = pattern.sub(kind, text)
    return text


def main(mode: str, output: Path) -> None:
    """Run all programs and write the file."""
    seen: dict[str, Mapping[str, Any]] = {}
    with ModelServer() as server, lift_loopback_guard(server.url):
        found = programs()
        for name, program in found.items():
            if mode == WATCHED:
                seen[name] = watched(program, server)
            else:
                seen[name] = did(program, server)
    output.write_text(json.dumps(seen, indent=1), encoding="utf-8")


def watched(program: Callable[[], Any], server: ModelServer) -> dict[str, Any]:
    """Run a program with everything on, and count the spans it made."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    spans = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    kaizen_otel.instrument(preset="development", console=False, tracer_provider=provider, content="span")
    try:
        done = did(program, server)
        failures = kaizen_otel.stats()["failures"]
    finally:
        kaizen_otel.uninstrument()
    ended: tuple[ReadableSpan, ...] = spans.get_finished_spans()
    return {**done, "spans": sorted(span.name for span in ended), "failures": failures}


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
