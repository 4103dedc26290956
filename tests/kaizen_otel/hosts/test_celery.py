"""Celery's prefork pool: each task of its children is one tree, to the last one, however the children end."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kaizen_otel.demo.model_server import Reply, Rule
from tests.examples.programs import environment
from tests.kaizen_otel.hosts.trees import AGENT_TREE, trees_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kaizen_otel.demo.model_server import ModelServer

ROOT = Path(__file__).parents[3]
TASKS = "tests.kaizen_otel.hosts.celery_tasks"
NAMES = [f"agent-{letter}" for letter in "abcdefgh"]


@pytest.fixture
def folder(tmp_path: Path, model_server: ModelServer) -> Path:
    """A broker, and a model that answers."""
    model_server.script([Rule(replies=Reply(text="seen"))])
    for name in ("messages", "results", "control"):
        (tmp_path / name).mkdir()
    return tmp_path


def surroundings(folder: Path, server: ModelServer, **more: str) -> dict[str, str]:
    return environment(
        folder, KAIZEN_MODEL_SERVER=server.url, KAIZEN_CELERY_FOLDER=str(folder), PYTHONPATH=str(ROOT), **more
    )


@contextmanager
def working(folder: Path, environ: dict[str, str], *options: str) -> Iterator[None]:
    """A worker with two children, until its warm shutdown."""
    command = [sys.executable, "-m", "celery", "-A", f"{TASKS}:app", "worker", "--pool=prefork", "--concurrency=2"]
    command += ["--without-mingle", "--without-gossip", "--without-heartbeat"]
    with (folder / "worker.log").open("wb") as log:
        process = subprocess.Popen([*command, *options], env=environ, stdout=log, stderr=log, cwd=ROOT)  # noqa: S603 - ours
        try:
            yield
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            process.kill()
            process.wait()


def send(environ: dict[str, str], names: list[str]) -> list[list[str]]:
    """The words of each answer."""
    command = [sys.executable, "-m", TASKS, *names]
    ran = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=180, check=False, cwd=ROOT)  # noqa: S603 - ours
    assert ran.returncode == 0, ran.stderr
    return [line.split() for line in ran.stdout.splitlines()]


@pytest.mark.parametrize(
    ("options", "names", "processes"),
    [((), NAMES, 1), (("--max-tasks-per-child=1",), NAMES[:4], 4)],
    ids=["warm shutdown", "a child for each task"],
)
def test_each_task_of_a_prefork_pool_is_one_tree(
    options: tuple[str, ...], names: list[str], processes: int, folder: Path, model_server: ModelServer
) -> None:
    file = folder / "runs.jsonl"
    with working(folder, surroundings(folder, model_server, KAIZEN_OTEL_FILE=str(file)), *options):
        answers = send(surroundings(folder, model_server), names)

    log = (folder / "worker.log").read_text()
    assert [answer for answer, _ in answers] == ["seen"] * len(names), log
    assert len({process for _, process in answers}) >= processes
    assert trees_in(file) == [AGENT_TREE.format(name=name) for name in names], log
    assert len(model_server.requests) == len(names)


def test_with_its_own_instrumentation_each_task_is_in_its_producers_trace(
    folder: Path, model_server: ModelServer
) -> None:
    file = folder / "runs.jsonl"
    traced = surroundings(
        folder,
        model_server,
        KAIZEN_OTEL_FILE=str(file),
        KAIZEN_OTEL_SET_GLOBAL="true",
        KAIZEN_CELERY_TRACED="1",
    )
    with working(folder, traced):
        send(traced, NAMES)

    (tree,) = trees_in(file)
    head, *tasks = tree.split("\n  apply_async/ask\n")
    assert head == "caller"
    below = sorted(task.replace("\n    ", "\n").strip() for task in tasks)
    indented = [AGENT_TREE.format(name=name).replace("\n", "\n  ") for name in NAMES]
    made = [f"run/ask\n  create_agent {name}" for name in NAMES]
    assert below == [f"{agent}\n  {run}" for agent, run in zip(made, indented, strict=True)]
