"""What watching costs in instructions of the processor: the same on a busy machine as on an idle one.

Each case runs twice under valgrind's cachegrind, for fewer and for more operations; the difference is what the
operations took, whatever the start-up took. Needs valgrind. Run from the repository:
python -m benchmarks.instructions [--write]
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from benchmarks import overhead, scenes, sdk_parts
from benchmarks.harness import Case, write_between_markers
from kaizen_processors import recording

if TYPE_CHECKING:
    from collections.abc import Iterator

FEWER, MORE = 300, 1_300
WARM = 50
BARE = Case("a bare SDK span with 20 attributes", scenes.bare_span())


def cases() -> Iterator[Case]:
    """What is counted: as in `benchmarks.overhead`, where it says what each is."""
    yield BARE
    yield from sdk_parts.cases()
    client, transport = scenes.make_client(), scenes.InstantTransport()
    chats = scenes.in_a_loop(scenes.completions(client, transport))
    for what, _, options in overhead.VARIANTS:
        telemetry = overhead.make_variant(options)
        yield Case(what, scenes.invocations(telemetry), scenes.watched_by(telemetry))
    yield Case("a chat of Kaizen's, unwatched", chats)
    for what, _, options in overhead.VARIANTS:
        yield Case(f"{what} (through `LlmClient.complete`)", chats, scenes.watched_by(overhead.make_variant(options)))


def run(name: str, count: int) -> None:
    """Do one case so many times, in a process of its own, and leave without the interpreter's end."""
    logging.disable(logging.ERROR)
    recording.DRAIN_INTERVAL_S = 3_600.0  # what waits is not the caller's
    case = next(case for case in cases() if case.name == name)
    with scenes.answering_at_once(), case.around():
        case.run(WARM)
        gc.collect()
        gc.freeze()
        gc.disable()
        case.run(count)
        os._exit(0)


def count(name: str) -> float:
    """Instructions of one operation of a case."""
    with ThreadPoolExecutor(2) as pool:
        fewer, more = pool.map(lambda times: _counted(name, times), (FEWER, MORE))
    return (more - fewer) / (MORE - FEWER)


def _counted(name: str, times: int) -> int:
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise FileNotFoundError("valgrind is not installed")
    command = [valgrind, "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    command += [sys.executable, "-m", "benchmarks.instructions", "--case", name, "--count", str(times)]
    done = subprocess.run(  # noqa: S603 - ourselves
        command, check=True, capture_output=True, text=True, env=os.environ | {"PYTHONHASHSEED": "0"}
    )
    found = re.search(r"I\s+refs:\s+([\d,]+)", done.stderr)
    if found is None:
        raise RuntimeError(f"valgrind counted nothing: {done.stderr[-500:]}")
    return int(found[1].replace(",", ""))


def table() -> str:
    """All cases, as a table."""
    unit = count(BARE.name)
    lines = ["| | thousand instructions | of a bare span |", "| --- | ---: | ---: |"]
    for case in cases():
        print(f"{case.name} …", file=sys.stderr)
        instructions = unit if case is BARE else count(case.name)
        lines.append(f"| {case.name} | {instructions / 1_000:.0f} | {instructions / unit:.2f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"put the table into {overhead.DOCUMENT.name}")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case is not None:
        run(options.case, options.count)
    text = table()
    print(text)
    if options.write:
        write_between_markers(overhead.DOCUMENT, "instructions", text)


if __name__ == "__main__":
    main()
