"""The tables of `docs/versions.md`, out of the table of capabilities. `python tests/versions/page.py` writes them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.versions.capabilities import CAPABILITIES, LANES, has

PAGE = Path(__file__).parents[2] / "docs" / "versions.md"
_PART = re.compile(r"(<!-- from the table: (\w+) -->\n).*?(\n<!-- end -->)", re.DOTALL)


def seen() -> str:
    """What is seen in which Kaizen."""
    lines = [
        f"| with Kaizen | {' | '.join(lane.kaizen for lane in LANES)} |",
        f"|---|{'---|' * len(LANES)}",
        f"| and Kailash | {' | '.join(lane.kailash for lane in LANES)} |",
    ]
    for name, capability in CAPABILITIES.items():
        cells = ("yes" if has(name, lane.release) else "no" for lane in LANES)
        lines.append(f"| {capability.what} | {' | '.join(cells)} |")
    return "\n".join(lines)


def instead() -> str:
    """What happens where it is not seen."""
    lines = ["| where this says no | what happens |", "|---|---|"]
    lines += [
        f"| {capability.what} | {capability.without} |" for capability in CAPABILITIES.values() if capability.without
    ]
    return "\n".join(lines)


def rendered(text: str) -> str:
    """The page with its tables as they should be."""
    parts = {"seen": seen, "instead": instead}
    return _PART.sub(lambda found: f"{found[1]}{parts[found[2]]()}{found[3]}", text)


if __name__ == "__main__":
    PAGE.write_text(rendered(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
