"""How a scene is played for what `docs/coverage.md` says of a method: inside a span of the application's."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from kaizen_otel.demo.model_server import Reply, ReplyUsage

if TYPE_CHECKING:
    from collections.abc import Callable

    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured

USAGE = ReplyUsage(input_tokens=100, output_tokens=20)
ANSWER = {"answer": "Paris."}
JUDGED = {"answer": "Paris.", "similarity": 0.5, "match_score": 0.5, "score": 0.5, "reasoning": "so", "confidence": 0.5}
"""An answer, also to the question whether two things are alike."""


def goes_well(scene: Callable[[], Any], server: ModelServer, captured: Captured, **answer: Any) -> None:
    """Play it with a model that answers: each call tells its tokens."""
    from tests.kaizen_otel.surfaces import scenes

    server.script(lambda _: Reply.json(answer or ANSWER, usage=USAGE))
    scenes.play_under_caller(captured, scene)
    assert captured.calls
    assert all(call.usage.input_tokens for call in captured.calls)


def is_refused(scene: Callable[[], Any], server: ModelServer, captured: Captured) -> None:
    """Play it with a provider that refuses: some raise it, some return it, what is told of it is the same."""
    from tests.kaizen_otel.surfaces import scenes

    server.script(lambda _: Reply.unauthorized())
    before = len(captured.spans)
    with suppress(Exception):
        scenes.play_under_caller(captured, scene)
    assert "ERROR" in {span.status for span in captured.spans[before:]}


def well_and_refused(scene: Callable[[], Any], server: ModelServer, captured: Captured, **answer: Any) -> None:
    """Play it twice: with a model that answers, and with a provider that refuses."""
    goes_well(scene, server, captured, **answer)
    is_refused(scene, server, captured)
