"""`create_agent(…, {'transparency': {…}})`: what holds for one agent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaizen_otel.testing import capture
from tests.kaizen_otel.settings.effects.acting import DURATION, agents_of, good, names, runs, with_content

if TYPE_CHECKING:
    from collections.abc import Callable


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
    "transparency.monitoring_level": agent_level,
    "transparency.monitoring_level, below that of all": agent_level_hides_content,
    "transparency.real_time_metrics": agent_real_time_metrics,
    "transparency.performance_profiling": agent_profiling,
}
