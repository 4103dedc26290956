"""The metrics of one instrumentation: by which meter provider they are made, and where else they are kept."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider

from kaizen_otel._version import __version__
from kaizen_otel.otel_logs import SCOPE_NAME
from kaizen_otel.outputs import OURS, build_own_metrics, otlp_wanted, resource_of
from kaizen_otel.recorders import Recorders
from kaizen_processors.meters import Instruments
from kaizen_semconv import GEN_AI_SCHEMA_URLS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kaizen_otel.host_sum import HostMetrics
    from kaizen_otel.own_metrics import OwnMetrics
    from kaizen_otel.providers import Providers
    from kaizen_otel.settings import Settings
    from kaizen_processors.fence import Fence
    from kaizen_processors.host_metrics.twin import TwinInstruments
    from kaizen_processors.ledger import Ledger

# One set of instruments for each provider, for that provider's life: it cannot be taken off again.
_instruments: weakref.WeakKeyDictionary[Any, dict[int, Instruments]] = weakref.WeakKeyDictionary()


class MetricsDesk:
    """Counters and histograms, by the application's meter provider or by our own.

    Args:
        settings: what is recorded, and how it leaves.
        fence: where failures are counted.
        ledger: what the counters are read from.
        accounts: what metrics about telemetry itself are read from.

    Attributes:
        instruments: what is recorded with; None where metrics are off.
        recorders: when it is recorded.
        own: our own provider, and how its metrics leave.
        host: where metrics are kept for the host's sum.
    """

    def __init__(self, settings: Settings, fence: Fence, ledger: Ledger, accounts: Providers) -> None:
        """Record nothing yet."""
        self._settings = settings
        self._fence = fence
        self._ledger = ledger
        self._accounts = accounts
        self._schema_url = GEN_AI_SCHEMA_URLS[settings.conventions]
        self._main: Instruments | None = None  # those of the provider that exports
        self.instruments: Instruments | TwinInstruments | None = None
        self.recorders = Recorders(fence, deferred=settings.deferred_histograms)
        self.own: OwnMetrics | None = None
        self.host: HostMetrics | None = None

    def build(self) -> None:
        """Open what our own outputs need, and tell nobody of it yet.

        Raises:
            SettingsError: the Prometheus endpoint cannot listen where it should, or metrics cannot leave by OTLP.
        """
        if self._settings.metrics and self._given() is None:
            own = self.own = build_own_metrics(self._settings, self.own)
            if own is not None:
                OURS.add(own.provider)

    def _given(self) -> Any:
        """The provider that the application wants its metrics made by, if there is one."""
        settings, found = self._settings, metrics.get_meter_provider()
        theirs = isinstance(found, MeterProvider) and found not in OURS
        if settings.meter_provider is None and theirs and not settings.serves_own_metrics:
            return found  # it may have any exporter; an endpoint of ours needs a reader of its own
        return settings.meter_provider

    def find(self) -> None:
        """Look at what is there: record by that, else by what was built."""
        settings = self._settings
        if not settings.metrics:
            self._stop_measuring()
            return
        provider, own = self._given(), self.own
        if provider is None and own is not None:
            provider = own.provider
            unset = not isinstance(metrics.get_meter_provider(), MeterProvider)
            if unset and (settings.set_global or otlp_wanted(settings, "METRICS")):
                metrics.set_meter_provider(provider)
        if provider is None:
            # The API's own provider: a placeholder whose instruments become real when the application sets one.
            provider = metrics.get_meter_provider()
        made = _instruments.setdefault(provider, {})
        instruments = made.get(settings.conventions)
        if instruments is None:
            meter = provider.get_meter(SCOPE_NAME, __version__, self._schema_url)
            instruments = made[settings.conventions] = Instruments(meter, settings.conventions)
        if self._main is not None and self._main is not instruments:
            self._main.disarm()
        self._main = instruments
        self._keep_for_host()
        self._arm()

    def _keep_for_host(self) -> None:
        settings = self._settings
        if not settings.keeps_host_metrics or self.host is not None:
            return
        from kaizen_otel.host_sum import HostMetrics  # noqa: PLC0415 - loaded when used

        self.host = HostMetrics(settings, self._ledger, self._fence, resource_of(settings), self._schema_url)
        self.host.worker.on_anew = self._arm  # a forked child has other ones

    @property
    def prometheus_port(self) -> int | None:
        """The port that our Prometheus endpoint listens on, if there is one."""
        if self.host is not None and self.host.prometheus_port is not None:
            return self.host.prometheus_port
        return None if self.own is None else self.own.prometheus_port

    def _arm(self) -> None:
        main, host = self._main, self.host
        if main is None:
            return
        for instruments in self._all_instruments():
            instruments.arm(self._ledger, self._settings.environment or "")
            instruments.about_telemetry.arm(self._accounts)
        self.instruments = main if host is None else host.beside(main)

    def _stop_measuring(self) -> None:
        """Record and report no metrics, until the settings ask for some again."""
        self.disarm()
        self._main = self.instruments = None

    def reconfigure(self, before: Settings, settings: Settings) -> None:
        """Record what later settings ask for, and let it leave the ways that they add.

        Raises:
            SettingsError: as `build` does.
        """
        self._settings = settings
        self.recorders.configure(deferred=settings.deferred_histograms)
        if not self._accounts.disabled and any(
            getattr(settings, name) != getattr(before, name)
            for name in ("metrics", "otlp", "prometheus_port", "keeps_host_metrics")
        ):
            self.build()
            self.find()
        self._arm()

    def disarm(self) -> None:
        """Report nothing any more; what was recorded stays with the provider."""
        for instruments in self._all_instruments():
            instruments.disarm()

    def _all_instruments(self) -> Iterator[Instruments]:
        if self._main is not None:
            yield self._main
        if self.host is not None:
            yield self.host.worker.instruments
