"""Runs Python snippets, each in a fresh process that is forked from one which has imported Kaizen already."""

from __future__ import annotations

import atexit
import logging
import multiprocessing
import os
import socket
import sys
import traceback
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kaizen_otel.demo.loopback import lift_loopback_guard
from tests.docs.props import props_for

if TYPE_CHECKING:
    from pathlib import Path

PROMETHEUS_PORT = 9464
"""The port that the pages name; each run has a free one instead."""

_LONGEST_S = 60.0
_MESSAGE = "a snippet took longer than {:.0f} s"


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of a snippet."""

    status: int
    stdout: str
    stderr: str


class SnippetRunner:
    """Snippets against one model server, in one folder."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url = url
        self._folder = folder
        self._processes = multiprocessing.get_context("forkserver")
        self._processes.set_forkserver_preload(["tests.docs.preloaded"])

    def run(self, source: str, name: str) -> Ran:
        """Run one snippet; `name` is what its traceback shows."""
        source = source.replace(str(PROMETHEUS_PORT), str(free_port()))
        process = self._processes.Process(target=_perform, args=(source, name, self._url, str(self._folder)))
        process.start()
        process.join(_LONGEST_S)
        if process.is_alive():
            process.kill()
            process.join()
            raise TimeoutError(_MESSAGE.format(_LONGEST_S))
        out, err = (self._folder / stream for stream in (".stdout", ".stderr"))
        return Ran(process.exitcode or 0, out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8"))


def free_port() -> int:
    """A port of loopback on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _perform(source: str, name: str, url: str, folder: str) -> None:
    os.chdir(folder)
    for number, stream in ((1, ".stdout"), (2, ".stderr")):
        handle = os.open(stream, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, number)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - for the life of the process
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - same
    os.environ.update({"HOME": folder, "COLUMNS": "100", "NO_COLOR": "1", "KAILASH_TRACKING_DIR": folder})
    warnings.simplefilter("ignore")  # Kaizen's own
    logging.getLogger("kaizen").setLevel(logging.CRITICAL)
    with lift_loopback_guard(url):
        try:
            exec(compile(source, name, "exec"), {"__name__": "__main__", **props_for(source)})  # noqa: S102
        except BaseException:  # noqa: BLE001 - a traceback and a status, as Python itself would end
            traceback.print_exc()
            sys.exit(1)
        finally:
            atexit._run_exitfuncs()  # a child of multiprocessing skips them, a program does not
            sys.stdout.flush()
            sys.stderr.flush()
