"""What a watched call is made of: bytecodes that the interpreter executes, by part. The same on every machine.

Microseconds come from `benchmarks.overhead`; what the processor makes of a bytecode depends on what ran before it.
Run from the repository: python -m benchmarks.bytecodes [--write]
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

from benchmarks import overhead, parts, scenes
from benchmarks.harness import Case, write_between_markers

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

TIMES = 20
WARM = 50

PARTS = {
    "SDK: cleaning and holding attributes and labels": ("opentelemetry/attributes/",),
    "SDK: spans": ("opentelemetry/", "contextlib.py"),
    "SDK: histograms": ("opentelemetry/sdk/metrics/",),
    "SDK: context": ("opentelemetry/context/",),
    "ours: reading Kaizen's request and answer": ("kaizen_otel/patches/",),
    "ours: the invocation, its place above and below, its end": ("kaizen_otel/",),
    "ours: names and values of attributes and labels": ("kaizen_otel/invocations/emit.py",),
    "ours: price": ("kaizen_processors/pricing/",),
    "ours: sums": ("kaizen_processors/ledger.py",),
    "ours: spans of other libraries": ("kaizen_processors/dialects/",),
    "ours: windows": ("kaizen_processors/window", "kaizen_processors/sketch.py"),
    "ours: pipeline, recorder, fence": ("kaizen_processors/",),
}
"""The longest beginning of a module's path decides; what is none of these (Kaizen, asyncio) is not shown."""


def columns() -> dict[str, Case]:
    """What is counted."""
    client, transport = scenes.make_client(), scenes.InstantTransport()
    chats = scenes.in_a_loop(scenes.completions(client, transport))
    everything, deferred, _, _, unsampled, noop = (
        overhead.make_variant(options) for _, _, options in overhead.VARIANTS
    )
    foreign = next(case for case in parts.cases() if case.name == "foreign call")
    return {
        "bare span": Case("", scenes.bare_span()),
        "everything": Case("", scenes.invocations(everything), scenes.watched_by(everything)),
        "deferred": Case("", scenes.invocations(deferred), scenes.watched_by(deferred)),
        "not sampled": Case("", scenes.invocations(unsampled), scenes.watched_by(unsampled)),
        "no-op": Case("", scenes.invocations(noop), scenes.watched_by(noop)),
        "everything, `complete`": Case("", chats, scenes.watched_by(everything)),
        "no-op, `complete`": Case("", chats, scenes.watched_by(noop)),
        "foreign call": foreign,
    }


def count(case: Case) -> Counter[str]:
    """Bytecodes of one operation, by part."""
    executed: Counter[str] = Counter()

    def enter(frame: FrameType, event: str, argument: Any) -> Callable[..., Any] | None:
        del event, argument
        part = _part_of(frame.f_code.co_filename)
        if part is None:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False

        def step(_frame: FrameType, event: str, _argument: Any) -> Any:
            if event == "opcode":
                executed[part] += 1
            return step

        return step

    with scenes.answering_at_once(), case.around():
        case.run(WARM)
        sys.settrace(enter)
        case.run(TIMES)
        sys.settrace(None)
    return executed


def _part_of(path: str) -> str | None:
    best, found = "", None
    for part, beginnings in PARTS.items():
        for beginning in beginnings:
            if f"/{beginning}" in path and len(beginning) > len(best):
                best, found = beginning, part
    return found


def table() -> str:
    """All columns, as a table."""
    counted = {name: count(case) for name, case in columns().items()}
    lines = [["bytecodes", *counted], ["---", *("---:" for _ in counted)]]
    lines += [[part, *(f"{executed[part] / TIMES:.0f}" for executed in counted.values())] for part in PARTS]
    totals = [sum(executed.values()) for executed in counted.values()]
    lines.append(["**all**", *(f"{total / TIMES:.0f}" for total in totals)])
    lines.append(["**of a bare span**", *(f"{total / totals[0]:.2f}" for total in totals)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"put the table into {overhead.DOCUMENT.name}")
    options = parser.parse_args()
    logging.disable(logging.ERROR)
    text = table()
    print(text)
    if options.write:
        write_between_markers(overhead.DOCUMENT, "bytecodes", text)


if __name__ == "__main__":
    main()
