from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, TraceIdRatioBased
from opentelemetry.trace import NoOpTracerProvider

import kaizen_otel
from kaizen_otel.invocations.call import CallRequest
from kaizen_otel.patches.switch import active
from kaizen_processors.export.settings import DeliverySettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from opentelemetry.sdk.trace import ReadableSpan


def _call(input_tokens: int = 100) -> None:
    telemetry = active()
    assert telemetry is not None
    with telemetry.call(lambda: CallRequest("chat", "openai", "gpt-4o")) as call:

        def see(call: object) -> None:
            call.usage.input_tokens = input_tokens  # type: ignore[attr-defined]
            call.usage.output_tokens = 10  # type: ignore[attr-defined]

        call.observe(see)


@pytest.fixture
def clean() -> Iterator[None]:
    assert active() is None
    yield
    kaizen_otel.uninstrument()


def _provider(**options: object) -> tuple[TracerProvider, InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False, **options)  # type: ignore[arg-type]
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider, exporter


@pytest.mark.usefixtures("clean")
def test_a_given_provider_is_joined_with_one_processor_for_its_life() -> None:
    provider, exporter = _provider()
    before = len(provider._active_span_processor._span_processors)

    for _ in range(20):
        kaizen_otel.instrument(tracer_provider=provider)
        _call()
        kaizen_otel.uninstrument()

    assert len(provider._active_span_processor._span_processors) == before + 1
    assert len(exporter.get_finished_spans()) == 20


@pytest.mark.usefixtures("clean")
def test_stats_say_that_the_application_owns_the_export() -> None:
    provider, _ = _provider()
    kaizen_otel.instrument(tracer_provider=provider)

    assert kaizen_otel.stats()["export"] == "app-owned"


class Failing(InMemorySpanExporter):
    fails = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self.fails:
            raise RuntimeError
        return super().export(spans)


@pytest.mark.usefixtures("clean")
def test_what_a_wrapped_exporter_delivers_is_in_the_stats_and_part_of_a_flush() -> None:
    exporter, failing = InMemorySpanExporter(), Failing()
    provider = TracerProvider(shutdown_on_exit=False)
    wrapped = kaizen_otel.wrap_exporter(exporter)
    provider.add_span_processor(BatchSpanProcessor(wrapped, schedule_delay_millis=3_600_000))
    soon = DeliverySettings(retry_base_s=0.01, retry_cap_s=0.01)
    provider.add_span_processor(SimpleSpanProcessor(kaizen_otel.wrap_exporter(failing, soon)))
    kaizen_otel.instrument(tracer_provider=provider)
    _call()
    assert kaizen_otel.flush()
    assert len(exporter.get_finished_spans()) == 1
    counts = kaizen_otel.stats()["delivery"]["traces"]
    assert wrapped.queue.counts().exported == 1
    assert counts.exported >= 2  # others of this process may be among them
    assert counts.put == counts.exported + counts.spooled + counts.dropped_total + counts.pending
    failing.fails = True
    _call()
    assert not kaizen_otel.flush()
    assert kaizen_otel.stats()["delivery"]["traces"].dropped["failed"] >= 1
    _call()
    provider.shutdown()
    assert kaizen_otel.flush()  # what has ended has told its owner


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("processor", [SimpleSpanProcessor, BatchSpanProcessor])
def test_the_flush_of_a_joined_provider_tells_the_truth_of_its_wrapped_exporters(processor: Any) -> None:
    soon = DeliverySettings(retry_base_s=0.01, retry_cap_s=0.01)
    failing, elsewhere = Failing(), Failing()
    provider, another = (TracerProvider(shutdown_on_exit=False) for _ in range(2))
    provider.add_span_processor(processor(kaizen_otel.wrap_exporter(failing, soon)))
    another.add_span_processor(processor(kaizen_otel.wrap_exporter(elsewhere, soon)))
    kaizen_otel.instrument(tracer_provider=provider)
    elsewhere.fails = True
    another.get_tracer("application").start_span("of another provider").end()
    _call()
    assert provider.force_flush()
    failing.fails = True
    _call()
    assert not provider.force_flush()
    failing.fails = False
    _call()
    assert provider.force_flush()
    kaizen_otel.uninstrument()
    assert provider.force_flush()
    provider.shutdown()
    another.shutdown()


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("forever", [float("inf"), 1e15])
def test_who_flushes_for_ever_waits_until_everything_is_written(forever: float, tmp_path: Path) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    wrapped = kaizen_otel.wrap_exporter(InMemorySpanExporter())
    provider.add_span_processor(BatchSpanProcessor(wrapped))
    kaizen_otel.instrument(tracer_provider=provider, file=tmp_path / "run.jsonl")
    _call()
    assert kaizen_otel.flush(forever)
    assert wrapped.force_flush(forever)  # type: ignore[arg-type]
    shell = provider._active_span_processor._span_processors[-1]
    assert shell.force_flush(forever)  # type: ignore[arg-type]
    provider.shutdown()


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("final", [False, True])
def test_what_a_wrapped_exporter_holds_is_delivered_before_a_kill(final: bool) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(
        BatchSpanProcessor(kaizen_otel.wrap_exporter(exporter), schedule_delay_millis=3_600_000)
    )
    kaizen_otel.instrument(tracer_provider=provider)
    _call()
    telemetry = active()
    assert telemetry is not None
    telemetry.deliver_before_the_kill(20.0, final)
    assert len(exporter.get_finished_spans()) == 1
    provider.shutdown()


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("sampler", [ALWAYS_OFF, TraceIdRatioBased(0.1)], ids=["off", "ratio"])
def test_unsampled_calls_are_counted_in_full(sampler: object) -> None:
    provider, exporter = _provider(sampler=sampler)
    kaizen_otel.instrument(tracer_provider=provider)

    for _ in range(200):
        _call()

    totals = kaizen_otel.stats()["calls"]["none", "gpt-4o"]
    assert (totals["model_calls"], totals["input_tokens"]) == (200, 20_000)
    assert len(exporter.get_finished_spans()) < 100


