"""The capture that users test with: what it says when something is not as it should be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import kaizen_otel
from kaizen_otel.testing import capture

if TYPE_CHECKING:
    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured


def _ask() -> None:
    from kaizen.core.framework import Kaizen

    Kaizen().create_agent("qa", {"model": "gpt-4o", "provider": "openai"}).execute(question="hi")


@pytest.mark.parametrize(("prefix", "count"), [("no such", 0), ("", 5)])
def test_a_span_that_is_not_the_only_one_is_an_error_that_shows_the_tree(
    prefix: str, count: int, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    _ask()

    with pytest.raises(AssertionError, match=f"{count} spans start with '{prefix}'") as caught:
        kaizen_telemetry.span(prefix)
    assert "invoke_agent qa" in str(caught.value)
    assert len(kaizen_offline.requests) == 1


def test_what_is_instrumented_already_is_not_captured_and_stays_as_it_is() -> None:
    kaizen_otel.instrument(metrics=False)
    try:
        with pytest.raises(RuntimeError, match="already instrumented"), capture():
            pass
        assert kaizen_otel.stats()["instrumented"] is True
    finally:
        kaizen_otel.uninstrument()


def test_without_a_fixed_clock_durations_are_real(kaizen_offline: ModelServer) -> None:
    with capture(deterministic=False) as captured:
        _ask()

    assert len(kaizen_offline.requests) == 1
    agent, chat = captured.span("invoke_agent"), captured.span("chat")
    assert agent.duration_ms > chat.duration_ms > 0
    assert agent.trace_id != f"{1:032x}"
