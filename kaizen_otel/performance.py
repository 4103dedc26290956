"""The desk that knows how agents perform: windows, snapshots, recent executions, resources, and what ticks."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from kaizen_otel.realtime import attach, detach
from kaizen_otel.settings import SettingsError
from kaizen_otel.settings.origins import given_by_somebody
from kaizen_processors.ledger import ACTIVE_WITHIN_NS
from kaizen_processors.recent import RecentExecutions
from kaizen_processors.resources import ResourceMeter
from kaizen_processors.snapshots import Snapshots, nothing_seen
from kaizen_processors.ticker import BEAT_S, Ticker
from kaizen_processors.windows import Windows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kaizen_otel.settings import Settings
    from kaizen_otel.telemetry import Telemetry
    from kaizen_processors.alerts.shortlist import Shortlist
    from kaizen_processors.clock import Clock
    from kaizen_processors.execution import ExecutionMetrics
    from kaizen_processors.resources import Probe, ResourceUsage
    from kaizen_processors.snapshots import PerformanceSnapshot
    from kaizen_processors.store import Store


ACTIVE_WITHIN_S: Final = ACTIVE_WITHIN_NS / 1e9


class PerformanceDesk:
    """Watches the executions of one telemetry.

    Attributes:
        ticker: where tasks are added that run every ten seconds. Its thread starts with the first record; where the
            settings have a clock of their own there is none, and `tick()` is called by hand.
        windows: sums by agent and model; in the pipeline at level `standard` and above.
        snapshots: figures of the windows.
        recent: the last executions.
        store: what the processes of this host share; None where they share nothing.
        shortlist: their worst executions; None as well.
    """

    def __init__(self, telemetry: Telemetry) -> None:
        """Watch as the settings say."""
        settings, clock = telemetry.settings, telemetry.clock
        self._telemetry = telemetry
        self.ticker = Ticker(telemetry.fence)
        self.windows = Windows(
            clock,
            max_keys=settings.max_ledger_keys,
            max_bytes=settings.windows_max_bytes,
            on_turn=self.ticker.start if settings.clock is None else None,
            aligned=settings.store is not None,
        )
        self.store = None if settings.store is None else _store(settings.store, settings, self.windows, clock)
        self.snapshots = Snapshots(self.windows, clock, self._active_agents)
        self.recent = RecentExecutions(clock, settings.metrics_buffer_size)
        self.shortlist = None if self.store is None else _shortlist(self.recent, self.store, telemetry)
        self._resources: ResourceMeter | None = None
        self.watching = False
        telemetry.pipeline.add(self.recent)
        self.ticker.add("windows.tick", self.windows.tick)
        if self.store is not None:
            self.ticker.add("store.beat", self._beat, every_s=BEAT_S)
        self.ticker.add("snapshots.tick", self.snapshots.tick)
        self.configure(settings)
        attach(telemetry.pipeline)

    def configure(self, settings: Settings) -> None:
        """Take later settings into account."""
        watching = settings.active_windows
        if watching != self.watching:
            self.watching = watching
            pipeline = self._telemetry.pipeline
            (pipeline.add if watching else pipeline.remove)(self.windows)
        self.windows.keep(settings.metrics_retention_s)
        if self.store is not None:
            self.store.keep(settings.metrics_retention_s)
        self.snapshots.keep(settings.metrics_retention_s)
        if settings.metrics_buffer_size != self.recent.keep:
            self.recent.resize(settings.metrics_buffer_size)

    def snapshot(self, window_s: float, agent: str | None, model: str | None) -> PerformanceSnapshot:
        """Take a snapshot; one of nothing where windows are off."""
        if not self.watching:
            return nothing_seen(window_s, agent=agent, model=model, clock=self._telemetry.clock)
        return self.snapshots.take(window_s, agent=agent, model=model)

    def tick(self) -> None:
        """Do what is due: roll windows up, keep a snapshot, and what else was added to the ticker."""
        self.ticker.tick()

    def beside_store(self, work: Callable[[], object], timeout_s: float) -> bool:
        """Do something that may touch the store, such that the caller never waits for another process that holds it.

        Returns:
            What the work gave, unless that is None: True; False when it goes on afterwards.
        """
        if self.store is None:
            return work() is not False
        given: list[object] = [False]

        def run() -> None:
            with self._telemetry.fence("store.beside"):
                given[0] = work()

        return self.store.apart(run, timeout_s) and given[0] is not False

    def _beat(self) -> None:
        self.windows.tick()  # what closed a moment ago is told at once
        if self.store is not None:
            self.store.beat()

    def report(self, metrics: ExecutionMetrics) -> None:
        """Take in what another system, or the application, says of an execution.

        One that we know is enriched, and counted no second time; any other counts as one.
        """
        from kaizen_otel.reported import count, said_of  # noqa: PLC0415 - rarely used

        known = self.recent.enrich(metrics.execution_id, said_of(metrics))
        if known is None:
            count(self._telemetry, metrics)
            return
        score = metrics.quality_score
        if score is not None and score != known.quality_score and self.watching:
            ago_ns = self._telemetry.clock.monotonic_ns() - known.ended_ns
            self.windows.change_quality((known.agent_name, known.model), known.quality_score, score, ago_ns)

    def begin_resources(self) -> Probe | None:
        """Note what the process has used when an execution begins; None where that cannot be read."""
        with self._telemetry.fence("resources.begin"):
            if self._resources is None:
                self._resources = ResourceMeter(self._telemetry.fence)
            return self._resources.begin()
        return None

    def end_resources(self, probe: Probe, duration_ns: int) -> ResourceUsage | None:
        """Give what it has used since."""
        with self._telemetry.fence("resources.end"):
            if self._resources is not None:
                return self._resources.end(probe, duration_ns)
        return None

    def stats(self) -> dict[str, Any]:
        """How full the windows are."""
        return {"watching": self.watching, **self.windows.stats()}

    def shutdown(self) -> None:
        """Tick no more."""
        self.ticker.stop()
        detach(self._telemetry.pipeline)

    def _active_agents(self, agent_name: str | None) -> int:
        ledger = self._telemetry.ledger
        if self.store is None:
            return ledger.active_agents() if agent_name is None else int(ledger.is_active(agent_name))
        # Of other processes only what ended is known, not what runs.
        active = ledger.active_agent_names() | self.windows.agents_since(ACTIVE_WITHIN_S)
        return len(active) if agent_name is None else int(agent_name in active)


def _store(path: Path, settings: Settings, windows: Windows, clock: Clock) -> Store:
    from kaizen_processors.export.endings import end_with_process  # noqa: PLC0415 - loaded when used
    from kaizen_processors.store import Store, StoreOptions  # noqa: PLC0415 - loaded when used

    store = Store(path, windows, StoreOptions(max_bytes=settings.store_max_bytes, clock=clock))
    end_with_process(store)
    return store


def refuse_foreign_store(settings: Settings) -> None:
    """Refuse a file of somebody else's that somebody named; one that only a preset names is told of by the store.

    Raises:
        SettingsError: it is one.
    """
    path = settings.store
    if path is None or not given_by_somebody(settings, "store"):
        return
    import sqlite3  # noqa: PLC0415 - loaded when used

    from kaizen_processors.store.header import Whose, look_at  # noqa: PLC0415 - loaded when used

    with suppress(OSError, sqlite3.Error):  # what is wrong for the moment, the store copes with
        if look_at(path, 0.0).whose is Whose.OTHERS:
            where = settings.origins["store"].where
            why = "it is something else's, and is left as it is; allowed: a file of its own"
            raise SettingsError(f"{where}: store cannot be {path}: {why}", key="store", where=where)


def _shortlist(recent: RecentExecutions, store: Store, telemetry: Telemetry) -> Shortlist:
    from kaizen_processors.alerts.shortlist import Shortlist  # noqa: PLC0415 - loaded when used

    return Shortlist(recent, store, telemetry.clock, telemetry.fence)
