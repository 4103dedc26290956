"""The environment of a user's programs, and their output without what differs from run to run."""

from __future__ import annotations

import os
import re
from pathlib import Path

RUNNER = Path(__file__).with_name("offline.py")
_OURS = ("OTEL_", "KAIZEN_", "KAILASH_", "OPENAI_")

_BARS = re.compile(r"[━╺╸┄]+")
_RULES = re.compile(r"─{4,}")
_TIMES = re.compile(r"(?<![\w.,$])[\d.]+(?:µs|ms|s)(?![\w])")
_IDS = re.compile(r"\b(?:[0-9a-f]{32}|[0-9a-f]{16})\b")
_DATES = re.compile(r"\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d\b")
_PROGRAMS = re.compile(r"(?<=unknown_service):\S+")
_BODIES = re.compile(r" body=.*")


def environment(home: Path, **extra: str) -> dict[str, str]:
    """The environment of a user who has set nothing, at home in `home`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    quiet = {"NO_COLOR": "1", "COLUMNS": "100", "PYTHONIOENCODING": "utf-8", "PYTHONWARNINGS": "ignore"}
    return {**kept, **quiet, "HOME": str(home), **extra}


def lasting(text: str) -> str:
    """A text without times, ids and bars, and with single spaces: what is the same in each run."""
    for what, name in (
        (_DATES, "DATE"),
        (_IDS, "ID"),
        (_BARS, " "),
        (_RULES, "────"),
        (_TIMES, "TIME"),
        (_PROGRAMS, ""),
        (_BODIES, ""),
    ):
        text = what.sub(name, text)
    return "\n".join(re.sub(r"(?<=\S) {2,}", " ", line).rstrip() for line in text.strip("\n").splitlines())
