"""Reads traces back from Jaeger's own HTTP API, as typed trees."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from tests.backends.processes import BackendError, get, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ARRIVAL_TIMEOUT_S: Final = 30.0

TagValue = str | bool | int | float


@dataclass(slots=True)
class JaegerSpan:
    """One span as Jaeger keeps it, with its children in the order in which they started.

    Attributes:
        name: The operation name.
        span_id: 16 hex digits.
        parent_id: The parent's id; None for a root.
        service: `service.name` of the resource.
        start_us: Start, in microseconds since 1970.
        duration_us: Duration in microseconds.
        tags: The span's attributes with their types, and what Jaeger adds: `span.kind`, `error`, `otel.status_code`,
            `otel.scope.name`.
        events: The names of its events.
        warnings: What Jaeger found wrong: a missing parent, a repeated id, clocks that disagree.
        children: The spans below.
    """

    name: str
    span_id: str
    parent_id: str | None
    service: str
    start_us: int
    duration_us: int
    tags: dict[str, TagValue]
    events: tuple[str, ...]
    warnings: tuple[str, ...]
    children: list[JaegerSpan] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """`client`, `internal`, … as Jaeger names the kinds."""
        return str(self.tags.get("span.kind", ""))

    @property
    def is_error(self) -> bool:
        """Whether the span's status is ERROR."""
        return self.tags.get("error") is True

    def walk(self) -> Iterator[JaegerSpan]:
        """The span and everything below it, depth first."""
        yield self
        for child in self.children:
            yield from child.walk()

    def outline(self, depth: int = 0) -> str:
        """The tree as text: one span a line, two spaces a level, `!` after the name of a failed one."""
        line = f"{'  ' * depth}{self.name}{' !' if self.is_error else ''}"
        return "\n".join([line, *(child.outline(depth + 1) for child in self.children)])


@dataclass(frozen=True, slots=True)
class JaegerTrace:
    """One trace: its roots (one, when nothing is missing) and everything Jaeger warned of."""

    trace_id: str
    roots: tuple[JaegerSpan, ...]

    @property
    def root(self) -> JaegerSpan:
        """The only root.

        Raises:
            BackendError: There are several, i.e. spans are missing or belong to nobody.
        """
        if len(self.roots) != 1:
            names = [root.name for root in self.roots]
            raise BackendError(f"trace {self.trace_id} has {len(self.roots)} roots: {names}")
        return self.roots[0]

    def spans(self) -> list[JaegerSpan]:
        """All spans, depth first."""
        return [span for root in self.roots for span in root.walk()]

    def warnings(self) -> list[str]:
        """What Jaeger warned of, each with the name of its span."""
        return [f"{span.name}: {warning}" for span in self.spans() for warning in span.warnings]

    def outline(self) -> str:
        """All trees as text, see `JaegerSpan.outline`."""
        return "\n".join(root.outline() for root in self.roots)


@dataclass(frozen=True, slots=True)
class JaegerClient:
    """Jaeger's query API at `host:port`."""

    address: str

    def trace(self, trace_id: str, *, spans: int) -> JaegerTrace:
        """Wait until Jaeger has `spans` spans of a trace (or more), and read it.

        Raises:
            BackendError: They did not arrive in time; the message shows those that did.
        """
        seen: list[JaegerTrace] = []

        def arrived() -> JaegerTrace | None:
            trace = self._find(trace_id)
            if trace is None:
                return None
            seen[:] = [trace]
            return trace if len(trace.spans()) >= spans else None

        return wait_for(
            arrived,
            what=f"{spans} spans of trace {trace_id} in Jaeger",
            timeout_s=ARRIVAL_TIMEOUT_S,
            explain=lambda: seen[0].outline() if seen else "none arrived",
        )

    def services(self) -> list[str]:
        """The names of all services that sent spans."""
        return [str(name) for name in _data(self._get("/api/services"))]

    def trace_ids(self, service: str, *, tags: Mapping[str, str] | None = None, limit: int = 1000) -> list[str]:
        """The ids of a service's traces that have a span with all of `tags`."""
        query = {"service": service, "limit": str(limit), "lookback": "1h"}
        if tags:
            query["tags"] = json.dumps(dict(tags))
        return [str(trace["traceID"]) for trace in _data(self._get(f"/api/traces?{urlencode(query)}"))]

    def _find(self, trace_id: str) -> JaegerTrace | None:
        status, body = get(self.address, f"/api/traces/{trace_id}")
        if status == HTTPStatus.NOT_FOUND:
            return None
        return _parse_trace(_data(_checked(status, body))[0])

    def _get(self, path: str) -> bytes:
        return _checked(*get(self.address, path))


def _checked(status: int, body: bytes) -> bytes:
    if status != HTTPStatus.OK:
        raise BackendError(f"Jaeger answered {status}: {body.decode(errors='replace')}")
    return body


def _data(body: bytes) -> list[Any]:
    data = json.loads(body)["data"]
    return data if isinstance(data, list) else []


def _parse_trace(raw: dict[str, Any]) -> JaegerTrace:
    services = {key: str(process["serviceName"]) for key, process in raw["processes"].items()}
    spans = [_parse_span(span, services) for span in raw["spans"]]
    spans.sort(key=lambda span: (span.start_us, span.span_id))
    by_id = {span.span_id: span for span in spans}
    roots: list[JaegerSpan] = []
    for span in spans:
        parent = by_id.get(span.parent_id) if span.parent_id is not None else None
        (roots if parent is None else parent.children).append(span)
    return JaegerTrace(str(raw["traceID"]), tuple(roots))


def _parse_span(raw: dict[str, Any], services: dict[str, str]) -> JaegerSpan:
    parents = [str(reference["spanID"]) for reference in raw["references"] if reference["refType"] == "CHILD_OF"]
    return JaegerSpan(
        name=str(raw["operationName"]),
        span_id=str(raw["spanID"]),
        parent_id=parents[0] if parents else None,
        service=services[raw["processID"]],
        start_us=int(raw["startTime"]),
        duration_us=int(raw["duration"]),
        tags={str(tag["key"]): _tag_value(tag) for tag in raw["tags"]},
        events=tuple(_event_name(log) for log in raw["logs"]),
        warnings=tuple(str(warning) for warning in raw["warnings"] or ()),
    )


def _tag_value(tag: dict[str, Any]) -> TagValue:
    value: TagValue = tag["value"]
    # JSON has one kind of number: only the type beside it tells 1.0 from 1.
    return float(value) if tag["type"] == "float64" else value


def _event_name(log: dict[str, Any]) -> str:
    return next((str(entry["value"]) for entry in log["fields"] if entry["key"] == "event"), "")
