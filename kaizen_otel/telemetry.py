"""What one `instrument()` built: settings, providers, ledger, prices, pipeline. Patches ask it for invocations."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from opentelemetry.trace import get_current_span

from kaizen_otel import log_correlation
from kaizen_otel.alert_handlers import RULE_SETTINGS, refuse_unknown_channels, rules_wanted
from kaizen_otel.content import ContentWriter
from kaizen_otel.context import in_force
from kaizen_otel.exits import ClosingAtExit
from kaizen_otel.host_desk import HostDesk
from kaizen_otel.invocations.agent import AgentInvocation, AgentRequest
from kaizen_otel.invocations.attribution import attribution_in
from kaizen_otel.invocations.base import NULL_INVOCATION, NullInvocation, SilentInvocation
from kaizen_otel.invocations.call import CallInvocation, CallRequest
from kaizen_otel.invocations.emit import EMITTERS
from kaizen_otel.invocations.extent import extent_of_all
from kaizen_otel.invocations.running import RunningInvocations
from kaizen_otel.invocations.scope import SilentScope, current_scope
from kaizen_otel.otel_logs import SCOPE_NAME
from kaizen_otel.performance import PerformanceDesk, refuse_foreign_store
from kaizen_otel.providers import Providers
from kaizen_otel.quality import QualityDesk
from kaizen_otel.self_alerts import SelfAlerts
from kaizen_otel.settings import SettingsError
from kaizen_otel.settings.paths import check_paths, with_absolute_paths
from kaizen_otel.settings_desk import SettingsDesk
from kaizen_otel.sigterm import SigtermFlush, all_at_once
from kaizen_processors.chance import random_id
from kaizen_processors.clock import SYSTEM_CLOCK, FallbackClock
from kaizen_processors.dialects import ForeignCalls
from kaizen_processors.fence import Fence
from kaizen_processors.forking import begin_anew_in_children
from kaizen_processors.ledger import Ledger
from kaizen_processors.money import to_decimal
from kaizen_processors.pipeline import Pipeline
from kaizen_processors.pricing import PriceBook, PriceFileError
from kaizen_processors.usage import Usage
from kaizen_semconv.attributes import KaizenSpanAbandoned

if TYPE_CHECKING:
    from collections.abc import Callable

    from kaizen_otel.context import InForce
    from kaizen_otel.invocations.base import Invocation
    from kaizen_otel.invocations.create_agent import CreateAgentInvocation
    from kaizen_otel.invocations.store import StoreInvocation
    from kaizen_otel.invocations.workflow import NodeInvocation, ToolInvocation, WorkflowInvocation
    from kaizen_otel.pending import PendingSpans
    from kaizen_otel.rules import RuleDesk
    from kaizen_otel.settings import Settings
from kaizen_processors.clock import Clock

_logger = logging.getLogger("kaizen_otel")

Begun = TypeVar("Begun", bound="Invocation")

SHUTDOWN_ALERTS_S = 0.5
"""Longest time that the end waits for events about telemetry itself."""

STORE_S = 4.0
"""Longest time that a user's call waits for the store; not at all while another process holds it."""

STORE_AFTERWARDS_S = 60.0
"""So long after `uninstrument()` the store is still told, when another process holds it."""


