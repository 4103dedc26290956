"""Real ends of real processes: what the end finds running is ended, and delivered."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from kaizen_otel.demo.model_server import Reply, Rule
from kaizen_processors.export.otlp_file import read_otlp_json
from kaizen_processors.trace_tree import build_traces
from kaizen_semconv import attributes as k
from tests.examples.programs import environment
from tests.kaizen_otel.test_pending_spans import held_answers
from tests.processors.forking import needs_fork

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kaizen_otel.demo.model_server import ModelServer


START = """
import asyncio, faulthandler, os, signal, sys, threading
faulthandler.dump_traceback_later(120, exit=True)  # nobody waits for ever

from tests.kaizen_otel.hosts.applications import ask, ask_awaited
from kaizen_otel.patches.switch import active


def in_call():
    telemetry = active()
    running = telemetry.running.oldest_first() if telemetry else []
    return any(one.kind == "call" for one in running)


def until_in_call():
    turn = threading.Event()
    while not in_call():
        turn.wait(0.01)


def in_thread(daemon):
    thread = threading.Thread(target=ask, args=("desk",), daemon=daemon)
    thread.start()
    until_in_call()
    return thread

"""


DAEMON_THREAD = """
in_thread(daemon=True)
"""


OTHER_THREAD = """
from tests.kaizen_otel.surfaces.scenes import MESSAGES, llm_client

# A call alone: an agent wants an executor, which the end of the main thread has closed.
threading.Thread(target=lambda: asyncio.run(llm_client().complete(MESSAGES))).start()
sys.stdin.readline()
print("released", flush=True)
"""


SYS_EXIT = """
from kaizen.strategies.single_shot import SingleShotStrategy
from tests.kaizen_otel.surfaces.scenes import base_agent

class Leaving(SingleShotStrategy):
    def execute(self, agent, inputs, **_):
        sys.exit(3)

base_agent(agent_id="desk", strategy=Leaving()).run(question="x")
"""


INTERRUPTED = """
threading.Thread(target=lambda: (until_in_call(), os.kill(os.getpid(), signal.SIGINT)), daemon=True).start()
signal.signal(signal.SIGINT, signal.default_int_handler)
ask("desk")
"""


CANCELLED_LOOP = """
async def witness():
    try:
        await asyncio.Event().wait()
    finally:
        print("cancelled", flush=True)  # as every task is; the agent's then waits for its executor's thread

async def main():
    tasks = asyncio.create_task(ask_awaited("desk")), asyncio.create_task(witness())
    while not in_call():
        await asyncio.sleep(0.01)

asyncio.run(main())
"""


LOOP_LEFT_OPEN = """
loop = asyncio.new_event_loop()
task = loop.create_task(ask_awaited("desk"))
async def turn():
    while not in_call():
        await asyncio.sleep(0.01)
loop.run_until_complete(turn())
"""


TERMINATED = """
in_thread(daemon=True)
print("ready", flush=True)
signal.pause()
"""


CHILD = """
import multiprocessing

def leave():
    in_thread(daemon=True)

if __name__ == "__main__":
    child = multiprocessing.get_context("fork").Process(target=leave)
    child.start()
    child.join()
    sys.exit(child.exitcode)
