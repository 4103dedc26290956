"""Plays recorded spans of other libraries through a tracer provider, as those libraries would."""

from __future__ import annotations

import json
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import SpanKind, Status, StatusCode, use_span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.trace import Span, TracerProvider

_RECORDED = Path(__file__).parent / "recorded"

LIBRARIES = sorted(path.stem for path in _RECORDED.glob("*.json"))


@cache
def _spans(library: str) -> dict[str, dict[str, Any]]:
    recorded = json.loads((_RECORDED / f"{library}.json").read_text())
    return {span["scenario"]: span for span in recorded["spans"]}


def scenarios(library: str) -> list[str]:
    """What was recorded of a library."""
    return list(_spans(library))


@contextmanager
def replayed(provider: TracerProvider, library: str, scenario: str = "chat") -> Iterator[Span]:
    """A recorded span, current inside the block and ended after it. Its attributes are set at the end."""
    recorded = _spans(library)[scenario]
    span = provider.get_tracer(recorded["scope"]).start_span(recorded["name"], kind=SpanKind[recorded["kind"]])
    with use_span(span):
        yield span
    span.set_attributes(recorded["attributes"])
    for event in recorded["events"]:
        span.add_event(event["name"], {} if event["type"] is None else {"exception.type": event["type"]})
    if recorded["status"] != "UNSET":
        span.set_status(Status(StatusCode[recorded["status"]]))
    span.end()


def replay(provider: TracerProvider, library: str, scenario: str = "chat") -> None:
    """Start and end a recorded span."""
    with replayed(provider, library, scenario):
        pass
