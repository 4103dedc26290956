"""What the end finds running is ended: once, children first, and never as an error."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

import kaizen_otel
from kaizen_otel.demo.model_server import Reply, Rule
from kaizen_otel.invocations.agent import AgentRequest
from kaizen_otel.invocations.call import CallRequest
from kaizen_otel.patches.switch import active
from kaizen_otel.testing import capture
from kaizen_semconv import attributes as k
from kaizen_semconv.attributes import KaizenCallOutcome, KaizenSpanAbandoned
from tests.kaizen_otel.test_pending_spans import everything, held_answers

if TYPE_CHECKING:
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


def test_a_provider_of_ones_own_is_found_again_after_uninstrument() -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    for _ in range(2):
        with capture(tracer_provider=provider) as captured, agent():
            pass
        assert len(captured.executions) == 1