class Telemetry:
    """The heart of one instrumentation.

    The factory methods (`call`, `agent`, `workflow`, `node`, `tool`) take a lambda that describes the operation. It
    is evaluated behind the fence: when it fails, the operation is simply not watched, and the user's call goes on.
    """

    def __init__(self, settings: Settings) -> None:
        """Build every part; raises `SettingsError` for what cannot work."""
        check_paths(settings)
        refuse_foreign_store(settings)
        self.settings = settings = with_absolute_paths(settings)
        self.after_fork_in_child()
        begin_anew_in_children(self)
        self.fence = Fence()
        self.clock: Clock = SYSTEM_CLOCK if settings.clock is None else FallbackClock(settings.clock, self.fence)
        self.running = RunningInvocations(self.fence)
        self.ledger = Ledger(settings.max_ledger_keys, self.clock)
        self.prices = _price_book(settings)
        self.foreign = ForeignCalls(self.ledger, self.prices, attribution_in, own_scope=SCOPE_NAME)
        self.pipeline = Pipeline(self.fence)
        self.read_settings()
        self.emitter = EMITTERS[settings.conventions](self)
        self.providers = Providers(settings, self.fence, self.pipeline, self.ledger)
        self._rules: RuleDesk | None = None
        self._sigterm: SigtermFlush | None = None
        self.pending: PendingSpans | None = None
        with ExitStack() as ends:  # what one part has opened is closed where another cannot begin
            ends.callback(self.pipeline.shutdown)
            ends.callback(self.providers.shutdown)
            self._begin(settings, ends)
            self._ends = ends.pop_all()

    def _begin(self, settings: Settings, ends: ExitStack) -> None:
        """Build what works with the providers. `ends` gets how each part ends: the last one begun ends first."""
        self.metrics = self.providers.metrics
        self.alerts = SelfAlerts(lambda: self.providers.events, self.clock, self.fence)
        self.pipeline.on_disabled = self.alerts.observer_disabled
        self.providers.watch_delivery(self.alerts)
        self.settings_desk = SettingsDesk(self)
        self.content = ContentWriter(self)
        self.performance = PerformanceDesk(self)
        ends.callback(self._judge_and_tell_no_more)
        ends.callback(self.alerts.flush, SHUTDOWN_ALERTS_S)
        self.quality = QualityDesk(self)
        ends.callback(self.quality.shutdown)
        self.pending = self._tell_of_what_runs()
        self.host = HostDesk(self)
        self._correlates_logs = settings.console if settings.log_correlation is None else settings.log_correlation
        if self._correlates_logs:
            ends.callback(log_correlation.uninstall)
            log_correlation.install(fence=self.fence)
        ends.callback(self._leave_sigterm)
        ends.callback(self.running.close, KaizenSpanAbandoned.UNINSTRUMENT, settings.exit_timeout_s / 2)
        self._at_exit = ClosingAtExit(self.running, settings.exit_timeout_s / 2, self._judge_a_last_time)
        ends.callback(self._at_exit.stand_down)
        self.providers.on_joined = self._at_exit.go_first
        self.host.open()
        self.configure_rules(settings)

    def after_fork_in_child(self) -> None:
        """Begin with a lock that nobody holds."""
        self._beginning = threading.RLock()  # one thread at a time begins the rules
        self._rules_before: RuleDesk | None = None  # it may still wait for the store, on a thread of the parent's

    @property
    def rules(self) -> RuleDesk:
        """The desk that judges rules: begun when somebody wants to be told."""
        with self._beginning:
            if self._rules is None:
                from kaizen_otel.rules import RuleDesk  # noqa: PLC0415 - loaded when used

                self._rules, self._rules_before = RuleDesk(self, self._rules_before), None
            return self._rules

    def configure_rules(self, before: Settings) -> None:
        """Begin to judge rules, judge by others, or end it, as the settings say now; raises `SettingsError`."""
        settings = self.settings
        if not rules_wanted(settings):
            if settings.alerting is None:
                refuse_unknown_channels(settings)
            if self._rules is not None and settings.alerting is False:
                rules, self._rules, self._rules_before = self._rules, None, self._rules
                rules.leave_ticker()
                self.performance.beside_store(rules.shutdown, STORE_S)
                if rules.has_ended():
                    self._rules_before = None
        elif self._rules is None:
            self.rules  # noqa: B018 - begins it
        elif any(getattr(settings, name) != getattr(before, name) for name in RULE_SETTINGS):
            self._rules.configure(before, settings)

    def _tell_of_what_runs(self) -> PendingSpans | None:
        interval_s = self.settings.pending_spans_s
        if interval_s is None:
            return None
        from kaizen_otel.pending import PendingSpans  # noqa: PLC0415 - loaded when used

        pending = PendingSpans(self, interval_s, self.providers.ways_out_of_our_own)
        self.performance.ticker.add("pending.tick", pending.tick)
        return pending

    def handle_sigterm(self) -> None:
        """Deliver on SIGTERM, when that is asked for."""
        settings = self.settings
        if settings.flush_on_sigterm:
            self._sigterm = SigtermFlush(self.deliver_before_the_kill, settings.exit_timeout_s, self.fence)
            self._sigterm.install()

    def load_prices(self) -> None:
        """Load the price data now (about 0.1 s), at start-up and before any fork, instead of in the first call."""
        with self.fence("prices.load"):
            self.prices.price("openai", "gpt-4o", Usage(1, 1), self.clock.time_ns())

    # -- what invocations need ------------------------------------------------------------------------------------

    def new_execution_id(self) -> str:
        """A fresh id of 32 hex digits."""
        generator = self.settings.id_generator
        if generator is not None:
            with self.fence("id_generator"):
                return f"{generator.generate_trace_id():032x}"
        return random_id()

    def attributes_in_force(self) -> InForce:
        """What `attributes()` blocks around this place have said."""
        return in_force()

    # -- what patches ask for -------------------------------------------------------------------------------------

    def call(self, describe: Callable[[], CallRequest]) -> CallInvocation | NullInvocation:
        """Begin a model call."""
        try:
            scope = current_scope()
            if type(scope) is not SilentScope and self.extent.watches:
                call = CallInvocation(self, scope, describe()).begin()
                if self.foreign.watching:
                    self._claim_spans_above()
                return call
        except Exception as error:  # noqa: BLE001 - the fence, as cheap as it gets
            self.fence.caught("call.begin", error)
        return NULL_INVOCATION

    def agent(self, describe: Callable[[], AgentRequest]) -> AgentInvocation | NullInvocation:
        """Begin a run of an agent."""
        with self.fence("agent.begin"):
            scope = current_scope()
            if type(scope) is SilentScope:
                return NULL_INVOCATION
            request = describe()
            if not self.settings_desk.extent_of(request.agent_name).watches:
                return SilentInvocation(SilentScope(scope))
            return AgentInvocation(self, scope, request).begin()
        return NULL_INVOCATION

    def workflow(self, describe: Callable[[], WorkflowInvocation]) -> WorkflowInvocation | NullInvocation:
        """Begin a workflow run."""
        return self.operation("workflow", describe)

    def node(self, describe: Callable[[], NodeInvocation]) -> NodeInvocation | NullInvocation:
        """Begin a node."""
        return self.operation("node", describe)

    def tool(self, describe: Callable[[], ToolInvocation]) -> ToolInvocation | NullInvocation:
        """Begin a tool call."""
        return self.operation("tool", describe)

    def store(self, describe: Callable[[], StoreInvocation]) -> StoreInvocation | NullInvocation:
        """Begin an access to a store."""
        return self.operation("store", describe)

    def create_agent(self, describe: Callable[[], CreateAgentInvocation]) -> CreateAgentInvocation | NullInvocation:
        """Begin the making of an agent."""
        return self.operation("create_agent", describe)

    def operation(self, kind: str, describe: Callable[[], Begun]) -> Begun | NullInvocation:
        """Begin an operation, unless nothing is to be recorded here; `kind` names it where telemetry fails."""
        with self.fence(f"{kind}.begin"):
            if type(current_scope()) is not SilentScope and self.extent.watches:
                return describe().begin()
        return NULL_INVOCATION

    def _claim_spans_above(self) -> None:
        """Let no other library's span above a call of ours count it as well."""
        with self.fence("call.claim"):
            self.foreign.claim(get_current_span().get_span_context().span_id)

    def read_settings(self) -> None:
        """Work out what follows from the settings as they are now."""
        self.extent = extent_of_all(self.settings)
        self.pipeline.foreign = self.foreign if self.extent.watches else None

    def stats(self) -> dict[str, Any]:
        """Sums and failures so far, as plain values."""
        sums = self.ledger.snapshot()
        return {
            "instrumented": True,
            "export": self.providers.export_owner,
            "delivery": self.providers.delivery(),
            "prometheus_port": self.metrics.prometheus_port,
            "failures": self.fence.counts(),
            "disabled_observers": self.providers.disabled_observers(),
            "evaluations_dropped": self.quality.stats(),
            "windows": self.performance.stats(),
            "pending_spans": {} if self.pending is None else self.pending.stats(),
            "store": {} if self.performance.store is None else self.performance.store.stats(),
            "alerts": {} if self._rules is None else self._rules.stats(),
            "calls": {
                key: {
                    "model_calls": totals.calls,
                    "input_tokens": totals.input_tokens,
                    "output_tokens": totals.output_tokens,
                    "cost": to_decimal(totals.cost_units),
                }
                for key, totals in sums.calls.items()
            },
            "executions": sums.executions,
            "missing": sums.missing,
            "active_agents": self.ledger.active_agents(),
        }

    # -- the end --------------------------------------------------------------------------------------------------

    def flush(self, timeout_s: float = 30.0) -> bool:
        """Wait for evaluators and write everything out; False when something is left after `timeout_s` seconds."""
        deadline_s = time.monotonic() + timeout_s

        def left_s() -> float:
            return max(0.0, deadline_s - time.monotonic())

        judged = self.quality.flush(left_s())
        written = self.pipeline.flush(left_s())
        told = self.alerts.flush(left_s())
        told = self._judge_now(left_s() / 2) and told  # a channel that does not answer leaves time for what is exported
        if self.performance.store is not None:
            told = self.performance.beside_store(self._tell_store, min(left_s(), STORE_S)) and told
        return self.providers.flush(left_s()) and judged and written and told

    def _tell_store(self) -> bool:
        self.host.tell()
        return self.performance.store is None or self.performance.store.flush()

    def _judge_a_last_time(self, timeout_s: float) -> None:
        """At the interpreter's exit: a run that is shorter than a tick may be too dear all the same."""
        self._judge_now(timeout_s)

    def _judge_now(self, timeout_s: float) -> bool:
        """Judge, and deliver what there is to tell; False when something is left, or another process has the store."""
        rules = self._rules
        return rules is None or self.performance.beside_store(lambda: rules.flush(timeout_s), timeout_s)

    def deliver_before_the_kill(self, timeout_s: float, final: bool) -> None:
        """Deliver within `timeout_s` seconds; with `final` the process ends for certain, and the rest is spooled."""
        deadline_s = time.monotonic() + timeout_s
        if final:
            # The interrupted thread may hold a lock that this waits for: then what runs is lost, and nothing else.
            close = partial(self.running.close, KaizenSpanAbandoned.SIGTERM, timeout_s / 4)
            all_at_once([close], timeout_s / 4, self.fence)
        self.quality.flush(timeout_s / 4)
        self.alerts.flush(timeout_s / 8)
        self._judge_now(timeout_s / 8)
        left_s = max(0.0, 0.9 * (deadline_s - time.monotonic()))  # the rest is for whoever waits to come back
        jobs: list[Callable[[], object]] = [partial(self.pipeline.flush, left_s)]
        if (store := self.performance.store) is not None:
            self.host.tell()
            jobs.append(store.shutdown if final else store.flush)
        jobs += self.providers.last_deliveries(left_s, final=final)
        all_at_once(jobs, left_s, self.fence)

    def shutdown(self) -> None:
        """End what still runs, leave the application's providers, end our own."""
        self._ends.close()

    def _leave_sigterm(self) -> None:
        if self._sigterm is not None:
            self._sigterm.uninstall()

    def _judge_and_tell_no_more(self) -> None:
        self.performance.beside_store(self._end_judging, STORE_S)

    def _end_judging(self) -> None:
        self.performance.shutdown()
        if self._rules is not None:
            with self.fence("alerts.shutdown"):
                self._rules.shutdown()
        if self.performance.store is not None:
            with self.fence("store.shutdown"):
                self.performance.store.shutdown(STORE_AFTERWARDS_S)


def _price_book(settings: Settings) -> PriceBook:
    if settings.price_file is None:
        return PriceBook()
    try:
        return PriceBook.from_file(settings.price_file)
    except PriceFileError as error:
        where = settings.origins["price_file"].where
        raise SettingsError(f"{where}: price_file cannot be used: {error}", key="price_file", where=where) from error
