"""Programs in processes of their own, and what they tell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.processors.delivery.backend import Backend

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

ROOT: Final = Path(__file__).resolve().parents[2]
END_S: Final = 120.0
"""Longer than any program of this folder may take: it hangs."""
EXIT_S: Final = 5.0
"""The end of a process is held up for two seconds at most; the rest is for a busy machine."""


@dataclass
class Program:
    """A running program of `tests/faults/programs`."""

    process: subprocess.Popen[str]
    told: list[dict[str, Any]] = field(default_factory=list)

    def wait_for(self, event: str) -> dict[str, Any]:
        """Read until it tells this event; gives the event's figures."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            figures: dict[str, Any] = json.loads(line)
            self.told.append(figures)
            if figures["event"] == event:
                return figures
        self.process.wait(END_S)
        assert self.process.stderr is not None
        raise AssertionError(f"no {event!r}: {self.told}\n{self.process.stderr.read()}")

    def say(self, text: str = "go\n") -> None:
        """Write a line to its input."""
        assert self.process.stdin is not None
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def end(self, code: int = 0) -> dict[str, dict[str, Any]]:
        """Wait for its end; gives the figures of each event, the last one of each name.

        Raises:
            AssertionError: It ended with another code, and what it wrote to stderr.
        """
        out, errors = self.process.communicate(timeout=END_S)
        self.told += [json.loads(line) for line in out.splitlines()]
        assert self.process.returncode == code, errors
        self.errors = errors
        return {figures["event"]: figures for figures in self.told}


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The environment of a program that knows this checkout and no proxy."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "KAIZEN_"))}
    path = os.pathsep.join([str(ROOT), *(entry for entry in sys.path if entry)])
    no_proxy = dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost")
    return {**kept, "PYTHONPATH": path, **no_proxy, **variables}


@contextmanager
def running(
    program: str, *arguments: object, before: Sequence[str] = (), variables: Mapping[str, str] | None = None
) -> Iterator[Program]:
    """Run a program of `tests/faults/programs`; it is killed at the end of the block if it still runs.

    Args:
        program: The module's name.
        arguments: Its arguments.
        before: A command that runs it, such as `unshare`.
        variables: Variables of its environment.
    """
    command = [*before, sys.executable, "-m", f"tests.faults.programs.{program}", *map(str, arguments)]
    with subprocess.Popen(  # noqa: S603 - our own interpreter and programs
        command,
        cwd=ROOT,
        env=environment(variables or {}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Program(process)
        finally:
            process.kill()


def run(
    program: str, *arguments: object, code: int = 0, variables: Mapping[str, str] | None = None
) -> dict[str, dict[str, Any]]:
    """Run a program to its end; gives the figures of each event."""
    with running(program, *arguments, variables=variables) as started:
        return started.end(code)


def replayed(spool: Path, expected: Collection[str]) -> list[str]:
    """The names of the spans that a later process delivers from a spool, as soon as these are among them."""
    with Backend() as backend, running("app", backend.url, "--spans", 0, "--spool", spool, "--end", "hold") as later:
        wait_until(lambda: len(backend.taken) >= len(expected) and set(backend.taken) >= set(expected))
        later.end()
        return backend.taken


def wait_until(condition: Callable[[], object]) -> None:
    """Wait for a condition that nothing announces."""
    deadline_s = time.monotonic() + END_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def numbered(count: int, prefix: str = "s", first: int = 0) -> list[str]:
    """The names of the spans that the program makes."""
    return [f"{prefix}{number}" for number in range(first, count)]
