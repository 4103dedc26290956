"""A report from a store: read once, added up by period, agent and model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from kaizen_otel.report.figures import Change, Line, changes
from kaizen_otel.report.stretches import Stretch, grain_of, label_of, periods
from kaizen_processors.alerts.alert import iso
from kaizen_processors.window_sums import WindowSums
from kaizen_processors.windows import SLOT_NS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from zoneinfo import ZoneInfo

    from kaizen_processors.slot_rows import SlotRow
    from kaizen_processors.store.reader import StoreReader

By = Literal["agent", "model", "day"]

MOST_EXPENSIVE: Final = 10
"""Agents, or models, that are listed where people read; JSON and CSV have all."""

COVERED: Final = 0.99
"""Part of the stretch before that the history must cover for a comparison."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What an application did in a stretch of time.

    Attributes:
        service: the application's name.
        stretch: from when to when.
        zone: whose days and hours.
        history_from_ns: where the history begins, wall clock; None when it is empty.
        totals: of everything.
        before: of the stretch of the same length before; None where the history does not reach back so far.
        grain: what `trend` is cut into: `5 minutes`, `hour` or `day`.
        trend: each period, oldest first.
        by: what `lines` are.
        lines: by agent or model the dearest first, by day the oldest.
        alerts: those that fired at some time of it, as handlers get them, the first first; `status` is `unknown` where
            nobody was there to see the end.
        firing: alerts that stand, where the stretch ends now; None where it does not, and where no worker lives.
    """

    service: str
    stretch: Stretch
    zone: ZoneInfo
    history_from_ns: int | None
    totals: Line
    before: Line | None
    grain: str
    trend: list[Line]
    by: By
    lines: list[Line]
    alerts: list[dict[str, Any]]
    firing: list[dict[str, Any]] | None

    @property
    def changes(self) -> list[Change]:
        """What became of the figures since the stretch before; empty where that is not known."""
        return [] if self.before is None else changes(self.totals, self.before)

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON carries it."""
        return {
            "service": self.service,
            "since": iso(self.stretch.since_ns),
            "until": iso(self.stretch.until_ns),
            "timezone": self.zone.key,
            "history_from": None if self.history_from_ns is None else iso(self.history_from_ns),
            "totals": self.totals.as_dict(),
            "before": None if self.before is None else self.before.as_dict(),
            "changes": {one.name: one.part for one in self.changes},
            "period": self.grain,
            "trend": [{"begins": one.label, **one.as_dict()} for one in self.trend],
            "by": self.by,
            "lines": [{self.by: one.label, **one.as_dict()} for one in self.lines],
            "alerts": self.alerts,
            "firing": self.firing,
        }


def compile_report(reader: StoreReader, service: str, stretch: Stretch, by: By, zone: ZoneInfo) -> Report:
    """Read the history of a stretch, and of the one before it."""
    began_ns = reader.began_ns()
    before = stretch.before()
    grain = "day" if by == "day" else grain_of(stretch)
    cut = periods(stretch, grain, zone)
    totals, earlier = WindowSums(), WindowSums()
    trend = [WindowSums() for _ in cut]
    groups: dict[str, WindowSums] = {}
    at = 0
    for row in _in_order(reader.rows(before.since_ns, stretch.until_ns)):
        start_ns = row.number * SLOT_NS
        if start_ns < stretch.since_ns:
            earlier.merge(row.sums)
            continue
        totals.merge(row.sums)
        while start_ns >= cut[at].until_ns:
            at += 1
        trend[at].merge(row.sums)
        if by != "day":
            groups.setdefault(row.key[0 if by == "agent" else 1], WindowSums()).merge(row.sums)
    periods_of_trend = [
        Line(label_of(one, grain, zone), sums, one.length_s) for one, sums in zip(cut, trend, strict=True)
    ]
    lines = periods_of_trend if by == "day" else [Line(name, sums, stretch.length_s) for name, sums in groups.items()]
    standing, watched = reader.alerts(), _somebody_lives(reader)
    return Report(
        service=service,
        stretch=stretch,
        zone=zone,
        history_from_ns=began_ns,
        totals=Line("total", totals, stretch.length_s),
        before=Line("before", earlier, before.length_s) if _reaches(began_ns, before) else None,
        grain=grain,
        trend=periods_of_trend,
        by=by,
        lines=lines if by == "day" else sorted(lines, key=_dearest_first),
        alerts=_alerts(reader, standing, stretch, watched=watched),
        firing=standing if watched and stretch.until_ns >= reader.now_ns() - SLOT_NS else None,
    )


def _somebody_lives(reader: StoreReader) -> bool:
    """Whether somebody could have seen that an alert is over: else what stands is what the last worker left."""
    return any(worker.is_alive(reader.now_ns()) for worker in reader.workers())


def _alerts(reader: StoreReader, standing: list[dict[str, Any]], of: Stretch, *, watched: bool) -> list[dict[str, Any]]:
    stand = {one["id"]: one for one in standing if one["starts_at_ns"] < of.until_ns}
    found = {one["id"]: one for one in reader.alert_history(of.since_ns, of.until_ns)} | stand
    for alert_id, one in found.items():
        if one["status"] == "firing" and not (watched and alert_id in stand):
            one["status"] = "unknown"
    return sorted(found.values(), key=lambda one: (one["starts_at_ns"], one["id"]))


def _in_order(rows: Iterable[SlotRow]) -> list[SlotRow]:
    return sorted(rows, key=lambda row: row.number)


def _dearest_first(line: Line) -> tuple[int, int, str]:
    return -line.sums.cost_units, -line.sums.executions, line.label


def _reaches(began_ns: int | None, before: Stretch) -> bool:
    """Whether the history covers a stretch: half of one compares with nothing."""
    return began_ns is not None and (began_ns - before.since_ns) / 1e9 <= before.length_s * (1 - COVERED)
