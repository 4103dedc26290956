"""Spans and log records that the official encoder accepts, in every shape that the SDK or an application can make."""

from __future__ import annotations

from collections import OrderedDict, UserDict, UserList
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hypothesis.strategies import SearchStrategy


class Colour(StrEnum):
    RED = "rot"


class Level(IntEnum):
    HIGH = 300


class LoudText(str):
    """A text that lies about itself."""

    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return b"lies" + errors.encode(encoding)


class OwnFloat(float):
    __slots__ = ()


class OwnBytes(bytes):
    __slots__ = ()


EDGES = (0, 1, 127, 128, 4095, 4096, 16383, 16384, 524287, 524288, 2**21, 2**31, 2**32, 2**56, 2**63 - 1, -1, -(2**63))
INT64 = st.sampled_from(EDGES) | st.integers(-(2**63), 2**63 - 1) | st.integers(0, 20_000)
SHORT_TEXT = st.text(max_size=12)
LONG_TEXT = st.integers(0, 5000).map(lambda size: "größer"[: size % 7] + "x" * size)
TEXT = SHORT_TEXT | LONG_TEXT | st.sampled_from(["chat", "gpt-4o", "", "\x00", "日本語", "🙂" * 40])
KEYS = st.sampled_from(["a", "gen_ai.request.model", "k" * 127, "k" * 128, "k" * 129, ""]) | SHORT_TEXT
ODD_LEAVES = st.sampled_from([Colour.RED, Level.HIGH, LoudText("ehrlich"), OwnFloat(2.5), OwnBytes(b"\x00\xff")])
LEAVES: SearchStrategy[Any] = (
    TEXT | INT64 | st.floats() | st.booleans() | st.binary(max_size=200) | st.none() | ODD_LEAVES
)
SEQUENCES = st.sampled_from([bytearray(b"ab"), range(3), memoryview(b"xy"), UserList([1, "x"]), ()])


def _containers(inside: SearchStrategy[Any]) -> SearchStrategy[Any]:
    lists = st.lists(inside, max_size=4)
    keys = SHORT_TEXT | st.integers() | st.none() | st.booleans()
    mappings = st.dictionaries(keys, inside, max_size=4)
    return (
        lists
        | lists.map(tuple)
        | mappings
        | mappings.map(OrderedDict)
        | mappings.map(UserDict)
        | mappings.map(MappingProxyType)
    )


VALUES: SearchStrategy[Any] = st.recursive(LEAVES | SEQUENCES, _containers, max_leaves=12)

_PLAIN = st.dictionaries(KEYS, VALUES, max_size=8)


@st.composite
def bounded(draw: st.DrawFn) -> BoundedAttributes:
    """What the SDK makes of attributes: cleaned, limited, and the rest counted."""
    limit, length = draw(st.none() | st.integers(0, 6)), draw(st.none() | st.integers(0, 6))
    immutable = draw(st.booleans())
    values = st.recursive(LEAVES, lambda inside: st.lists(inside, max_size=3).map(tuple), max_leaves=4)
    return BoundedAttributes(limit, draw(st.dictionaries(KEYS, values, max_size=8)), immutable, length)


ATTRIBUTES: SearchStrategy[Mapping[str, Any] | None] = (
    st.none() | _PLAIN | bounded() | _PLAIN.map(MappingProxyType) | _PLAIN.map(UserDict)
)

TRACE_IDS = st.integers(0, 2**128 - 1)
SPAN_IDS = st.integers(0, 2**64 - 1)
TIMES = st.none() | st.integers(0, 2**64 - 1) | st.just(1_764_000_000_000_000_000)
STATES = st.none() | st.lists(
    st.tuples(st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True), st.from_regex(r"[a-z0-9]{1,6}", fullmatch=True)),
    max_size=3,
).map(TraceState)
CONTEXTS = st.builds(SpanContext, TRACE_IDS, SPAN_IDS, st.booleans(), st.just(TraceFlags(1)), STATES)

