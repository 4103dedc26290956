"""A worker as a process of its own: `python worker.py URL ATTEMPTS watched|unwatched`; prints its spans as JSON."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from kaizen_otel.testing import capture
from tests.kaizen_otel.queues.flows import work


def main(url: str, attempts: str, how: str) -> None:
    """Work, and tell what was seen."""
    with capture(deterministic=False) if how == "watched" else contextlib.nullcontext() as seen:
        asyncio.run(work(url, int(attempts)))
        spans = [] if seen is None else seen.spans
        print(json.dumps([(s.name, s.trace_id, s.parent_id, s.attributes.get("user.id")) for s in spans]))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
