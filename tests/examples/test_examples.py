"""Each example, as a stranger runs it, and what it prints."""

from __future__ import annotations

import ast
import shlex
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.examples.programs import environment, lasting

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = Path(__file__).parents[2] / "examples"
PROGRAMS = sorted(EXAMPLES.glob("*.py"))
COMMANDS = [
    shlex.split(line.removeprefix("$ "))
    for line in (EXAMPLES / "README.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("$ python ")
]

PRINTED = {
    "quickstart": "Air scatters blue light more than red.",
    "async_agent": """\
Why is the sky blue? Air scatters blue light more than red. (50 tokens, $0.0000120)
Why is the sea salty? Rivers carry salt into the sea, and only water leaves it. (50 tokens, $0.0000120)
Why is grass green? Leaves take in red and blue light and leave the green. (50 tokens, $0.0000120)
3 calls, 150 tokens, $0.0000360""",
    "streaming": """\
Once a wave set out for the shore. It arrived.
10 tokens out, $0.0000120, complete: True""",
    "own_provider": """\
create_agent Guide
chat gpt-4o-mini
node LLMAgentNode
invoke_workflow
invoke_agent Guide
GET /why
exported by: app-owned""",
    "sessions": """\
create_agent Guide: - - school
baggage: user.id=ada,session.id=web-1
chat gpt-4o-mini: ada web-1 school
node LLMAgentNode: ada web-1 school
invoke_workflow: ada web-1 school
invoke_agent Guide: ada web-1 school
Air scatters blue light more than red.
create_agent Guide: - - school
baggage: user.id=alan,session.id=app-7
chat gpt-4o-mini: alan app-7 school
node LLMAgentNode: alan app-7 school
invoke_workflow: alan app-7 school
invoke_agent Guide: alan app-7 school
Rivers carry salt into the sea, and only water leaves it.""",
    # The two evaluators run beside each other: their first two lines are sorted below.
    "evaluators": """\
childlike 1.0
concise 1.0
Air scatters blue light more than red.
Guide: 1 call of gpt-4o-mini
evaluator:childlike: 1 call of gpt-4o-mini""",
}

SCIENTIST = """\
trace ID · unknown_service · DATE
agent Scientist TIME 40→10 $0.000012 q 1.00
└─ workflow TIME
   └─ node LLMAgentNode TIME
      └─ chat gpt-4o-mini TIME 40→10 $0.000012
Σ 1 execution · 1 model call · 40→10 tokens · $0.000012"""

SHOWN = {
    "quickstart": """\
trace ID · unknown_service · DATE
agent Guide TIME 40→10 $0.000012 q 1.00
└─ workflow TIME
   └─ node LLMAgentNode TIME
      └─ chat gpt-4o-mini TIME 40→10 $0.000012
Σ 1 execution · 1 model call · 40→10 tokens · $0.000012""",
    "async_agent": "\n\n".join([SCIENTIST] * 3),
    "streaming": """\
trace ID · unknown_service · DATE
agent Narrator TIME 40→10 $0.000012 q 1.00
└─ chat gpt-4o-mini TIME 40→10 $0.000012
Σ 1 execution · 1 model call · 40→10 tokens · $0.000012""",
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[subprocess.CompletedProcess[str]]]]:
    """All examples, two at a time, each by its command in the README."""
    home = tmp_path_factory.mktemp("home")
    (home / EXAMPLES.name).symlink_to(EXAMPLES)
    with ThreadPoolExecutor(2) as pool:
        yield {Path(command[-1]).stem: pool.submit(run_command, command, home) for command in COMMANDS}


def run_command(command: list[str], home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - commands of our own page
        [sys.executable, *command[1:]],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
        cwd=home,
        env=environment(home),
    )


def test_the_readme_says_how_to_run_each_without_a_key() -> None:
    assert sorted(command[-1] for command in COMMANDS) == [f"examples/{program.name}" for program in PROGRAMS]


def test_a_program_that_is_not_there_is_told_in_one_line(tmp_path: Path) -> None:
    done = run_command(["python", "-m", "kaizen_otel.demo.offline", "quikstart.py"], tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("quikstart.py: there is no such program; usage: python -m kaizen_otel.demo.offline")


@pytest.mark.parametrize("name", [program.stem for program in PROGRAMS])
def test_example_prints_what_it_promises(name: str, runs: dict[str, Future[subprocess.CompletedProcess[str]]]) -> None:
    done = runs[name].result()
    assert done.returncode == 0, done.stderr
    printed = done.stdout.splitlines()
    if name == "evaluators":
        printed[:2] = sorted(printed[:2])
    assert printed == PRINTED[name].splitlines()
    assert lasting(done.stderr) == SHOWN.get(name, "")


def test_quickstart_is_short() -> None:
    assert len((EXAMPLES / "quickstart.py").read_text(encoding="utf-8").splitlines()) <= 15


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.stem)
def test_examples_work_with_a_real_key_too(program: Path) -> None:
    """Nothing in them is of the demo: what they do offline they do with a provider."""
    modules = {
        name
        for node in ast.walk(ast.parse(program.read_text(encoding="utf-8")))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert not [name for name in modules if name.startswith(("kaizen_otel.demo", "tests"))]
