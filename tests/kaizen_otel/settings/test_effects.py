"""Each key of Kaizen's dictionaries at run time: after `instrument()`, in an application's own `Kaizen(config=…)`.

What a key does to a `Settings` is tested in test_spec_dictionaries.py. Here it is observed: a key that only changes a
value nobody looks at any more would be as good as ignored.
"""

from __future__ import annotations

import ast
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import kaizen_otel
from kaizen_otel.patches.switch import active
from kaizen_otel.settings.model import KINDS
from kaizen_otel.settings.spec_dictionaries import KAIZEN_KEYS, NOT_AVAILABLE, TRANSPARENCY_KEYS, dotted_keys
from kaizen_otel.testing import capture
from kaizen_processors import recording
from tests.kaizen_otel.otlp_endpoint import receiving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.telemetry import Telemetry
    from kaizen_otel.testing import Captured

HOOK = {"type": "webhook", "url": "http://127.0.0.1:9/hook"}
RULES = [{"name": "any_run", "condition": "executions >= 1", "time_window": "1m"}]
DURATION = "kaizen.execution.duration"


@pytest.fixture(autouse=True)
def _apart(kaizen_offline: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    assert kaizen_offline.requests == []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(recording, "DRAIN_INTERVAL_S", 3_600.0)  # what is deferred waits until it is flushed
    yield
    kaizen_otel.uninstrument()


def says(config: dict[str, Any]) -> None:
    """Make a Kaizen object with this dictionary."""
    from kaizen.core.framework import Kaizen

    Kaizen(config=config)


def runs(name: str = "desk", **config: Any) -> None:
    """Make an agent and run it once."""
    from kaizen.core.framework import Kaizen

    Kaizen().create_agent(name, {"model": "gpt-4o", "provider": "openai", **config}).execute(question="hi")


def telemetry() -> Telemetry:
    found = active()
    assert found is not None
    return found


def names(captured: Captured) -> list[str]:
    return [execution.agent_name for execution in captured.executions]


def agents_of(captured: Captured, metric: str) -> list[str]:
    """The agents that points of a metric name; a structural score, which every answer has, is none of theirs."""
    points = captured.metrics().get(metric, [])
    return [one.attributes["agent_name"] for one in points if one.attributes.get("evaluation") != "structural"]


def with_content(captured: Captured) -> list[str]:
    spans = captured.spans_named("invoke_agent")
    return [span["gen_ai.agent.name"] for span in spans if "gen_ai.input.messages" in span.attributes]


def good(_: Any) -> float:
    return 1.0


# -- Kaizen(config=…) -------------------------------------------------------------------------------------------------


def transparency_enabled() -> None:
    with capture() as captured:
        says({"transparency_enabled": False})
        runs("unseen")
        assert (captured.spans, captured.calls) == ([], [])
        says({"transparency_enabled": True})
        runs("seen")
        assert names(captured) == ["seen"]


def monitoring_level() -> None:
    with capture(content="span", evaluators=[good]) as captured:
        runs("before")
        says({"monitoring_level": "basic"})
        runs("after")
        captured.flush()
        assert len(captured.spans_named("node")) == 1
        assert with_content(captured) == ["before"]
        assert agents_of(captured, "kaizen.quality.score") == ["before"]
        says({"monitoring_level": "verbose"})
        runs("again")
        captured.flush()
        assert with_content(captured) == ["before", "again"]
        assert agents_of(captured, "kaizen.quality.score") == ["before", "again"]


def durations(key: str) -> Callable[[], None]:
    def check() -> None:
        with capture() as captured:
            says({key: False})
            runs("untimed")
            says({key: True})
            runs("timed")
            assert agents_of(captured, DURATION) == ["timed"]

    return check


def real_time_metrics() -> None:
    with capture() as captured:
        says({"real_time_metrics": False})
        runs("later")
        assert agents_of(captured, DURATION) == []
        says({"real_time_metrics": True})
        assert agents_of(captured, DURATION) == ["later"]
        runs("now")
        assert sorted(agents_of(captured, DURATION)) == ["later", "now"]


def metrics_retention() -> None:
    with capture() as captured:
        runs()
        says({"metrics_retention": "60s"})
        captured.clock.advance(3_600.0)
        captured.tick()
        assert kaizen_otel.snapshot("24h").total_executions == 0


def metrics_collection(off: object, on: object) -> Callable[[], None]:
    def check() -> None:
        with capture() as captured:
            says({"metrics_collection": off})
            runs()
            assert captured.metrics() == {}
            says({"metrics_collection": on})
            runs()
            (point,) = captured.metrics()[DURATION]
            assert point.count == 1

    return check


def collection_interval() -> None:
    kaizen_otel.instrument()
    says({"metrics_collection": {"collection_interval": 7}})
    metrics = kaizen_otel.RealTimeMetrics()
    metrics.close()
    assert metrics.options.collection_interval == 7.0


def buffer_size() -> None:
    with capture() as captured:
        says({"metrics_collection": {"buffer_size": 1}})
        runs("first")
        runs("second")
        kept = telemetry().performance.recent
        assert ([one.agent_name for one in kept.records()], len(captured.executions)) == (["second"], 2)


def streaming() -> None:
    kaizen_otel.instrument()
    says({"metrics_collection": {"streaming": True}})
    told: list[str] = []
    metrics = kaizen_otel.RealTimeMetrics()
    metrics.subscribe(lambda execution: told.append(execution.agent_name))
    runs()
    metrics.flush(30.0)
    metrics.close()
    assert told == ["desk"]
    assert metrics.options.streaming


# -- exporters


def console(on: object, off: object) -> Callable[[pytest.CaptureFixture[str]], None]:
    def check(output: pytest.CaptureFixture[str]) -> None:
        kaizen_otel.instrument()
        said = []
        for asked in (on, off):
            says({"exporters": {"console": asked}})
            runs()
            kaizen_otel.flush(30.0)
            said.append("desk" in output.readouterr().err)
        assert said == [True, False]

    return check


def console_width(output: pytest.CaptureFixture[str]) -> None:
    kaizen_otel.instrument(preset=None)
    widest = []
    for width in (60, 100):
        says({"exporters": {"console": {"width": width}}})
        runs(f"desk {'of a very long name ' * 6}")
        kaizen_otel.flush(30.0)
        widest.append(max(map(len, output.readouterr().err.splitlines())))
    assert widest[0] <= 60 < widest[1] <= 100


def file(on: object, off: object, name: str) -> Callable[[], None]:
    def check() -> None:
        kaizen_otel.instrument()
        says({"exporters": {"file": on}})
        runs("written")
        says({"exporters": {"file": off}})
        runs("unwritten")
        kaizen_otel.flush(30.0)
        text = Path(name).read_text("utf-8")
        assert ("invoke_agent written" in text, "invoke_agent unwritten" in text) == (True, False)

    return check


def prometheus(asked: object) -> Callable[[], None]:
    def check() -> None:
        kaizen_otel.instrument()
        says({"exporters": {"prometheus": asked}})
        runs()
        assert "kaizen_agent_executions_total" in page()

    return check


def page(host: str = "localhost") -> str:
    port = telemetry().metrics.prometheus_port
    with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=30) as answer:
        return str(answer.read(), "utf-8")


