"""How often a comparison of two runs cries wolf, and how often it sees the wolf: `python -m benchmarks.false_alarms`.

Simulated durations with the long tail that model calls have (log-normal, sigma 0.5), five metrics a run. In a null run
before and after are drawn from the same distribution: whatever is found is a false alarm. `--write` puts the table into
docs/baselines.md.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Final

from kaizen_processors.baselines import Baseline, Limits, Verdict, compare

DOCUMENT: Final = Path(__file__).parents[1] / "docs" / "baselines.md"
METRICS: Final = 5
SIGMA: Final = 0.5
ANY_SIZE: Final = Limits(effect=0.0, shift=0.0)
_BEGIN, _END = "<!-- false alarms -->\n", "<!-- /false alarms -->"


def rate(runs: int, samples: int, slower: float, limits: Limits, seed: int = 1) -> float:
    """In which part of the runs a regression was found; the first metric is `slower` times slower."""
    rng = random.Random(seed)  # noqa: S311 - simulated measurements
    found = 0
    for _ in range(runs):
        before, after = Baseline(), Baseline()
        for metric in range(METRICS):
            for side, factor in ((before, 1.0), (after, slower if metric == 0 else 1.0)):
                side.add(f"m{metric}", (factor * rng.lognormvariate(0, SIGMA) for _ in range(samples)))
        found += any(one.verdict is Verdict.REGRESSION for one in compare(before, after, limits))
    return found / runs


def table(runs: int = 1_000) -> str:
    """The rates as a Markdown table."""
    lines = [
        "| samples on each side | nothing changed | … by p alone | 25 % slower | 50 % slower | twice as slow |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    for samples in (10, 30, 100):
        alarms = rate(runs, samples, 1.0, Limits()), rate(runs, samples, 1.0, ANY_SIZE)
        seen = (rate(runs, samples, slower, Limits()) for slower in (1.25, 1.5, 2.0))
        lines.append(f"| {samples} | " + " | ".join(f"{value:.1%}" for value in (*alarms, *seen)) + " |")
    return "\n".join(lines) + f"\n\n{runs:,} runs each.\n"


if __name__ == "__main__":
    made = table()
    print(made)
    if "--write" in sys.argv:
        text = DOCUMENT.read_text(encoding="utf-8")
        head, _, rest = text.partition(_BEGIN)
        DOCUMENT.write_text(f"{head}{_BEGIN}{made}{_END}{rest.partition(_END)[2]}", encoding="utf-8")
