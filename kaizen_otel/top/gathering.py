"""Frames from the store of an application: read-only, with one query for all rows of the window."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kaizen_otel import worker_card
from kaizen_otel.top.frame import By, Delivery, Firing, Frame, Worker, in_order
from kaizen_processors.snapshots import snapshot_of
from kaizen_processors.window_sums import WindowSums
from kaizen_processors.windows import EVERYTHING, NS, SLOT_NS, Group, Window

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kaizen_otel.worker_card import WorkerCard
    from kaizen_processors.slot_rows import SlotRow
    from kaizen_processors.snapshots import PerformanceSnapshot
    from kaizen_processors.store import StoreReader
    from kaizen_processors.store import Worker as StoredWorker


def frame_of(reader: StoreReader, window_s: float, by: By, sort: str) -> Frame:
    """Read everything that a frame shows.

    Args:
        reader: the store.
        window_s: what the figures are about, in seconds.
        by: what a row is.
        sort: what rows are sorted by, one of `SORTS` or `name`.

    Raises:
        StoreError: the store cannot be read.
    """
    now_ns = reader.now_ns()
    cards, _ = cards_of(reader)
    alive = [worker for worker in reader.workers() if worker.is_alive(now_ns)]
    current = [card for worker, card in cards if worker.is_alive(now_ns)]
    active = _active(current, now_ns)
    overall, rows = _figures(reader, window_s, by, active if current else None, now_ns)
    return Frame(
        taken_ns=now_ns,
        store=str(reader.path),
        service=service_of(reader),
        workers=[Worker(one.pid, one.started_ns, one.seen_ns) for one in alive],
        window_s=window_s,
        overall=overall,
        by=by,
        rows=in_order(rows, by, sort),
        firing=[_firing(one) for one in reader.alerts()],
        budgets=reader.budgets(),
        delivery=delivery_of(current),
        failures=sum(card.failures for card in current),
        mistakes=sum(card.mistakes for card in current),
    )


def cards_of(reader: StoreReader) -> tuple[list[tuple[StoredWorker, WorkerCard]], WorkerCard | None]:
    """What each worker says of itself, and what is kept of those that are gone."""
    said, folded = reader.blobs(worker_card.CARD)
    read = [(worker, worker_card.unpack(packed)) for worker, packed in said]
    return [(worker, card) for worker, card in read if card is not None], worker_card.unpack(folded or b"")


def service_of(reader: StoreReader) -> str:
    """What the application is called: as its last worker said, else as its file is."""
    cards, gone = cards_of(reader)
    last = cards[-1][1] if cards else gone
    return reader.path.stem if last is None else last.service


def _active(cards: Iterable[WorkerCard], now_ns: int) -> set[str]:
    return {name for card in cards for name, until_ns in card.active.items() if until_ns is None or until_ns >= now_ns}


def _figures(
    reader: StoreReader, window_s: float, by: By, active: set[str] | None, now_ns: int
) -> tuple[PerformanceSnapshot, list[PerformanceSnapshot]]:
    sums = _Sums(by)
    first = (now_ns - int(window_s * NS)) // SLOT_NS
    for row in reader.rows_since(first * SLOT_NS):
        sums.add(row)
    observed_s = _observed(sums.first, first, reader.began_ns(), now_ns)

    def taken(group: Group, of: WindowSums) -> PerformanceSnapshot:
        count = None
        if active is not None and group.model is None:
            count = len(active) if group.agent is None else int(group.agent in active)
        at = Window(group, window_s, observed_s, of)
        # What a day cost is another window: it would take reading all rows of it for every frame.
        return replace(snapshot_of(at, at, now_ns, count), daily_cost=None)

    rows = [taken(Group(agent=name) if by == "agent" else Group(model=name), of) for name, of in sums.each.items()]
    return taken(EVERYTHING, sums.whole), rows


class _Sums:
    """Rows added up: all of them, and those of each agent or model."""

    def __init__(self, by: By) -> None:
        self._at = 0 if by == "agent" else 1
        self.whole = WindowSums()
        self.each: dict[str, WindowSums] = {}
        self.first: int | None = None

    def add(self, row: SlotRow) -> None:
        self.whole.merge(row.sums)
        self.each.setdefault(row.key[self._at], WindowSums()).merge(row.sums)
        self.first = row.number if self.first is None else min(self.first, row.number)


def _observed(first_seen: int | None, first: int, began_ns: int | None, now_ns: int) -> float:
    """The time that the figures cover: from the first slot of the window, or from when somebody began to watch."""
    if began_ns is None:
        return 0.0
    start_ns = min(first if first_seen is None else first_seen, first) * SLOT_NS
    return max(now_ns - max(start_ns, began_ns), 0) / NS


def _firing(alert: dict[str, Any]) -> Firing:
    return Firing(
        str(alert["type"]),
        str(alert["severity"]),
        str(alert["message"]),
        dict(alert["labels"]),
        int(alert["starts_at_ns"]),
    )


def delivery_of(cards: Iterable[WorkerCard]) -> list[Delivery]:
    """What became of the telemetry of these workers together, by signal."""
    sums: dict[str, dict[str, int]] = {}
    for card in cards:
        for signal, counts in card.delivery.items():
            of = sums.setdefault(signal, {})
            for name, count in counts.items():
                of[name] = of.get(name, 0) + count
    return [
        Delivery(signal, *(counts.get(name, 0) for name in ("exported", "waiting", "spooled", "dropped")))
        for signal, counts in sorted(sums.items())
    ]
