"""`instrument()` and `uninstrument()` themselves: once, late, restorable, and cheap to import."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.instrumentation.auto_instrumentation import _load

import kaizen_otel
from kaizen_otel.instrumentor import KaizenInstrumentor
from kaizen_otel.patches.switch import active
from kaizen_otel.patches.table import PATCHER
from kaizen_otel.settings import Settings, SettingsError
from kaizen_otel.testing import capture

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kaizen_otel.demo.model_server import ModelServer


@pytest.fixture(autouse=True)
def _off_afterwards() -> Iterator[None]:
    assert active() is None
    yield
    kaizen_otel.uninstrument()


def run_python(code: str, *arguments: str, **environment: str) -> str:
    """Run code in a fresh interpreter, and give what it printed."""
    inherited = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "HOME") if name in os.environ}
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-W", "ignore", "-c", code, *arguments],
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# -- on and off ---------------------------------------------------------------------------------------------------


def test_the_entry_point_is_the_instrumentor() -> None:
    (found,) = entry_points(group="opentelemetry_instrumentor", name="kaizen")
    assert found.load() is KaizenInstrumentor
    assert KaizenInstrumentor().instrumentation_dependencies() == ("kailash-kaizen >= 1.0.0",)
    assert KaizenInstrumentor() is KaizenInstrumentor()


def test_instrumenting_twice_is_one_instrumentation_and_warns(caplog: pytest.LogCaptureFixture) -> None:
    kaizen_otel.instrument()
    first = active()
    patched = PATCHER.patched()
    with caplog.at_level(logging.WARNING):
        kaizen_otel.instrument(console=True)

    assert active() is first
    assert PATCHER.patched() == patched
    assert "already instrumented" in caplog.text


def test_uninstrumenting_what_is_not_instrumented_does_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        kaizen_otel.uninstrument()
        kaizen_otel.uninstrument()
    assert caplog.text == ""
    assert kaizen_otel.stats() == {"instrumented": False}


@pytest.mark.parametrize(
    "wrong", [{"monitoring_level": "loud"}, {"no_such_setting": 1}, {"preset": "moonbase"}, {"conventions": 7}]
)
def test_a_wrong_setting_is_an_error_that_leaves_everything_off(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        kaizen_otel.instrument(**wrong)

    assert active() is None
    assert PATCHER.patched() == {}
    assert kaizen_otel.stats() == {"instrumented": False}
    kaizen_otel.instrument()  # and the next try works
    assert active() is not None


def test_a_wrong_price_file_leaves_everything_off(tmp_path: Path) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text("no list")
    with pytest.raises(ValueError, match=r"prices\.yaml"):
        kaizen_otel.instrument(price_file=prices)

    assert active() is None
    assert PATCHER.patched() == {}


def test_level_off_patches_nothing() -> None:
    kaizen_otel.instrument(monitoring_level="off")
    assert active() is None
    assert PATCHER.patched() == {}
    kaizen_otel.uninstrument()
    kaizen_otel.instrument()
    assert active() is not None


def test_settings_that_cannot_be_leave_other_automatic_instrumentations_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # What the command's sitecustomize calls; the instrumentors of this environment but ours stay out of this process.
    ours = entry_points(group="opentelemetry_instrumentor", name="kaizen")
    monkeypatch.setattr(_load, "entry_points", lambda group: ours if group == "opentelemetry_instrumentor" else ())
    monkeypatch.setenv("KAIZEN_OTEL_CONSOLE_WIDTH", "wide")
    _load._load_instrumentors(_load.DefaultDistro())  # type: ignore[attr-defined, no-untyped-call]

    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith(
        "kaizen-otel is not on, its settings cannot be used: environment variable KAIZEN_OTEL_CONSOLE_WIDTH: cons"
    )
    with pytest.raises(SettingsError):
        KaizenInstrumentor().instrument()
    monkeypatch.setenv("KAIZEN_OTEL_CONSOLE_WIDTH", "100")
    _load._load_instrumentors(_load.DefaultDistro())  # type: ignore[attr-defined, no-untyped-call]
    assert active() is not None


def test_ready_settings_and_overrides_go_together() -> None:
    kaizen_otel.instrument(Settings.load(environment="staging"), stream_usage=True)
    telemetry = active()
    assert telemetry is not None
    assert (telemetry.settings.environment, telemetry.settings.stream_usage) == ("staging", True)


def test_an_instrumentors_own_call_is_the_same(kaizen_offline: ModelServer) -> None:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from tests.kaizen_otel.surfaces import scenes

    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    KaizenInstrumentor().instrument(tracer_provider=provider)
    scenes.kaizen_agent().execute(question="x")
    KaizenInstrumentor().uninstrument()
    scenes.kaizen_agent().execute(question="x")

    assert sorted(span.name for span in exporter.get_finished_spans()) == [
        "chat gpt-4o",
        "create_agent qa",
        "invoke_agent qa",
        "invoke_workflow",
        "node LLMAgentNode",
    ]
    assert len(kaizen_offline.requests) == 2


# -- Kailash's own tracer -----------------------------------------------------------------------------------------


def test_kailashs_own_tracer_is_silent_while_we_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    from kailash.runtime.tracing import TracingLevel, get_workflow_tracer

    monkeypatch.delenv("KAILASH_TRACING_LEVEL", raising=False)
    tracer = get_workflow_tracer()
    for level in (TracingLevel.BASIC, TracingLevel.DETAILED):
        monkeypatch.setattr(tracer, "level", level)
        with capture():
            assert tracer.level is TracingLevel.NONE
        assert tracer.level is level


def test_a_tracing_level_that_somebody_asked_for_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from kailash.runtime.tracing import TracingLevel, get_workflow_tracer

    monkeypatch.setenv("KAILASH_TRACING_LEVEL", "full")
    tracer = get_workflow_tracer()
    monkeypatch.setattr(tracer, "level", TracingLevel.FULL)
    with capture():
        assert tracer.level is TracingLevel.FULL
    assert tracer.level is TracingLevel.FULL


# -- importing ----------------------------------------------------------------------------------------------------

IMPORTS_NOTHING = """
import sys
from opentelemetry.instrumentation.auto_instrumentation import _load