def prometheus_host() -> None:
    kaizen_otel.instrument()
    says({"exporters": {"prometheus": {"port": 0, "host": "127.0.0.2"}}})
    assert "target_info" in page("127.0.0.2")


def otlp(asked: object) -> Callable[[], None]:
    def check() -> None:
        with receiving() as (url, received), pytest.MonkeyPatch.context() as patch:
            # The providers are private here: the API takes a global one only once in a process.
            patch.setattr("opentelemetry.trace.set_tracer_provider", lambda _: None)
            patch.setattr("opentelemetry.metrics.set_meter_provider", lambda _: None)
            patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
            kaizen_otel.instrument(file="spans.jsonl", prometheus_port=0, config={"exporters": {"otlp": False}})
            runs("unseen")
            says({"exporters": {"otlp": asked}})
            runs("seen")
            kaizen_otel.record_evaluation("helpful", score=0.9)
            assert kaizen_otel.flush(30.0)
            assert [name for name in received.spans if name.startswith("invoke_agent")] == ["invoke_agent seen"]
            assert DURATION in received.metrics
            assert received.events == ["gen_ai.evaluation.result"]
            kaizen_otel.uninstrument()

    return check


# -- alerting


def alerting(on: object, off: object) -> Callable[[], None]:
    def check() -> None:
        with capture() as captured:
            says({"alerting": on})
            assert kaizen_otel.stats()["alerts"]
            says({"alerting": off})
            captured.tick()
            assert kaizen_otel.stats()["alerts"] == {}

    return check


def alerting_rules() -> None:
    with capture() as captured:
        says({"alerting": {"rules": RULES}})
        runs()
        captured.clock.advance(15.0)
        captured.tick()
        assert [one.type for one in telemetry().rules.evaluator.alerts()] == ["any_run"]


def alerting_channels() -> None:
    with capture() as captured:
        kaizen_otel.register_alert_handler(print, name="other")
        says({"alerting": {"rules": RULES, "channels": ["events"]}})
        runs()
        captured.clock.advance(15.0)
        captured.tick()
        kaizen_otel.flush(30.0)
        channels = kaizen_otel.stats()["alerts"]["channels"]
        kaizen_otel.unregister_alert_handler("other")
        assert (channels["events"]["sent"], channels["other"]["sent"]) == (1, 0)


def notification_channels() -> None:
    with capture():
        says({"alerting": {"notification_channels": {"ops": HOOK}}})
        assert "ops" in kaizen_otel.stats()["alerts"]["channels"]


# -- create_agent(…, {"transparency": {…}}) ----------------------------------------------------------------------------


