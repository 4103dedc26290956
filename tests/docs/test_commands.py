"""Every command of README.md, CONTRIBUTING.md and docs/ is run in a shell, and writes what the page says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kaizen_otel.demo.example_answers import answer
from kaizen_otel.demo.model_server import ModelServer
from tests.docs.collectors import Collectors, collectors
from tests.docs.pages import PAGES, Block, blocks_of
from tests.examples.programs import RUNNER, environment, lasting

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMANDS = [block for page in PAGES for block in blocks_of(page) if block.language == "console" and block.runs]
_SHIMS = {"python": "", "pytest": "-m pytest -p no:cacheprovider -W ignore"}


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of programs of these names whose models are on the local model server."""
    folder = tmp_path_factory.mktemp("bin")
    with ModelServer() as server:
        server.script(answer)
        for name, arguments in _SHIMS.items():
            shim = folder / name
            shim.write_text(f'#!/bin/sh\nexec {sys.executable} {RUNNER} {server.url} {arguments} "$@"\n')
            shim.chmod(0o700)
        yield folder


@pytest.fixture(scope="module")
def receivers() -> Iterator[Collectors]:
    with collectors() as both:
        yield both


def script_of(block: Block, receivers: Collectors) -> tuple[str, str]:
    """The commands as one script, and what they write."""
    lines = block.body.splitlines()
    commands = "\n".join(line.removeprefix("$ ") for line in lines if line.startswith("$ "))
    for port, url in ((4318, receivers.http_url), (4317, receivers.grpc_url)):
        commands = commands.replace(f"http://localhost:{port}", url)
    return "set -e\n" + commands, "\n".join(line for line in lines if not line.startswith("$ "))


@pytest.mark.parametrize("block", COMMANDS, ids=str)
def test_commands_write_what_the_page_says(block: Block, programs: Path, receivers: Collectors, tmp_path: Path) -> None:
    for other in blocks_of(block.page):
        if other.file is not None:
            (tmp_path / other.file).write_text(other.body, encoding="utf-8")
    script, expected = script_of(block, receivers)
    path = os.pathsep.join((str(programs), str(Path(sys.executable).parent), os.environ["PATH"]))
    receivers.received.clear()
    done = subprocess.run(  # noqa: S603 - commands of our own pages
        ["/bin/sh", "-c", script],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
        cwd=tmp_path,
        env=environment(tmp_path, PATH=path),
    )
    assert done.returncode == 0, done.stderr
    assert lasting(done.stdout) == lasting(expected)
    if "127.0.0.1" in script:
        assert receivers.received >= {"/v1/traces", "/v1/metrics"}, done.stderr