@pytest.mark.usefixtures("clean")
def test_a_no_op_provider_loses_no_money() -> None:
    kaizen_otel.instrument(tracer_provider=NoOpTracerProvider())

    _call()

    assert kaizen_otel.stats()["calls"]["none", "gpt-4o"]["cost"] > 0


def _run(program: str, **environment: str) -> str:
    done = subprocess.run(  # noqa: S603 - our own interpreter and program
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=120,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


_HELPER = """
    import kaizen_otel
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from kaizen_otel.invocations.call import CallRequest
    from kaizen_otel.patches.switch import active

    def call():
        with active().call(lambda: CallRequest("chat", "openai", "gpt-4o")):
            pass
"""


def test_a_provider_that_the_application_sets_later_is_joined_and_never_fought() -> None:
    printed = _run(
        _HELPER
        + """
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    kaizen_otel.instrument()
    call()
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    assert trace.get_tracer_provider() is provider
    call()
    print([span.name for span in exporter.get_finished_spans()], kaizen_otel.stats()["export"])
    """
    )
    assert printed == "['chat gpt-4o'] app-owned\n"


def test_without_outputs_nothing_is_built_and_nothing_global_is_touched() -> None:
    printed = _run(
        _HELPER
        + """
    kaizen_otel.instrument()
    call()
    print(type(trace.get_tracer_provider()).__name__, kaizen_otel.stats()["export"])
    """
    )
    assert printed == "ProxyTracerProvider none\n"


def test_a_private_provider_stays_private_unless_asked() -> None:
    program = (
        _HELPER
        + """
    kaizen_otel.instrument(file="/dev/null")
    call()
    print(type(trace.get_tracer_provider()).__name__, kaizen_otel.stats()["export"])
    """
    )
    assert _run(program) == "ProxyTracerProvider own\n"
    assert _run(program, KAIZEN_OTEL_SET_GLOBAL="true") == "TracerProvider own\n"


def test_otel_sdk_disabled_switches_everything_off() -> None:
    printed = _run(
        """
    import kaizen_otel
    kaizen_otel.instrument(file="/dev/null")
    print(kaizen_otel.stats())
    """,
        OTEL_SDK_DISABLED="true",
    )
    assert printed == "{'instrumented': False}\n"


def test_importing_us_imports_neither_kaizen_nor_anything_heavy() -> None:
    printed = _run(
        """
    import sys
    import kaizen_otel
    heavy = {"kaizen", "kailash", "genai_prices", "pydantic", "rich", "typer", "yaml", "httpx", "prometheus_client",
             "opentelemetry.exporter", "wrapt", "grpc"}
    print(sorted(heavy & set(sys.modules)))
    """
    )
    assert printed == "[]\n"


def test_the_second_instrument_changes_nothing(tmp_path: Path) -> None:
    first = tmp_path / "first.jsonl"
    second = tmp_path / "second.jsonl"
    printed = _run(
        _HELPER
        + f"""
    kaizen_otel.instrument(file={str(first)!r})
    kaizen_otel.instrument(file={str(second)!r})
    call()
    kaizen_otel.flush()
    kaizen_otel.uninstrument()
    """
    )
    assert printed == ""
    assert len(first.read_text().splitlines()) == 1
    assert not second.exists()


def test_the_applications_meter_provider_is_joined_whatever_the_environment_asks() -> None:
    printed = _run(
        _HELPER
        + """
    from opentelemetry import metrics
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    reader = InMemoryMetricReader()
    metrics.set_meter_provider(MeterProvider([reader], shutdown_on_exit=False))
    kaizen_otel.instrument()
    call()
    (resource,) = reader.get_metrics_data().resource_metrics
    print("kaizen.cost.usd" in [m.name for scope in resource.scope_metrics for m in scope.metrics])
    import os; os._exit(0)
    """,
        OTEL_METRICS_EXPORTER="otlp",
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9",
        PYTHONUNBUFFERED="1",
    )
    assert printed == "True\n"


def test_a_second_instrumentation_does_not_join_what_ended_with_the_first() -> None:
    printed = _run(
        _HELPER
        + """
    for _ in range(2):
        kaizen_otel.instrument(file="/dev/null", set_global=True)
        call()
        print(kaizen_otel.stats()["export"])
        kaizen_otel.uninstrument()
    """
    )
    assert printed == "own\nown\n"
