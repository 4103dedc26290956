"""A place that cannot be written to: the process goes on without its store, says so once, and tries again."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from kaizen_processors.windows import Group
from tests.processors.store.host import Host
from tests.processors.store.troubles import warnings
from tests.processors.windows.records import call

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.mark.parametrize("way", ["a file is in the way of the folder", "the file is a folder"])
def test_a_place_that_cannot_be_used_costs_one_warning_and_is_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    folder = tmp_path / "folder"
    host = Host(folder, 1)
    obstacle = folder if way.startswith("a file") else host.path
    if obstacle is folder:
        folder.write_text("in the way")
    else:
        obstacle.mkdir(parents=True)
    (worker,) = host.workers
    for _ in range(7):
        worker.see(call())
        host.pass_time(10)
    assert worker.windows.read().sums.model_calls == 7
    assert worker.store.leads()  # alone, as without a store
    stats = worker.store.stats()
    assert not stats["open"]
    assert stats["rows_waiting"] > 0
    (told,) = warnings(caplog)
    assert "going on without it" in told
    assert sum(worker.failures.values()) > 1
    (obstacle.unlink if obstacle is folder else obstacle.rmdir)()
    host.pass_time(12)
    assert worker.store.stats()["open"]
    with host.reader() as reader:
        assert reader.window(Group(), 300.0).sums.model_calls >= 6
    assert len(warnings(caplog)) == 1


READ_ONLY = """
    import os, sys
    from pathlib import Path
    from tests.processors.store.host import Host
    from tests.processors.windows.records import call
    first = Host(Path(sys.argv[2]), 1)  # everything is imported
    first.settle()
    first.workers[0].store.shutdown()
    if os.getuid() == 0:  # whom no permission stops
        os.setuid(65534)
    host = Host(Path(sys.argv[1]), 1)
    (worker,) = host.workers
    worker.see(call())
    host.pass_time(25)
    worker.store.shutdown()
    assert worker.windows.read().sums.model_calls == 1
    print(dict(worker.failures), worker.store.stats()["rows_waiting"])
"""


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A folder that every user reaches: each session of pytest that begins closes pytest's own to all but its owner."""
    with TemporaryDirectory() as made:
        folder = Path(made)
        folder.chmod(0o755)
        yield folder
        folder.chmod(0o755)


@pytest.mark.parametrize("there", [True, False])
def test_without_permission_a_process_goes_on(
    open_to_all: Path, tmp_path: Path, pytestconfig: pytest.Config, there: bool
) -> None:
    if there:
        host = Host(open_to_all, 1)
        host.settle()
        host.workers[0].store.shutdown()
        host.path.chmod(0o444)
    open_to_all.chmod(0o555)
    ran = run(READ_ONLY, pytestconfig, str(open_to_all), str(tmp_path))
    assert ran.stdout == ("{'read_only': 4} 1\n" if there else "{'permission': 4} 1\n")
    assert ran.stderr.count("going on without it") == 1


FULL = """
    import resource, signal, sys
    from pathlib import Path
    from tests.processors.store.host import Host
    from tests.processors.windows.records import call
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    host = Host(Path(sys.argv[1]), 1)
    (worker,) = host.workers
    host.settle()
    limit = 200_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    for number in range(400):
        for agent in range(10):
            worker.see(call(f"agent {number} {agent}"))
        host.pass_time(10)
    assert worker.windows.read().sums.model_calls > 0
    assert worker.failures, "the disk was not full"
    waiting = worker.store.stats()["rows_waiting"]
    assert waiting > 0, worker.store.stats()
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    host.pass_time(30)
    assert worker.store.stats()["rows_waiting"] == 0
    with host.reader() as reader:
        assert reader.window(window_s=86_400.0).sums.model_calls == 4_000
    print(sorted(worker.failures))
    worker.store.shutdown()
"""


def test_a_full_disk_loses_nothing_when_there_is_room_again(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    ran = run(FULL, pytestconfig, str(tmp_path))
    assert ran.stdout in {"['full']\n", "['io_error']\n", "['full', 'io_error']\n"}
    assert ran.stderr.count("going on without it") in {1, 2}  # once for each reason


def run(program: str, pytestconfig: pytest.Config, *given: str) -> subprocess.CompletedProcess[str]:
    ran = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", textwrap.dedent(program), *given],
        cwd=pytestconfig.rootpath,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran
