"""A notebook: its cells run in an event loop that is running already, blocking calls and awaited ones alike."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kaizen_otel.demo.model_server import Reply, Rule
from tests.examples.programs import environment
from tests.kaizen_otel.hosts.trees import AGENT_TREE, trees_in

if TYPE_CHECKING:
    import pytest

    from kaizen_otel.demo.model_server import ModelServer

CELLS = (
    "import warnings; warnings.simplefilter('ignore')",
    "from tests.kaizen_otel.hosts.applications import ask, ask_awaited",
    "import asyncio; asyncio.get_running_loop().is_running()",
    "ask('blocking')",
    "await ask_awaited('awaited')",
    "await asyncio.gather(ask_awaited('together-a'), ask_awaited('together-b'))",
    "import kaizen_otel; kaizen_otel.flush(); kaizen_otel.stats()['failures']",
)


def test_each_run_in_a_notebook_is_one_tree(
    model_server: ModelServer, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    model_server.script([Rule(replies=Reply(text='{"answer": "seen"}'))])
    file = tmp_path / "runs.jsonl"
    notebook = tmp_path / "notebook.ipynb"
    notebook.write_text(json.dumps(notebook_of(CELLS)), encoding="utf-8")

    ran = subprocess.run(  # noqa: S603 - Jupyter's own command
        [Path(sys.executable).with_name("jupyter-execute"), "--inplace", "--kernel_name=python3", notebook],
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
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    assert shown(cells[2]) == "True"
    assert shown(cells[-1]) == "{}"
    assert trees_in(file) == [
        AGENT_TREE.format(name=name) for name in ("awaited", "blocking", "together-a", "together-b")
    ]
    assert len(model_server.requests) == 4


def notebook_of(cells: tuple[str, ...]) -> dict[str, Any]:
    """A notebook of these cells, in its file format."""
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {},
        "cells": [
            {
                "cell_type": "code",
                "id": f"cell-{number}",
                "metadata": {},
                "source": source,
                "outputs": [],
                "execution_count": None,
            }
            for number, source in enumerate(cells)
        ],
    }


def shown(cell: dict[str, Any]) -> str:
    """What a cell's last expression shows."""
    results = (output for output in cell["outputs"] if output["output_type"] == "execute_result")
    return "".join("".join(output["data"]["text/plain"]) for output in results)
