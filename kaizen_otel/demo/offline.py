"""Runs a program as it is, with Kaizen's models on a local model server: no key, no network.

    python -m kaizen_otel.demo.offline PROGRAM [ARGUMENT …]

Each question gets a short answer; those of examples/ get theirs. The program knows nothing of it. Kaizen refuses
loopback addresses: the guard is lifted here, in this process, while the program runs.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Final

from kaizen_otel.demo.example_answers import answer
from kaizen_otel.demo.loopback import lift_loopback_guard
from kaizen_otel.demo.model_server import ModelServer

_USAGE: Final = "usage: python -m kaizen_otel.demo.offline PROGRAM [ARGUMENT …]"


def run_offline(program: str, *arguments: str) -> None:
    """Run one Python program as `__main__`; what it raises passes."""
    sys.argv = [program, *arguments]
    sys.path[0] = str(Path(program).resolve().parent)
    with ModelServer() as server, lift_loopback_guard(server.url):
        server.script(answer)
        runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    if len(sys.argv) == 1 or not Path(sys.argv[1]).is_file():
        sys.exit(_USAGE if len(sys.argv) == 1 else f"{sys.argv[1]}: there is no such program; {_USAGE}")
    run_offline(*sys.argv[1:])
