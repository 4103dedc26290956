"""What the end finds running is ended: once, children first, and never as an error."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

import kaizen_otel
from kaizen_otel.demo.model_server import Reply, Rule
from kaizen_otel.invocations.agent import AgentRequest
from kaizen_otel.invocations.call import CallRequest
from kaizen_otel.patches.switch import active
from kaizen_otel.testing import capture
from kaizen_processors.export.otlp_file import read_otlp_json
from kaizen_processors.trace_tree import build_traces
from kaizen_semconv import attributes as k
from kaizen_semconv.attributes import KaizenCallOutcome, KaizenSpanAbandoned
from tests.examples.programs import environment
from tests.kaizen_otel.test_pending_spans import everything, held_answers
from tests.processors.forking import needs_fork

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.telemetry import Telemetry

EXIT = KaizenSpanAbandoned.EXIT


def telemetry_in_force() -> Telemetry:
    telemetry = active()
    assert telemetry is not None
    return telemetry


def agent(name: str = "desk") -> Any:
    return telemetry_in_force().agent(lambda: AgentRequest(name, object()))


def call() -> Any:
    return telemetry_in_force().call(lambda: CallRequest("chat", "openai", "gpt-4o"))


@pytest.mark.parametrize("reason", list(KaizenSpanAbandoned))
def test_what_runs_is_ended_with_what_it_used_so_far(reason: KaizenSpanAbandoned) -> None:
    with capture() as captured, agent():
        with call() as done:
            done.usage.input_tokens, done.usage.output_tokens = 100, 10
        with call():
            assert telemetry_in_force().running.close(reason, 1.0) == 2
            chat, run = captured.spans[1:]
            assert (chat.name, run.name) == ("chat gpt-4o", "invoke_agent desk")
            assert chat[k.KAIZEN_SPAN_ABANDONED] == run[k.KAIZEN_SPAN_ABANDONED] == reason.value
            assert chat[k.KAIZEN_CALL_OUTCOME] == KaizenCallOutcome.ABANDONED.value
            assert chat.status == run.status == "UNSET"
            assert "error.type" not in run.attributes
            (execution,) = captured.executions
            assert execution.status == "cancelled"
            assert (execution.tokens_input, execution.tokens_output, execution.model_calls) == (100, 10, 2)
            assert execution.cost_usd > 0
            assert not execution.cost_complete  # nobody knows what the open call cost
            assert execution.duration_ms == run.duration_ms > chat.duration_ms
            assert kaizen_otel.stats()["executions"] == {("desk", "gpt-4o", "cancelled"): 1}


def test_what_ends_by_itself_later_ends_once() -> None:
    with capture() as captured:
        with agent(), call() as late:
            telemetry_in_force().running.close(EXIT, 1.0)
            late.usage.input_tokens = 5
        assert len(captured.spans) == 2
        assert len(captured.executions) == len(captured.calls) == 1
        assert telemetry_in_force().fence.counts() == {}


def test_whoever_takes_it_first_ends_it() -> None:
    """Both threads are at the same operation: one of them is in the middle of ending it."""
    with capture() as captured:
        with agent() as running:
            registry = telemetry_in_force().running
            finished = running.on_finish
            closed: list[int] = []

            def meanwhile(duration_ns: int) -> None:
                closer = threading.Thread(target=lambda: closed.append(registry.close(EXIT, 1.0)))
                closer.start()
                closer.join(10)
                finished(duration_ns)

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(type(running), "on_finish", lambda _, duration_ns: meanwhile(duration_ns))
                running.finish()
        assert closed == [0]
        assert [execution.status for execution in captured.executions] == ["success"]
        assert k.KAIZEN_SPAN_ABANDONED not in captured.span("invoke_agent").attributes


def test_what_is_being_ended_at_the_exit_is_not_ended_by_its_own_thread_as_well() -> None:
    with capture() as captured, agent() as running:
        abandon = type(running).abandon

        def meanwhile(self: Any, reason: KaizenSpanAbandoned) -> None:
            owner = threading.Thread(target=self.finish)
            owner.start()
            owner.join(10)
            abandon(self, reason)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(running), "abandon", meanwhile)
            assert telemetry_in_force().running.close(EXIT, 1.0) == 1
        assert [execution.status for execution in captured.executions] == ["cancelled"]
        assert kaizen_otel.stats()["executions"] == {("desk", "none", "cancelled"): 1}


def test_every_kind_of_operation_is_ended_from_the_innermost_outwards() -> None:
    with capture() as captured, ExitStack() as stack:
        everything(stack)
        closed = telemetry_in_force().running.close(EXIT, 1.0)
        assert [span.name.split()[0] for span in captured.spans] == [
            "send",
            "prompts/get",
            "tools/call",
            "prompts/get",
            "generate_content",
            "embeddings",
            "chat",
            "create_agent",
            "execute_tool",
            "retrieval",
            "memory",
            "invoke_agent",
            "node",
            "invoke_workflow",
            "process",
            "trace",
        ]
        assert closed == len(captured.spans)
        assert {span[k.KAIZEN_SPAN_ABANDONED] for span in captured.spans} == {"exit"}
        assert {span["user.id"] for span in captured.spans} == {"u"}
        assert captured.span("trace")[k.KAIZEN_EXECUTION_MODEL_CALLS] == 3


def test_what_had_failed_before_stays_an_error() -> None:
    with capture() as captured, agent() as running:
        running.failed("ValueError", "no such order")
        telemetry_in_force().running.close(EXIT, 1.0)
        assert captured.span("invoke_agent").status == "ERROR"
        assert [execution.status for execution in captured.executions] == ["error"]


@pytest.mark.telemetry_fails
def test_closing_has_a_deadline_and_says_what_it_left() -> None:
    with capture() as captured:
        running = [agent() for _ in range(3)]
        assert telemetry_in_force().running.close(EXIT, -1.0) == 0
        assert telemetry_in_force().fence.counts() == {"abandoned.close:TimeoutError": 1}
        for one in running:
            one.finish()
        assert [execution.status for execution in captured.executions] == ["success"] * 3


def test_nothing_is_kept_of_what_has_ended() -> None:
    with capture():
        with agent(), call():
            assert len(telemetry_in_force().running.open) == 2
        assert telemetry_in_force().running.open == {}


def test_uninstrument_ends_what_runs_and_the_user_s_call_goes_on(kaizen_offline: ModelServer) -> None:
    from tests.kaizen_otel.surfaces.scenes import kaizen_agent

    kaizen_offline.script([Rule(replies=Reply(text="seen"))])
    answers: list[Any] = []
    with held_answers(kaizen_offline) as (asked, answer):
        with capture() as captured:
            thread = threading.Thread(target=lambda: answers.append(kaizen_agent().execute(question="x")))
            thread.start()
            assert asked.wait(30)
        run, chat = captured.span("invoke_agent"), captured.span("chat")
        assert run[k.KAIZEN_SPAN_ABANDONED] == chat[k.KAIZEN_SPAN_ABANDONED] == "uninstrument"
        ended = len(captured.spans)
        answer.set()
        thread.join(30)
    assert answers[0]["answer"] == "seen"
    assert len(captured.spans) == ended
    assert len(captured.executions) == 1


def test_a_stream_that_nobody_finishes_is_ended(kaizen_offline: ModelServer) -> None:
    import asyncio

    from tests.kaizen_otel.surfaces.scenes import llm_client, stream_of

    kaizen_offline.script([Rule(replies=Reply(text="one two three"))])
    loop = asyncio.new_event_loop()
    with capture() as captured:
        stream = stream_of(llm_client())
        loop.run_until_complete(anext(stream))
        telemetry_in_force().running.close(EXIT, 1.0)
        assert captured.span("chat")[k.KAIZEN_CALL_OUTCOME] == "abandoned"
        loop.run_until_complete(stream.aclose())
        assert len(captured.spans) == 1
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


# -- real ends of real processes ----------------------------------------------------------------------------------

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


def test_a_provider_of_ones_own_is_found_again_after_uninstrument() -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    for _ in range(2):
        with capture(tracer_provider=provider) as captured, agent():
            pass
        assert len(captured.executions) == 1