import kaizen_otel
from kaizen_otel.instrumentor import KaizenInstrumentor
import kaizen_otel.patches.table, kaizen_otel.testing, kaizen_otel.cli
kaizen_otel.instrument()
kaizen_otel.uninstrument()
print(sorted(name for name in sys.modules if name.split(".")[0] in {"kaizen", "kailash", "kailash_mcp", "httpx"}))
"""


def test_importing_and_turning_on_imports_no_kaizen() -> None:
    assert run_python(IMPORTS_NOTHING).strip() == "[]"


ORDER = """
import sys

from opentelemetry.instrumentation.auto_instrumentation import _load

import kaizen_otel

when, url = sys.argv[1:]


def import_kaizen():
    import kaizen.core.framework, kaizen.core.base_agent, kaizen.llm.client, kaizen.nodes.ai.llm_agent
    import kailash.runtime, kailash.runtime.parallel


if when == "before":
    import_kaizen()
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
kaizen_otel.instrument(tracer_provider=provider)
if when == "between":
    # Off again while Kaizen is imported, then on.
    kaizen_otel.uninstrument()
    import_kaizen()
    kaizen_otel.instrument(tracer_provider=provider)
from kaizen_otel.demo.loopback import lift_loopback_guard

with lift_loopback_guard(url):
    from kaizen.core.framework import Kaizen

    Kaizen().create_agent("qa", {"model": "gpt-4o", "provider": "openai"}).execute(question="x")
print(sorted(span.name for span in exporter.get_finished_spans()))

from kaizen_otel.patches.table import PATCHER
originals = PATCHER.patched()
kaizen_otel.uninstrument()
print([name for (owner, name), original in originals.items() if vars(owner)[name] is not original], len(originals) > 20)
"""


@pytest.mark.parametrize("when", ["before", "after", "between"])
def test_kaizen_may_be_imported_before_or_after(when: str, model_server: ModelServer, tmp_path: Path) -> None:
    printed = run_python(ORDER, when, model_server.url, KAILASH_TRACKING_DIR=str(tmp_path)).splitlines()
    expected = "['chat gpt-4o', 'create_agent qa', 'invoke_agent qa', 'invoke_workflow', 'node LLMAgentNode']"
    assert printed == [expected, "[] True"]
