"""Copies of spans and log records in which parts were replaced, and that say how much is missing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from opentelemetry._logs import LogRecord
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Link

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext


@dataclass(slots=True)
class OwnAttributes:
    """Attributes of a copy, and the number of those that the original had and the copy does not."""

    values: dict[str, Any] = field(default_factory=dict)
    lost: int = 0


class EventCopy(Event):
    """An event with attributes of our own."""

    def __init__(self, name: str, timestamp: int, own: OwnAttributes) -> None:
        super().__init__(name, own.values, timestamp)
        self.own = own

    @property
    def dropped_attributes(self) -> int:
        """How many attributes are missing."""
        return self.own.lost


class LinkCopy(Link):
    """A link with attributes of our own."""

    def __init__(self, context: SpanContext, own: OwnAttributes) -> None:
        super().__init__(context, own.values)
        self.own = own

    @property
    def dropped_attributes(self) -> int:
        """How many attributes are missing."""
        return self.own.lost


@dataclass(slots=True)
class OwnParts:
    """What a copy of a span holds, and the numbers of events and links that the original had and the copy does not."""

    attributes: OwnAttributes
    events: list[EventCopy]
    links: list[LinkCopy]
    lost_events: int = 0
    lost_links: int = 0


class SpanCopy(ReadableSpan):
    """A span with parts of our own."""

    def __init__(self, name: str | None, own: OwnParts, **parts: Any) -> None:
        super().__init__(name or "", attributes=own.attributes.values, events=own.events, links=own.links, **parts)
        self.own = own

    @property
    def dropped_attributes(self) -> int:
        """How many attributes are missing."""
        return self.own.attributes.lost

    @property
    def dropped_events(self) -> int:
        """How many events are missing."""
        return self.own.lost_events

    @property
    def dropped_links(self) -> int:
        """How many links are missing."""
        return self.own.lost_links


@dataclass(frozen=True)
class LogCopy(ReadableLogRecord):
    """A log record with attributes of our own."""

    own: OwnAttributes = field(default_factory=OwnAttributes)

    @property
    def dropped_attributes(self) -> int:
        """How many attributes are missing."""
        return self.own.lost


def log_record(**parts: Any) -> LogRecord:
    """Make a log record with exactly these parts: its constructor would fill some from the current context."""
    record = LogRecord()
    for name, value in parts.items():
        setattr(record, name, value)
    return record
