"""Parts that an application plugs in may raise: its call goes on, its tokens count, and `stats()` says what failed."""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from opentelemetry import context as otel_context
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import Sampler

import kaizen_otel
from kaizen_otel.demo.loopback import lift_loopback_guard
from kaizen_otel.invocations.scope import current_scope
from kaizen_otel.patches.switch import active
from kaizen_processors.clock import SystemClock
from kaizen_processors.pipeline import Observer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


class BrokenError(RuntimeError):
    """What every broken part raises."""


def broken(*_: Any, **__: Any) -> NoReturn:
    raise BrokenError("mine")


class _Sampler(Sampler):
    should_sample = broken

    def get_description(self) -> str:
        return "broken"


class _Ids(IdGenerator):
    generate_span_id = broken
    generate_trace_id = broken


class _OnStart(SpanProcessor):
    on_start = broken


class _OnEnd(SpanProcessor):
    on_end = broken


class _Exporter(SpanExporter):
    export = broken


class _Instrument:
    record = broken
    add = broken


class _Meter:
    """Makes instruments that raise."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: _Instrument()


class _Meters:
    def get_meter(self, *_: Any, **__: Any) -> Any:
        return _Meter()


class _NoMeters:
    get_meter = broken


class _Logger:
    emit = broken


class _Loggers:
    def get_logger(self, *_: Any, **__: Any) -> Any:
        return _Logger()


class _DeadClock:
    time_ns = broken
    monotonic_ns = broken


class _DyingClock(SystemClock):
    """Gives out after so many readings of the monotonic clock."""

    def __init__(self, readings: int) -> None:
        self._left = readings

    def monotonic_ns(self) -> int:
        self._left -= 1
        return SystemClock.monotonic_ns() if self._left >= 0 else broken()

    __slots__ = ("_left",)


class _Observer(Observer):
    on_call = broken
    on_execution = broken
    on_span = broken
    flush = broken
    shutdown = broken


def _spans(processor: SpanProcessor | None = None, **given: Any) -> dict[str, Any]:
    provider = TracerProvider(shutdown_on_exit=False, **given)
    if processor is not None:
        provider.add_span_processor(processor)
    return {"tracer_provider": provider}


@dataclass(frozen=True)
class Part:
    """Settings with a broken part in them, and where that shows."""

    settings: Callable[[], Mapping[str, Any]]
    failures: frozenset[str]
    observer: Observer | None = None


def _part(settings: Callable[[], Mapping[str, Any]], *failures: str, **given: Any) -> Part:
    return Part(settings, frozenset(failures), **given)


PARTS = {
    "sampler": _part(lambda: _spans(sampler=_Sampler()), "span.start"),
    "id_generator_of_the_provider": _part(lambda: _spans(id_generator=_Ids()), "span.start"),
    "processor_on_start": _part(lambda: _spans(_OnStart()), "span.start"),
    "processor_on_end": _part(lambda: _spans(_OnEnd()), "span.end"),
    "exporter": _part(lambda: _spans(SimpleSpanProcessor(_Exporter()))),  # the SDK's processor catches and logs it
    "instruments": _part(lambda: {"meter_provider": _Meters()}, "metrics"),
    "logger": _part(lambda: {"logger_provider": _Loggers()}, "agent.ended"),
    "clock": _part(lambda: {"clock": _DeadClock()}, "clock"),
    "clock_that_dies": _part(lambda: {"clock": _DyingClock(3)}, "clock"),
    "id_generator": _part(lambda: {"id_generator": _Ids(), **_spans()}, "id_generator"),
    "evaluator": _part(lambda: {"monitoring_level": "comprehensive", "evaluators": (broken,)}, "evaluator:broken"),
    "observer": _part(dict, "observer.call", "observer.execution", observer=_Observer()),
}


@pytest.fixture(scope="module", autouse=True)
def offline() -> Iterator[None]:
    with lift_loopback_guard("http://localhost:9"):
        yield


def call() -> Any:
    """One model call with no agent above it."""
    from tests.hostile import fakes

    return asyncio.run(fakes.llm_client().complete(fakes.MESSAGES, http_client=fakes.Http()))


def agent() -> Any:
    """One run of an agent, which makes one model call and gives an empty answer."""
    from tests.hostile import fakes

    return fakes.base_agent(lambda: {"answer": "" if call()["text"] else "?"}, agent_id="asker").run(question="x")


def workflow() -> Any:
    """One workflow of one node."""
    from tests.hostile import fakes

    fakes.Script.run = staticmethod(lambda: {"result": 1})
    with fakes.quiet_runtime() as runtime:
        results, _ = runtime.execute(fakes.workflow())
    return results


SCENES: dict[str, tuple[Callable[[], Any], str | None]] = {
    "call": (call, "none"),
    "agent": (agent, "asker"),
    "workflow": (workflow, None),
}


@contextmanager
def instrumented(part: Part) -> Iterator[None]:
    kaizen_otel.instrument(**part.settings())
    telemetry = active()
    assert telemetry is not None
    if part.observer is not None:
        telemetry.pipeline.add(part.observer)
    try:
        yield
    finally:
        kaizen_otel.uninstrument()


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("name", PARTS)
def test_a_broken_part_changes_neither_the_result_nor_the_sums(name: str, scene: str) -> None:
    part = PARTS[name]
    run, account = SCENES[scene]
    alone = run()
    before = otel_context.get_current()

    with instrumented(part):
        for _ in range(2):
            assert run() == alone
            assert otel_context.get_current() is before
            assert current_scope() is None
        kaizen_otel.flush()
        stats = kaizen_otel.stats()

    if account is None:
        assert stats["calls"] == {}
    else:
        sums = stats["calls"][account, "gpt-4o"]
        assert (sums["model_calls"], sums["input_tokens"], sums["output_tokens"]) == (2, 200, 40)
        assert stats["executions"] == ({} if account == "none" else {("asker", "gpt-4o", "success"): 2})


@pytest.mark.parametrize("name", [name for name, part in PARTS.items() if part.failures])
def test_what_failed_is_told(name: str) -> None:
    part = PARTS[name]
    with instrumented(part):
        agent()
        call()
        kaizen_otel.flush()
        failures = kaizen_otel.stats()["failures"]

    assert {f"{where}:BrokenError" for where in part.failures} <= set(failures)


def test_each_cause_is_logged_once_and_without_its_message(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "kaizen_otel"), instrumented(PARTS["sampler"]):
        for _ in range(3):
            call()
        assert kaizen_otel.stats()["failures"] == {"span.start:BrokenError": 3}

    (record,) = [record for record in caplog.records if "span.start" in record.getMessage()]
    assert "mine" not in record.getMessage()


def test_a_log_handler_that_raises_is_no_way_out_either() -> None:
    handler = logging.Handler()
    handler.emit = broken  # type: ignore[method-assign]  # what makes it broken
    logger = logging.getLogger("kaizen_otel")
    logger.addHandler(handler)
    try:
        with instrumented(PARTS["sampler"]):
            assert call()["text"]
    finally:
        logger.removeHandler(handler)


def test_a_meter_provider_that_gives_no_meter_is_an_error_of_the_start() -> None:
    """Where an application instruments, it hears of what cannot work; later it does not."""
    with pytest.raises(BrokenError):
        kaizen_otel.instrument(meter_provider=_NoMeters())
    assert active() is None
    kaizen_otel.uninstrument()


def test_shutdown_and_flush_survive_broken_observers() -> None:
    with instrumented(PARTS["observer"]):
        call()
        assert kaizen_otel.flush() is False
    assert active() is None
