from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

from kaizen_processors.execution import CallRecord
from kaizen_processors.fence import Fence
from kaizen_processors.pipeline import FAILURES_UNTIL_DISABLED, Observer, Pipeline, PipelineSpanProcessor
from kaizen_processors.pricing.price import MISSING_USAGE
from kaizen_processors.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterable


def _call() -> CallRecord:
    return CallRecord(
        operation="chat", provider="openai", model="gpt-4o", agent_name="none", usage=Usage(), price=MISSING_USAGE
    )


class _Seen(Observer):
    def __init__(self) -> None:
        self.calls = 0
        self.spans = 0

    def on_call(self, record: CallRecord) -> None:  # noqa: ARG002 - only counted
        self.calls += 1

    def on_span(self, span: ReadableSpan) -> None:  # noqa: ARG002 - only counted
        self.spans += 1


class _Fails(Observer):
    """Fails at the calls that the script says, and at each one after its end."""

    def __init__(self, script: Iterable[bool] = ()) -> None:
        self._script = iter(script)
        self.calls = 0
        self.ended: list[str] = []

    def on_call(self, record: CallRecord) -> None:  # noqa: ARG002 - only counted
        self.calls += 1
        if next(self._script, True):
            raise ValueError("mine")

    def flush(self, timeout_s: float) -> bool:  # noqa: ARG002 - as the base has it
        self.ended.append("flush")
        return False

    def shutdown(self) -> None:
        self.ended.append("shutdown")


def test_an_observer_that_raises_does_not_stop_those_after_it() -> None:
    fence, seen = Fence(), _Seen()
    pipeline = Pipeline(fence, (_Fails(), seen))

    for _ in range(3):
        pipeline.call_finished(_call())

    assert seen.calls == 3
    assert fence.counts() == {"observer.call:ValueError": 3}


def test_one_that_only_fails_is_switched_off_said_once_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    fence, seen, told = Fence(), _Seen(), list[str]()
    failing = _Fails()
    pipeline = Pipeline(fence, (failing, seen), on_disabled=told.append)

    with caplog.at_level(logging.ERROR, "kaizen_otel"):
        for _ in range(50):
            pipeline.call_finished(_call())

    assert failing.calls == FAILURES_UNTIL_DISABLED
    assert seen.calls == 50
    assert told == ["_Fails"]
    assert pipeline.disabled == (failing,)
    assert [record.getMessage() for record in caplog.records] == ["_Fails failed 10 times in a row and is switched off"]
    assert fence.counts() == {"observer.call:ValueError": FAILURES_UNTIL_DISABLED}


def test_a_success_in_between_begins_the_count_anew() -> None:
    nearly = [True] * (FAILURES_UNTIL_DISABLED - 1) + [False]
    failing = _Fails(nearly * 3)
    pipeline = Pipeline(Fence(), (failing,))

    for _ in range(len(nearly) * 3):
        pipeline.call_finished(_call())

    assert pipeline.disabled == ()
    assert failing.calls == len(nearly) * 3


def test_failures_of_one_hook_are_not_excused_by_another() -> None:
    class Half(_Seen):
        def on_span(self, span: ReadableSpan) -> None:
            super().on_span(span)
            raise ValueError("mine")

    half = Half()
    pipeline = Pipeline(Fence(), (half,))

    for _ in range(FAILURES_UNTIL_DISABLED):
        pipeline.call_finished(_call())
        pipeline.span_ended(ReadableSpan("a span"))

    assert pipeline.disabled == (half,)


def test_adding_another_observer_keeps_the_failures_of_the_first() -> None:
    failing = _Fails()
    pipeline = Pipeline(Fence(), (failing,))

    for _ in range(FAILURES_UNTIL_DISABLED):
        pipeline.call_finished(_call())
        pipeline.add(Observer())

    assert pipeline.disabled == (failing,)


def test_a_disabled_observer_is_still_flushed_and_shut_down() -> None:
    failing = _Fails()
    pipeline = Pipeline(Fence(), (failing,))
    for _ in range(FAILURES_UNTIL_DISABLED):
        pipeline.call_finished(_call())

    assert pipeline.flush(1.0) is False
    pipeline.shutdown()

    assert failing.ended == ["flush", "shutdown"]


def test_a_disabled_observer_that_is_added_again_starts_anew() -> None:
    failing = _Fails([True] * FAILURES_UNTIL_DISABLED + [False] * 5)
    pipeline = Pipeline(Fence(), (failing,))
    for _ in range(FAILURES_UNTIL_DISABLED):
        pipeline.call_finished(_call())

    pipeline.add(failing)
    pipeline.call_finished(_call())

    assert (pipeline.observers, pipeline.disabled) == ((failing,), ())


def test_a_failing_alarm_reaches_nobody() -> None:
    def alarm(name: str) -> None:
        raise RuntimeError(name)

    fence = Fence()
    pipeline = Pipeline(fence, (_Fails(),), on_disabled=alarm)

    for _ in range(FAILURES_UNTIL_DISABLED):
        pipeline.call_finished(_call())

    assert fence.counts()["observer.on_disabled:RuntimeError"] == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_process_passes(error: type[BaseException]) -> None:
    class Interrupted(Observer):
        def on_call(self, record: CallRecord) -> None:  # noqa: ARG002 - only raises
            raise error

    with pytest.raises(error):
        Pipeline(Fence(), (Interrupted(),)).call_finished(_call())


def test_a_raising_observer_never_reaches_the_code_that_ends_a_span() -> None:
    class Raises(Observer):
        def on_span(self, span: Any) -> None:  # noqa: ARG002 - only raises
            raise ValueError("mine")

    fence, seen = Fence(), _Seen()
    shell = PipelineSpanProcessor(fence)
    shell.arm(Pipeline(fence, (Raises(), seen)))
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(shell)

    provider.get_tracer("t").start_span("work").end()

    assert seen.spans == 1


def test_a_disarmed_shell_shows_nothing_and_an_armed_one_again() -> None:
    fence, seen = Fence(), _Seen()
    shell = PipelineSpanProcessor(fence)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(shell)
    tracer = provider.get_tracer("t")

    tracer.start_span("before").end()
    shell.arm(Pipeline(fence, (seen,)))
    tracer.start_span("watched").end()
    shell.disarm()
    tracer.start_span("after").end()

    assert seen.spans == 1
