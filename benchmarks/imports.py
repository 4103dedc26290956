"""What `import kaizen_otel` costs beyond `opentelemetry.sdk`, in fresh interpreters, turn by turn.

Run from the repository: python -m benchmarks.imports [--rounds 15] [--write] [--breakdown]
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.harness import write_between_markers

DOCUMENT = Path(__file__).parent.parent / "docs" / "performance.md"
BUDGET_MS = 60
SDK = "import opentelemetry.sdk.trace, opentelemetry.sdk.metrics"
OURS = ("import kaizen_otel", "import kaizen_otel.instrumentor", "import kaizen_processors.pipeline")

_TIMED = """\
import time
{before}
begun = time.process_time_ns()
{statement}
print((time.process_time_ns() - begun) / 1e6)
"""


def milliseconds(statement: str) -> float:
    """Processor time of a statement in an interpreter that has the SDK loaded already."""
    return float(_python("-c", _TIMED.format(before=SDK, statement=statement)).stdout)


def breakdown(statement: str, least_ms: float = 1.0) -> list[tuple[float, str]]:
    """The modules that take most of it by themselves, in milliseconds."""
    lines = _python("-X", "importtime", "-c", f"{SDK}\n{statement}").stderr.splitlines()
    found = (re.match(r"import time:\s+(\d+) \|\s+\d+ \| (\s*\S+)", line) for line in lines)
    times = [(int(match[1]) / 1_000, match[2].strip()) for match in found if match]
    begin = max(i for i, (_, name) in enumerate(times) if name.startswith("opentelemetry.sdk.metrics")) + 1
    return sorted((one for one in times[begin:] if one[0] >= least_ms), reverse=True)


def _python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], check=True, capture_output=True, text=True)  # noqa: S603


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="fresh interpreters for each statement")
    parser.add_argument("--breakdown", action="store_true", help="name the modules that take most of it")
    parser.add_argument("--write", action="store_true", help=f"put the table into {DOCUMENT.name}")
    options = parser.parse_args()

    taken: dict[str, list[float]] = {statement: [] for statement in OURS}
    for _ in range(options.rounds):
        for statement in OURS:
            taken[statement].append(milliseconds(statement))
    lines = ["| beyond `opentelemetry.sdk` | ms, best | ms, median | at most |", "| --- | ---: | ---: | ---: |"]
    for statement, times in taken.items():
        budget = ""
        if statement == OURS[0]:
            budget = f"{BUDGET_MS}" if min(times) <= BUDGET_MS else f"{BUDGET_MS} **missed**"
        lines.append(f"| `{statement}` | {min(times):.0f} | {statistics.median(times):.0f} | {budget} |")
    table = "\n".join(lines)
    print(table)
    if options.breakdown:
        for statement in OURS:
            print(f"\n{statement}")
            for milli, name in breakdown(statement):
                print(f"  {milli:6.1f} ms  {name}")
    if options.write:
        write_between_markers(DOCUMENT, "imports", table)


if __name__ == "__main__":
    main()
