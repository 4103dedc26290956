"""Conformance of everything that the suite emits, judged when the session ends.

`tests/conftest.py` imports the hooks below and gives every span, collection of metrics and log record that a test
catches to `observe_span`, `observe_metrics` and `observe_log`. A session that emitted anything non-conformant fails. So
does a whole session in which something of the registry was never emitted: an entry, a value of one of our enums, an
attribute on a signal that has it. A selection of tests is not asked for that.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance.session import ConformanceSession

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from opentelemetry.sdk.metrics.export import MetricsData
    from opentelemetry.sdk.trace import ReadableSpan

    from tests.conformance.checker import EmittedLog

SESSION = ConformanceSession()

OUTPUT = "conformance"
"""Where a worker of `pytest -n` leaves what it found."""

_OPTION = "--conformance"
_READABLE = 1_000_000
_SELECTING = (
    "keyword",
    "markexpr",
    "lf",
    "failedfirst",
    "deselect",
    "ignore",
    "ignore_glob",
    "stepwise",
    "collectonly",
)


def observe_span(span: ReadableSpan) -> None:
    """Judge and count a span that a test caught."""
    SESSION.observe_span(span, _where())


def observe_metrics(metrics_data: MetricsData) -> None:
    """Judge and count a collection of metrics that a test caught."""
    SESSION.observe_metrics(metrics_data, _where())


def observe_log(record: EmittedLog) -> None:
    """Judge and count a log record that a test caught."""
    SESSION.observe_log(record, _where())


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--conformance=whole` asks for all of the registry although tests were selected, `partial` never does."""
    parser.addoption(
        _OPTION,
        choices=("auto", "whole", "partial"),
        default="auto",
        help="whether all of the registry must be emitted: auto (when no tests were selected), whole, partial",
    )


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Turn a passed session into a failed one when what it emitted does not conform; a worker leaves that to others."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput[OUTPUT] = sendable(SESSION.packed())
    elif exitstatus == pytest.ExitCode.OK and any(True for _ in report(SESSION, whole=is_whole(session.config))):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker of `pytest -n` has ended: take over what it found. A crashed one left nothing, and fails the run."""
    found = getattr(node, "workeroutput", {}).get(OUTPUT)
    if found is not None:
        SESSION.merge(found)


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[Any, Any, Any]:
    """Let odd values through: the pipe from a worker takes no lone surrogates, and had better take no 70 MB of text."""
    return sendable((yield))


def sendable(value: Any) -> Any:
    """The same with its lone surrogates spelled out, and no text longer than anybody reads."""
    if isinstance(value, str):
        return value[:_READABLE].encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {sendable(key): sendable(item) for key, item in value.items()}
    if type(value) in {list, tuple}:
        return type(value)(map(sendable, value))
    return value


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config) -> None:
    """Print what does not conform. After failed tests no entry is missed: they might have emitted it."""
    del exitstatus
    failed = any(terminalreporter.stats.get(outcome) for outcome in ("failed", "error"))
    lines = list(report(SESSION, whole=is_whole(config) and not failed))
    if lines:
        terminalreporter.section("conformance to semconv/registry", red=True, bold=True)
        for line in lines:
            terminalreporter.write_line(line)


def report(session: ConformanceSession, *, whole: bool) -> Iterator[str]:
    """One line for each thing that is wrong."""
    for line, where in sorted(session.breaches.items()):
        yield f"not conformant: {line}" + (f"   [{where}]" if where else "")
    if whole:
        yield from (f"never emitted: {line}" for line in session.missed())
        yield from (f"emitted, or unknown, though NEVER_EMITTED names it: {line}" for line in session.outdated())


def is_whole(config: pytest.Config) -> bool:
    """Whether all tests were asked for."""
    asked: str = config.getoption(_OPTION, default="auto")
    if asked != "auto":
        return asked == "whole"
    if any(config.getoption(option, default=None) for option in _SELECTING):
        return False
    paths = {(config.invocation_params.dir / argument).resolve() for argument in config.args}
    return paths == {(config.rootpath / path).resolve() for path in config.getini("testpaths")}


def _where() -> str:
    """The test that is running, without its phase."""
    return os.environ.get("PYTEST_CURRENT_TEST", "").rsplit(" (", 1)[0]
