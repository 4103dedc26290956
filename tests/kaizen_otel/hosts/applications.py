"""Applications as their hosts load them: `kaizen_otel.instrument()` once, an agent for each request.

KAIZEN_MODEL_SERVER   the URL of the model server
KAIZEN_OTEL_FILE      the file that traces go to (kaizen-otel's own setting); without it nothing is instrumented
KAIZEN_TEST_ALERTS    a file that gets a line for each alert: its type, its status, the process that was told;
                      and one beside it, with the suffix .json, that gets the alerts
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kaizen_otel
from kaizen_otel.demo.loopback import lift_loopback_guard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_lifted = ExitStack()  # for the life of the process
_lifted.enter_context(lift_loopback_guard(os.environ["KAIZEN_MODEL_SERVER"]))
if "KAIZEN_OTEL_FILE" in os.environ:
    kaizen_otel.instrument()


def note_alert(alert: dict[str, Any]) -> None:
    """Write down that this process was told of an alert."""
    path = Path(os.environ["KAIZEN_TEST_ALERTS"])
    with path.with_suffix(".json").open("a", encoding="utf-8") as file:
        file.write(f"{json.dumps(alert)}\n")
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{alert['type']} {alert['status']} {os.getpid()}\n")


if "KAIZEN_TEST_ALERTS" in os.environ:
    kaizen_otel.register_alert_handler(note_alert, resolved=True)

from kaizen.core.framework import Kaizen  # noqa: E402 - as an application does that instruments first

from tests.kaizen_otel.surfaces.scenes import base_agent  # noqa: E402 - it imports Kaizen


def ask(name: str) -> str:
    """One run of an agent of this name, in the calling thread."""
    agent = Kaizen().create_agent(name, {"model": "gpt-4o", "provider": "openai"})
    return str(agent.execute(question="x")["answer"])


async def ask_awaited(name: str) -> str:
    """One awaited run of a `BaseAgent` of this name."""
    answer = await base_agent(agent_id=name, use_async_llm=True).run_async(question="x")
    return str(answer["answer"])


def of_this_process(what: str) -> str:
    """`metrics`: those of the host; `sums`: those of this process's ledger, exactly, and the port that it serves.

    `flush`: the same, after a flush.
    """
    if what == "flush":
        kaizen_otel.flush()
    if what == "metrics":
        return f"# pid {os.getpid()}\n{kaizen_otel.host_metrics()}"
    stats = kaizen_otel.stats()
    calls = [[*key, one["input_tokens"], one["output_tokens"], str(one["cost"])] for key, one in stats["calls"].items()]
    executions = [[*key, count] for key, count in stats["executions"].items()]
    said = {"calls": calls, "executions": executions, "port": stats["prometheus_port"], "failures": stats["failures"]}
    return json.dumps({"pid": os.getpid(), **said})


def wsgi(environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], Any]) -> Iterable[bytes]:
    """`GET /{agent}`: the answer, the process and thread that gave it; `GET /metrics`, `/sums`, `/flush`: figures."""
    path = environ["PATH_INFO"].strip("/")
    if path in {"metrics", "sums", "flush"}:
        start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
        return [of_this_process(path).encode()]
    answer = ask(path)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{answer} {os.getpid()} {threading.get_ident()}".encode()]


async def live(receive: Any, send: Any) -> None:
    """Flush when the server stops: uvicorn then ends by the signal that stopped it, past every `atexit`."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.shutdown":
            kaizen_otel.flush()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def asgi(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """`GET /{agent}`: awaited; `GET /blocking/{agent}`: run inside the event loop; `GET /thread/{agent}`: beside it."""
    if scope["type"] == "lifespan":
        await live(receive, send)
        return
    await receive()
    *way, name = scope["path"].strip("/").split("/")
    if way == ["blocking"]:
        answer = ask(name)
    elif way == ["thread"]:
        answer = await asyncio.to_thread(ask, name)
    else:
        answer = await ask_awaited(name)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": f"{answer} {os.getpid()}".encode()})
