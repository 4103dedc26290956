"""What a whole test session emitted: every breach, and every entry of the registry that was never seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kaizen_semconv import attributes as own
from kaizen_semconv import registry
from tests.conformance.checker import check_log, check_metrics, check_span, is_ours, span_model

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from opentelemetry.sdk.metrics.export import MetricsData
    from opentelemetry.sdk.trace import ReadableSpan

    from tests.conformance.checker import EmittedLog

Entry = tuple[str, str]
Member = tuple[str, str]

OWN = frozenset(key for name, key in vars(own).items() if name.isupper())
"""Keys of our own attributes, the labels of our metrics among them."""

NEVER_EMITTED = {
    "gen_ai.response.id on event gen_ai.evaluation.result": "an execution is judged, which may have had many answers",
    "http.response.status_code on span span.kaizen.create_agent": "making an agent asks no provider",
    "http.response.status_code on span span.kaizen.mcp_server": "the server makes an error of MCP's out of any other",
    "http.response.status_code on span span.kaizen.mcp_server_tool": "an error of a tool's is an answer with `isError`",
}
"""Uses that the registry allows and no test can bring about, each with its reason."""


class ConformanceSession:
    """Collects what was emitted.

    An entry is `("span", id)`, `("metric", name)`, `("event", name)` or `("attribute", key)`.

    Attributes:
        breaches: each breach, with the place that showed it first.
        seen: the entries that were emitted.
        members: values of enums that were emitted, with their keys.
        uses: attributes that were emitted, with the signal they were on.
    """

    def __init__(self) -> None:
        """Nothing was emitted yet."""
        self.breaches: dict[str, str] = {}
        self.seen: set[Entry] = set()
        self.members: set[Member] = set()
        self.uses: set[tuple[Entry, str]] = set()

    def packed(self) -> dict[str, Any]:
        """What was found, in lists and text only."""
        return {
            "breaches": self.breaches,
            "seen": sorted(self.seen),
            "members": sorted(self.members & _known_members()),
            "uses": sorted(self.uses),
        }

    def merge(self, packed: Mapping[str, Any]) -> None:
        """Add what another process found."""
        for line, where in packed["breaches"].items():
            self.breaches.setdefault(line, where)
        self.seen |= set(packed["seen"])
        self.members |= set(packed["members"])
        self.uses |= set(packed["uses"])

    def observe_span(self, span: ReadableSpan, where: str = "") -> None:
        """Judge and count one ended span."""
        self._blame(check_span(span), where)
        if not is_ours(span.instrumentation_scope):
            return
        attributes = span.attributes or {}
        for version in registry.versions():
            model = span_model(attributes, registry.load(version), span.kind.name.lower())
            if model is not None:
                self._count(("span", model.id), attributes)
        self._count_resource(span.resource.attributes)

    def observe_metrics(self, metrics_data: MetricsData, where: str = "") -> None:
        """Judge and count one collection."""
        self._blame(check_metrics(metrics_data), where)
        for metrics in metrics_data.resource_metrics:
            for scope_metrics in metrics.scope_metrics:
                if not is_ours(scope_metrics.scope):
                    continue
                self._count_resource(metrics.resource.attributes)
                for metric in scope_metrics.metrics:
                    for point in metric.data.data_points:
                        self._count(("metric", metric.name), point.attributes or {})

    def observe_log(self, record: EmittedLog, where: str = "") -> None:
        """Judge and count one log record."""
        self._blame(check_log(record), where)
        if is_ours(record.instrumentation_scope):
            name = record.log_record.event_name or ""
            self._count(("event", name), record.log_record.attributes or {})

    def unseen(self) -> list[Entry]:
        """Entries of the registry, of any version, that were never emitted."""
        known: set[Entry] = set()
        for model in _models():
            known |= {("span", name) for name in model.spans}
            known |= {("metric", name) for name in model.metrics}
            known |= {("event", name) for name in model.events}
            known |= {("attribute", key) for key in model.attributes}
        return sorted(known - self.seen)

    def missed(self) -> list[str]:
        """What a whole session should have emitted and did not: entries, members of our enums, uses.

        An entry that was never emitted is told once, without its members and uses.
        """
        entries = self.unseen()
        gone = {name for _, name in entries}
        lines = [f"{kind} {name}" for kind, name in entries]
        lines += [f"value {value!r} of {key}" for key, value in self.unseen_members() if key not in gone]
        for (kind, name), key in self._unseen_uses():
            use = f"{key} on {kind} {name}"
            if key not in gone and name not in gone and use not in NEVER_EMITTED:
                lines.append(use)
        return lines

    def outdated(self) -> list[str]:
        """What `NEVER_EMITTED` names and was emitted, or is not in the registry."""
        return sorted(NEVER_EMITTED.keys() - set(self.unseen_uses()))

    def unseen_members(self) -> list[Member]:
        """Values of our own enums that were never emitted; those of the conventions are not all ours to emit."""
        return sorted(_known_members() - self.members)

    def unseen_uses(self) -> list[str]:
        """Attributes that the registry puts on a signal and that were never emitted there."""
        return [f"{key} on {kind} {name}" for (kind, name), key in self._unseen_uses()]

    def _unseen_uses(self) -> list[tuple[Entry, str]]:
        known: set[tuple[Entry, str]] = set()
        for model in _models():
            known |= {(("span", name), key) for name, span in model.spans.items() for key in span.attributes}
            known |= {(("metric", name), key) for name, metric in model.metrics.items() for key in metric.attributes}
            known |= {(("event", name), key) for name, event in model.events.items() for key in event.attributes}
        return sorted(known - self.uses, key=lambda use: (use[1], use[0]))

    def _blame(self, lines: Iterable[str], where: str) -> None:
        for line in lines:
            self.breaches.setdefault(line, where)

    def _count(self, entry: Entry, attributes: Mapping[str, Any]) -> None:
        self.seen.add(entry)
        for key, value in attributes.items():
            self.seen.add(("attribute", key))
            self.uses.add((entry, key))
            if isinstance(value, str):
                self.members.add((key, str(value)))

    def _count_resource(self, attributes: Mapping[str, Any]) -> None:
        for key in registry.load().resource & attributes.keys():
            self.seen.add(("attribute", key))


def _known_members() -> set[Member]:
    return {
        (key, value)
        for model in _models()
        for key, attribute in model.attributes.items()
        if key in OWN
        for value in attribute.values
    }


def _models() -> list[registry.Registry]:
    return [registry.load(version) for version in registry.versions()]
