"""Runs a program as a user would, with Kaizen's models on the local model server.

    offline.py URL PROGRAM [ARGUMENT …]
    offline.py URL -m MODULE [ARGUMENT …]

Kaizen refuses loopback addresses. The examples know nothing of that: the guard is lifted here, in their process.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from kaizen_otel.demo.loopback import lift_loopback_guard


def main() -> None:
    _, url, *arguments = sys.argv
    with lift_loopback_guard(url):
        if arguments[0] == "-m":
            sys.argv = arguments[1:]
            sys.path[0] = ""
            runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        else:
            sys.argv = arguments
            sys.path[0] = str(Path(arguments[0]).resolve().parent)
            runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    main()
