"""`DistributedRuntime` and `Worker` over a real Redis: one trace from the producer through every attempt."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import baggage
from opentelemetry import context as otel_context

import kaizen_otel
from kaizen_otel.demo.model_server import Reply, ReplyUsage
from kaizen_otel.testing import capture
from tests.kaizen_otel.queues import redis_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured

pytestmark = pytest.mark.filterwarnings("ignore:LocalRuntime.execute:DeprecationWarning")
WORKER = Path(__file__).with_name("worker.py")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with redis_server.running() as url:
        yield url


@pytest.fixture
def redis(server: str) -> Iterator[Any]:
    from redis import Redis

    client = Redis.from_url(server, decode_responses=True)
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def runtime(server: str, redis: Any) -> Iterator[Any]:
    from kailash.runtime.distributed import DistributedRuntime

    del redis
    made = DistributedRuntime(redis_url=server)
    yield made
    made.close()


def send(runtime: Any, name: str, *codes: str, **given: Any) -> str:
    from tests.kaizen_otel.queues.flows import flow

    status, run_id = runtime.execute(flow(name, *codes), **given)
    assert status["status"] == "queued"
    return str(run_id)


def work(url: str, attempts: int, **given: Any) -> None:
    from tests.kaizen_otel.queues import flows

    asyncio.run(flows.work(url, attempts, **given))


GOOD, BAD = "result = {'n': 1}", "raise KeyError('x')"


def test_a_task_is_one_trace_from_its_sender_to_its_nodes(
    runtime: Any, server: str, kaizen_telemetry: Captured
) -> None:
    with kaizen_otel.attributes(user_id="u-1", session_id="s-1", conversation_id="c-1", tags=["queue"]):
        run_id = send(runtime, "good", GOOD)
        work(server, 1)

    assert runtime.get_result(run_id).result_data["n0"]["result"] == {"n": 1}
    assert kaizen_telemetry.tree() == (
        "send default\n  process default\n    invoke_workflow good\n      node PythonCodeNode"
    )
    sent, processed = kaizen_telemetry.span("send"), kaizen_telemetry.span("process")
    port = int(server.rpartition(":")[2].partition("/")[0])
    for span, kind, operation in ((sent, "PRODUCER", "send"), (processed, "CONSUMER", "process")):
        assert (span.kind, span["messaging.operation.name"], span["messaging.operation.type"]) == (
            kind,
            operation,
            operation,
        )
        assert (span["messaging.system"], span["messaging.destination.name"]) == ("kailash", "default")
        assert (span["messaging.message.id"], span["server.address"], span["server.port"]) == (
            run_id,
            "127.0.0.1",
            port,
        )
    assert (processed["kaizen.task.attempt"], processed["kaizen.task.outcome"]) == (1, "completed")
    assert [f"{link.context.span_id:016x}" for link in processed.raw.links] == [sent.span_id]
    assert kaizen_telemetry.span("invoke_workflow")["kaizen.workflow.runtime"] == "LocalRuntime"


@pytest.mark.covers("kailash.runtime.distributed:Worker._execute_task", "error")
@pytest.mark.covers("kailash.runtime.distributed:Worker.start", "error")
def test_each_attempt_is_a_span_and_says_what_became_of_the_task(
    runtime: Any, server: str, kaizen_telemetry: Captured
) -> None:
    run_id = send(runtime, "bad", BAD)
    work(server, 3)

    assert runtime.get_result(run_id).status == "dead_lettered"
    attempts = kaizen_telemetry.spans_named("process")
    sent = kaizen_telemetry.span("send")
    assert [a["kaizen.task.attempt"] for a in attempts] == [1, 2, 3]
    assert [a["kaizen.task.outcome"] for a in attempts] == ["requeued", "requeued", "dead_lettered"]
    assert {(a.status, a["error.type"], a.parent_id) for a in attempts} == {("ERROR", "KeyError", sent.span_id)}
    assert len(kaizen_telemetry.spans_named("invoke_workflow bad")) == 3


def test_a_time_limit_is_the_error_of_its_attempt(runtime: Any, server: str, kaizen_telemetry: Captured) -> None:
    waiting = "import time\ntime.sleep(0.2)\nresult = {}"
    send(runtime, "slow", waiting, waiting, soft_time_limit=0.05)
    work(server, 3)

    attempts = kaizen_telemetry.spans_named("process")
    limit = "kailash.sdk_exceptions.SoftTimeLimitExceeded"
    assert [(a.status, a["error.type"]) for a in attempts] == [("ERROR", limit)] * 3


def test_a_queue_of_its_own_names_the_spans(runtime: Any, server: str, kaizen_telemetry: Captured) -> None:
    send(runtime, "good", GOOD, queue="slow")
    work(server, 1, queues={"slow": 1})

    assert [span.name for span in kaizen_telemetry.spans if "slow" in span.name] == ["send slow", "process slow"]


def test_the_task_is_the_one_without_us_but_for_one_field(runtime: Any, redis: Any) -> None:
    def sent(run_id: str) -> dict[str, Any]:
        (text,) = redis.lrange("kailash:tasks:pending", 0, -1)
        assert redis.get(f"kailash:task:{run_id}") == text
        redis.delete("kailash:tasks:pending")
        found: dict[str, Any] = json.loads(text)
        assert (found.pop("task_id"), found.pop("submitted_at") > 0) == (run_id, True)
        return found

    from tests.kaizen_otel.queues.flows import flow

    workflow = flow("good", GOOD)
    plain = sent(runtime.execute(workflow, parameters={"n0": {"x": 1}})[1])
    with capture() as seen:
        token = otel_context.attach(baggage.set_baggage("tenant", "acme"))
        try:
            watched = sent(runtime.execute(workflow, parameters={"n0": {"x": 1}})[1])
        finally:
            otel_context.detach(token)
        span = seen.span("send")

    assert watched.pop("otel") == {"traceparent": f"00-{span.trace_id}-{span.span_id}-01", "baggage": "tenant=acme"}
    assert list(watched.items()) == list(plain.items())


def test_baggage_of_the_sender_is_there_while_the_task_is_worked_on(
    runtime: Any, server: str, kaizen_telemetry: Captured
) -> None:
    del kaizen_telemetry
    found: list[object] = []
    token = otel_context.attach(baggage.set_baggage("tenant", "acme"))
    try:
        send(runtime, "good", GOOD)
    finally:
        otel_context.detach(token)

    class Seeing:
        def execute(self, *_: Any, **__: Any) -> tuple[dict[str, Any], str]:
            found.append(baggage.get_baggage("tenant"))
            return {}, "run"

    work(server, 1, runtime_factory=Seeing)
    assert found == ["acme"]


def test_the_providers_answer_that_ended_an_attempt_is_on_its_span(
    runtime: Any, server: str, kaizen_telemetry: Captured
) -> None:
    from kaizen.llm.errors import ProviderError

    class Refused:
        def execute(self, *_: Any, **__: Any) -> Any:
            raise ProviderError(503, "busy")

    send(runtime, "good", GOOD)
    work(server, 3, runtime_factory=Refused)

    attempts = kaizen_telemetry.spans_named("process")
    assert [(a["error.type"], a["http.response.status_code"]) for a in attempts] == [
        ("kaizen.llm.errors.ProviderError", 503)
    ] * 3


def in_another_process(url: str, attempts: int, how: str) -> list[Any]:
    done = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, "-W", "ignore", str(WORKER), url, str(attempts), how],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    found: list[Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_a_worker_in_another_process_goes_on_with_the_trace(
    runtime: Any, server: str, kaizen_telemetry: Captured
) -> None:
    send(runtime, "good", GOOD)
    spans = in_another_process(server, 1, "watched")

    sent = kaizen_telemetry.span("send")
    assert [name for name, *_ in spans] == ["node PythonCodeNode", "invoke_workflow good", "process default"]
    assert {trace_id for _, trace_id, *_ in spans} == {sent.trace_id}
    assert spans[-1][2] == sent.span_id


def test_a_worker_without_us_runs_a_task_of_ours(runtime: Any, server: str, kaizen_telemetry: Captured) -> None:
    run_id = send(runtime, "good", GOOD)

    assert in_another_process(server, 1, "unwatched") == []
    assert runtime.get_result(run_id).status == "completed"
    assert [span.name for span in kaizen_telemetry.spans] == ["send default"]


def test_a_task_of_a_sender_without_us_is_a_trace_of_its_own(runtime: Any, server: str) -> None:
    send(runtime, "good", GOOD)
    with capture() as seen:
        work(server, 1)
        assert seen.tree() == "process default\n  invoke_workflow good\n    node PythonCodeNode"
        assert seen.span("process").raw.links == ()


@pytest.mark.covers("kailash.runtime.distributed:DistributedRuntime.execute", "context")
@pytest.mark.covers("kailash.runtime.distributed:TaskQueue.enqueue", "traced", "context")
@pytest.mark.covers("kailash.runtime.distributed:Worker._execute_task", "traced", "tokens", "cost", "context")
@pytest.mark.covers("kailash.runtime.distributed:Worker.start", "tokens", "cost")
def test_what_a_task_costs_is_in_the_trace_of_whoever_sent_it(
    runtime: Any, server: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import scenes

    kaizen_offline.script(lambda _: Reply(text="fine", usage=ReplyUsage(input_tokens=100, output_tokens=20)))
    with kaizen_telemetry.tracer_provider.get_tracer("app").start_as_current_span("caller"):
        runtime.execute(scenes.workflow("llm", name="asking"))
    work(server, 1)

    assert kaizen_telemetry.tree() == (
        "caller\n  send default\n    process default\n      invoke_workflow asking\n"
        "        invoke_agent n0\n          chat gpt-4o"
    )


@pytest.mark.covers("kailash.runtime.distributed:TaskQueue.enqueue", "error")
@pytest.mark.covers("kailash.runtime.distributed:DistributedRuntime.execute", "error")
def test_a_queue_that_is_not_there_is_the_error_of_the_sending(redis: Any, kaizen_telemetry: Captured) -> None:
    from kailash.runtime.distributed import DistributedRuntime
    from redis import ConnectionError as Unreachable

    del redis
    runtime = DistributedRuntime(redis_url="redis://127.0.0.1:9/0")
    with pytest.raises(Unreachable):
        send(runtime, "good", GOOD)
    runtime.close()

    sent = kaizen_telemetry.span("send")
    assert (sent.status, sent["error.type"], sent["server.port"]) == ("ERROR", "redis.exceptions.ConnectionError", 9)