"""


@contextmanager
def program(source: str, file: Path, server: ModelServer, root: Path, **more: str) -> Iterator[subprocess.Popen[str]]:
    env = environment(
        file.parent, KAIZEN_MODEL_SERVER=server.url, KAIZEN_OTEL_FILE=str(file), PYTHONPATH=str(root), **more
    )
    with subprocess.Popen(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", START + source],
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def spans_of(file: Path) -> list[Any]:
    return [node for trace in build_traces(read_otlp_json(file)) for node, _ in trace.walk()]


@pytest.mark.parametrize(
    ("source", "statuses", "abandoned"),
    [
        pytest.param(DAEMON_THREAD, (0,), "exit", id="daemon thread"),
        pytest.param(LOOP_LEFT_OPEN, (0,), "exit", id="task of a loop that was never closed"),
        pytest.param(CANCELLED_LOOP, (0,), None, id="task that asyncio.run cancels"),
        pytest.param(SYS_EXIT, (3,), None, id="sys.exit inside an agent"),
        pytest.param(INTERRUPTED, (1, 130, -signal.SIGINT), None, id="KeyboardInterrupt"),
        pytest.param(CHILD, (0,), "exit", id="daemon thread in a child of multiprocessing", marks=needs_fork),
    ],
)
def test_the_end_of_a_process_delivers_what_ran(
    source: str,
    statuses: tuple[int, ...],
    abandoned: str | None,
    model_server: ModelServer,
    tmp_path: Path,
    pytestconfig: pytest.Config,
) -> None:
    file = tmp_path / "runs.jsonl"
    with (
        held_answers(model_server) as (_, answer),
        program(source, file, model_server, pytestconfig.rootpath) as running,
    ):
        assert running.stdout is not None
        for line in running.stdout:
            if line == "cancelled\n":
                answer.set()
        _, err = running.communicate(timeout=120)
    assert running.returncode in statuses, err
    (execution,) = [node for node in spans_of(file) if node.is_execution]
    assert execution.text(k.KAIZEN_EXECUTION_STATUS) == "cancelled", err
    assert execution.text(k.KAIZEN_SPAN_ABANDONED) == abandoned
    # Kaizen's own threads may be in the call still, or fail by themselves: the interpreter ends executors first.
    calls = [node for node in spans_of(file) if node.is_model_call and not node.failed]
    assert {node.text(k.KAIZEN_SPAN_ABANDONED) for node in calls} <= {None, "exit"}
    assert "telemetry failed" not in err


def test_the_interpreter_waits_for_other_threads_which_end_by_themselves(
    model_server: ModelServer, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    file = tmp_path / "runs.jsonl"
    model_server.script([Rule(replies=Reply(text="seen"))])
    with (
        held_answers(model_server) as (asked, answer),
        program(OTHER_THREAD, file, model_server, pytestconfig.rootpath) as running,
    ):
        assert running.stdin is not None
        assert running.stdout is not None
        assert asked.wait(60)
        running.stdin.write("leave\n")
        running.stdin.flush()
        assert running.stdout.readline() == "released\n"
        answer.set()
        _, err = running.communicate(timeout=120)
    assert running.returncode == 0, err
    (ended,) = spans_of(file)
    assert not ended.failed
    assert ended.text(k.KAIZEN_SPAN_ABANDONED) is None
    assert ended.count("gen_ai.usage.output_tokens")


def test_sigterm_ends_what_runs_where_it_delivers(
    model_server: ModelServer, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    file = tmp_path / "runs.jsonl"
    with (
        held_answers(model_server),
        program(TERMINATED, file, model_server, pytestconfig.rootpath, KAIZEN_OTEL_FLUSH_ON_SIGTERM="true") as running,
    ):
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        running.send_signal(signal.SIGTERM)
        _, err = running.communicate(timeout=120)
    assert running.returncode == -signal.SIGTERM, err
    ended = {node.name: node.text(k.KAIZEN_SPAN_ABANDONED) for node in spans_of(file)}
    assert ended["invoke_agent desk"] == ended["chat gpt-4o"] == "sigterm"


LATE_PROVIDER = """
import atexit, threading
import kaizen_otel
kaizen_otel.instrument(log_correlation=False)
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
from kaizen_otel.invocations.agent import AgentRequest
from kaizen_otel.patches.switch import active

# The application sets its provider after us: its exit comes before ours, unless we come first again.
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter(formatter=lambda span: span.name + "\\n")))
trace.set_tracer_provider(provider)
left = active().agent(lambda: AgentRequest("desk", object()))
"""


def test_what_is_ended_at_exit_reaches_a_provider_that_was_set_later() -> None:
    ran = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", LATE_PROVIDER], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "invoke_agent desk\n"