def agent_level() -> None:
    with capture(content="span", evaluators=[good], monitoring_level="standard") as captured:
        runs("usual")
        runs("open", transparency={"monitoring_level": "comprehensive"})
        runs("quiet", transparency={"monitoring_level": "basic"})
        runs("silent", transparency={"monitoring_level": "off"})
        captured.flush()
        assert names(captured) == ["usual", "open", "quiet"]
        assert len(captured.spans_named("node")) == 2
        assert with_content(captured) == ["open"]
        assert agents_of(captured, "kaizen.quality.score") == ["open"]
        assert sum("gen_ai.input.messages" in span.attributes for span in captured.spans_named("chat")) == 1


def agent_level_hides_content() -> None:
    with capture(content="span", evaluators=[good]) as captured:
        runs("discreet", transparency={"monitoring_level": "standard"})
        captured.flush()
        assert with_content(captured) == []
        assert not any("gen_ai.input.messages" in span.attributes for span in captured.spans)
        assert agents_of(captured, "kaizen.quality.score") == []


def agent_real_time_metrics() -> None:
    with capture() as captured:
        runs("later", transparency={"real_time_metrics": False})
        runs("now")
        assert agents_of(captured, DURATION) == ["now"]
        (tokens, _) = captured.metrics()["gen_ai.client.token.usage"]
        assert tokens.count == 1
        captured.flush()
        assert agents_of(captured, DURATION) == ["now", "later"]
    with capture(deferred_histograms=True) as captured:
        runs("later")
        runs("now", transparency={"real_time_metrics": True})
        assert agents_of(captured, DURATION) == ["now"]
        captured.flush()
        assert agents_of(captured, DURATION) == ["now", "later"]


def agent_profiling() -> None:
    with capture() as captured:
        runs("profiled", transparency={"performance_profiling": True})
        runs("usual")
        assert [one.memory_usage_mb is not None for one in captured.executions] == [True, False]


EFFECTS: dict[str, Callable[..., None]] = {
    "transparency_enabled": transparency_enabled,
    "monitoring_level": monitoring_level,
    "performance_monitoring": durations("performance_monitoring"),
    "performance_tracking": durations("performance_tracking"),
    "real_time_metrics": real_time_metrics,
    "metrics_retention": metrics_retention,
    "metrics_collection": metrics_collection(off=False, on=True),
    "metrics_collection.enabled": metrics_collection(off={"enabled": False}, on={"enabled": True}),
    "metrics_collection.collection_interval": collection_interval,
    "metrics_collection.buffer_size": buffer_size,
    "metrics_collection.streaming": streaming,
    "exporters.console": console(on=True, off=False),
    "exporters.console.enabled": console(on={"enabled": True}, off={"enabled": False}),
    "exporters.console.width": console_width,
    "exporters.file": file(on=True, off=False, name="kaizen-otel.jsonl"),
    "exporters.file.enabled": file(on={"enabled": True}, off={"enabled": False}, name="kaizen-otel.jsonl"),
    "exporters.file.path": file(on={"path": "a.jsonl"}, off={"path": "b.jsonl"}, name="a.jsonl"),
    "exporters.prometheus.port": prometheus({"port": 0}),
    "exporters.prometheus.enabled": prometheus({"port": 0, "enabled": True}),
    "exporters.prometheus.host": prometheus_host,
    "exporters.otlp": otlp(asked=True),
    "exporters.otlp.enabled": otlp(asked={"enabled": True}),
    "alerting": alerting(on=True, off=False),
    "alerting.enabled": alerting(on={"enabled": True}, off={"enabled": False}),
    "alerting.rules": alerting_rules,
    "alerting.channels": alerting_channels,
    "alerting.notification_channels": notification_channels,
    "transparency.monitoring_level": agent_level,
    "transparency.monitoring_level, below that of all": agent_level_hides_content,
    "transparency.real_time_metrics": agent_real_time_metrics,
    "transparency.performance_profiling": agent_profiling,
}
WITHOUT_ONE = {
    "exporters": "holds the others",
    "exporters.prometheus": "with the usual port, which another test may have",
}


@pytest.mark.parametrize("key", EFFECTS)
def test_a_key_has_its_effect_at_run_time(key: str, request: pytest.FixtureRequest) -> None:
    check = EFFECTS[key]
    check(*(request.getfixturevalue("capfd") for _ in range(check.__code__.co_argcount)))


def test_every_key_has_an_effect_or_is_refused() -> None:
    keys = {*dotted_keys(KAIZEN_KEYS), *dotted_keys(TRANSPARENCY_KEYS, "transparency.")}
    refused = {key for key in keys if any(f"{key}.".startswith(f"{gap}.") for gap in NOT_AVAILABLE)}
    assert {key.partition(",")[0] for key in EFFECTS} | WITHOUT_ONE.keys() | refused == keys


def _read_fields() -> set[str]:
    """The names that some part of the package takes from settings."""
    package = Path(kaizen_otel.__file__).parent
    found: set[str] = set()
    for path in package.rglob("*.py"):
        if path.parent.name != "settings" or path.name in {"agent.py", "in_force.py"}:
            tree = ast.parse(path.read_text("utf-8"))
            found |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return found


def test_every_field_is_read_by_somebody() -> None:
    assert set(KINDS) - _read_fields() == set()
