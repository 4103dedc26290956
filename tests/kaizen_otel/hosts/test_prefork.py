"""Workers forked from a process that has instrumented: Celery's way, and `multiprocessing`'s."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from kaizen_otel.demo.model_server import Reply, Rule
from tests.examples.programs import environment
from tests.kaizen_otel.hosts.trees import AGENT_TREE, trees_in

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from kaizen_otel.demo.model_server import ModelServer

PROGRAM = """
import multiprocessing
import os

from tests.kaizen_otel.hosts.applications import ask

ask("parent")


def task(number):
    return ask(f"task-{number}"), os.getpid()


if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    pool = context.Pool(3)
    answers = pool.map(task, range(9), chunksize=1)
    pool.close()
    pool.join()
    assert all(answer == "seen" for answer, _ in answers), answers
    assert os.getpid() not in {pid for _, pid in answers}
    ask("parent")
"""


def test_tasks_of_forked_workers_are_each_one_tree(
    model_server: ModelServer, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    model_server.script([Rule(replies=Reply(text="seen"))])
    file = tmp_path / "runs.jsonl"
    ran = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", PROGRAM],
        env=environment(
            tmp_path,
            KAIZEN_MODEL_SERVER=model_server.url,
            KAIZEN_OTEL_FILE=str(file),
            PYTHONPATH=str(pytestconfig.rootpath),
        ),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    assert "Traceback" not in ran.stderr, ran.stderr
    names = ["parent", "parent", *(f"task-{number}" for number in range(9))]
    assert trees_in(file) == [AGENT_TREE.format(name=name) for name in names]
    assert len(model_server.requests) == len(names)