EVENTS = st.builds(Event, TEXT, ATTRIBUTES, st.integers(0, 2**63))
LINKS = st.builds(Link, CONTEXTS, ATTRIBUTES)
STATUSES = st.builds(Status, st.sampled_from([StatusCode.UNSET, StatusCode.OK])) | st.builds(
    Status, st.just(StatusCode.ERROR), st.none() | TEXT
)
_OWNER_VALUES = TEXT | INT64 | st.floats() | st.booleans() | st.lists(SHORT_TEXT, max_size=3).map(tuple)
_OWNER_ATTRIBUTES = st.dictionaries(SHORT_TEXT.filter(bool), _OWNER_VALUES, max_size=3)
RESOURCES = st.builds(Resource, _OWNER_ATTRIBUTES, st.none() | SHORT_TEXT)
SCOPES = st.none() | st.builds(
    InstrumentationScope, TEXT, st.none() | SHORT_TEXT, st.none() | SHORT_TEXT, st.none() | _OWNER_ATTRIBUTES
)


def _sometimes_bounded(entries: SearchStrategy[Any]) -> SearchStrategy[Any]:
    lists = st.lists(entries, max_size=3)
    return (
        lists | lists.map(tuple) | st.tuples(st.integers(0, 3), lists).map(lambda drawn: BoundedList.from_seq(*drawn))
    )


def small_spans(resources: SearchStrategy[Resource], scopes: SearchStrategy[Any]) -> SearchStrategy[Any]:
    return st.builds(ReadableSpan, name=SHORT_TEXT, context=CONTEXTS, resource=resources, instrumentation_scope=scopes)


@st.composite
def small_log_records(
    draw: st.DrawFn, resources: SearchStrategy[Resource], scopes: SearchStrategy[Any]
) -> ReadableLogRecord:
    return ReadableLogRecord(LogRecord(body=draw(SHORT_TEXT)), draw(resources), draw(scopes))


def spans(resources: SearchStrategy[Resource] = RESOURCES, scopes: SearchStrategy[Any] = SCOPES) -> SearchStrategy[Any]:
    return st.builds(
        ReadableSpan,
        name=TEXT,
        context=CONTEXTS,
        parent=st.none() | CONTEXTS,
        resource=resources,
        attributes=ATTRIBUTES,
        events=_sometimes_bounded(EVENTS),
        links=_sometimes_bounded(LINKS),
        kind=st.sampled_from(SpanKind),
        status=STATUSES,
        start_time=TIMES,
        end_time=TIMES,
        instrumentation_scope=scopes,
    )


@st.composite
def log_records(
    draw: st.DrawFn, resources: SearchStrategy[Resource] = RESOURCES, scopes: SearchStrategy[Any] = SCOPES
) -> ReadableLogRecord:
    record = LogRecord(
        timestamp=draw(TIMES),
        severity_text=draw(st.none() | TEXT),
        severity_number=draw(st.none() | st.sampled_from(SeverityNumber)),
        body=draw(VALUES),
        attributes=draw(ATTRIBUTES),
        event_name=draw(st.none() | TEXT),
    )
    record.observed_timestamp = draw(TIMES) or 0
    record.trace_id, record.span_id = draw(TRACE_IDS), draw(SPAN_IDS)
    record.trace_flags = draw(st.sampled_from([TraceFlags(0), TraceFlags(1), TraceFlags(3), TraceFlags(255)]))
    return ReadableLogRecord(record, draw(resources), draw(scopes))


@st.composite
def batches(draw: st.DrawFn, items: Any) -> list[Any]:
    """Several items of a few resources and scopes: the same ones, equal ones, and different ones, in any order."""
    resources = draw(st.lists(RESOURCES, min_size=1, max_size=3))
    scopes = draw(st.lists(SCOPES, min_size=1, max_size=3))
    resources += [Resource(dict(reversed(list(twin.attributes.items()))), twin.schema_url) for twin in resources]
    scopes += [
        scope and InstrumentationScope(scope.name, scope.version, scope.schema_url, scope.attributes)
        for scope in scopes
    ]
    return draw(st.lists(items(st.sampled_from(resources), st.sampled_from(scopes)), max_size=6))
