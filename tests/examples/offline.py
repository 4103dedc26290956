"""Runs a program as a user would, with Kaizen's models on the local model server: `offline.py URL PROGRAM`.

Kaizen refuses loopback addresses. The examples know nothing of that: the guard is lifted here, in their process.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from kaizen_otel.demo.loopback import lift_loopback_guard


def main() -> None:
    url, program = sys.argv[1:]
    sys.argv = [program]
    sys.path.insert(0, str(Path(program).resolve().parent))
    with lift_loopback_guard(url):
        runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    main()
