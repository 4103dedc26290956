"""A durable run as a process: `python durable_run.py DATABASE crash|go-on`; prints traceparent, links and results."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3]))

from kailash.db.connection import ConnectionManager
from kailash.infrastructure.checkpoint_store import DBCheckpointStore
from kailash.runtime.durable import DurableExecutionEngine

from kaizen_otel.testing import capture
from tests.kaizen_otel.queues.flows import flow

SECOND = f"import os\nif os.environ['DURABLE'] == 'crash': os._exit({os.EX_TEMPFAIL})\nresult = {{'after': before}}"


async def run(database: str) -> Any:
    """Run the workflow under its key, with a checkpoint after each node."""
    connections = ConnectionManager(f"sqlite:///{database}")
    await connections.initialize()
    store = DBCheckpointStore(connections)
    await store.initialize()
    engine = DurableExecutionEngine.builder().checkpoint_store(store).build()
    try:
        results, _ = await engine.execute(flow("durable", "result = {'n': 1}", SECOND), idempotency_key="order-17")
    finally:
        await connections.close()
    return results


def main(database: str, how: str) -> None:
    """Run, and tell what was seen."""
    os.environ["DURABLE"] = how
    with capture(deterministic=False) as seen:
        results = asyncio.run(run(database))
        span = seen.span("invoke_workflow")
        links = [f"00-{ln.context.trace_id:032x}-{ln.context.span_id:016x}-01" for ln in span.raw.links]
        told = {"resumed": span.attributes.get("kaizen.workflow.resumed"), "links": links, "results": results}
        print(json.dumps({**told, "nodes": len(seen.spans_named("node"))}, default=str))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
