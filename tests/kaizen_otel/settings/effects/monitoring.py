"""`Kaizen(config=…)`: what is monitored, and how much."""

from __future__ import annotations

from typing import TYPE_CHECKING

import kaizen_otel
from kaizen_otel.testing import capture
from tests.kaizen_otel.settings.effects.acting import (
    DURATION,
    agents_of,
    good,
    names,
    runs,
    says,
    telemetry,
    with_content,
)

if TYPE_CHECKING:
    from collections.abc import Callable


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
}
