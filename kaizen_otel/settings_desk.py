"""The desk that reads Kaizen's own dictionaries: `Kaizen(config=…)` for all agents, `transparency` for one."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

from kaizen_otel.alert_handlers import RULE_SETTINGS
from kaizen_otel.call_site import call_site
from kaizen_otel.invocations.extent import Extent
from kaizen_otel.settings import AgentSettings, SettingsError
from kaizen_otel.settings.describe import as_text
from kaizen_otel.settings.origins import restored
from kaizen_otel.settings.paths import check_paths, with_absolute_paths
from kaizen_otel.settings.several_kaizens import with_earlier_alerting
from kaizen_processors.forking import begin_anew_in_children

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from kaizen_otel.settings import Settings
    from kaizen_otel.telemetry import Telemetry

_logger = logging.getLogger("kaizen_otel")

REFUSALS_TOLD: Final = 32
"""Different mistakes in the application's dictionaries that are logged; further ones are only counted."""

REMEMBERED_AGENTS: Final = 10_000
"""Agents whose names are remembered; the oldest are forgotten."""


class SettingsDesk:
    """The settings of one telemetry, as Kaizen's dictionaries change them.

    A mistake in one of them is logged once, counted, and costs the key that it is in and nothing else: it stands
    inside a call of the application's, which must not raise because of us.

    Args:
        telemetry: whose parts are told of changes.

    Attributes:
        agents: the agents that `create_agent` made, the oldest first.
    """

    def __init__(self, telemetry: Telemetry) -> None:
        """Begin with the settings that `instrument()` was given."""
        self._telemetry = telemetry
        self.agents: OrderedDict[str, AgentSettings] = OrderedDict()
        self._extents: dict[str, Extent] = {}  # of the agents that say something of themselves
        self._told: set[tuple[str, str | None]] = set()
        self.after_fork_in_child()
        begin_anew_in_children(self)

    def after_fork_in_child(self) -> None:
        """Begin with a lock that nobody holds."""
        self._lock = threading.RLock()  # one thread at a time reads a dictionary of Kaizen's

    def extent_of(self, agent_name: str) -> Extent:
        """How much is recorded of an agent: as it says itself, else as of all."""
        return self._extents.get(agent_name) or self._telemetry.extent

    def apply_kaizen_config(self, config: Mapping[str, Any]) -> None:
        """Lay the monitoring keys of a `Kaizen(config=…)` over the settings."""
        with self._lock:
            before = self._telemetry.settings
            wanted, refused = before.with_kaizen_config(config)
            self.refuse(refused)
            wanted, ambiguous = with_earlier_alerting(wanted, before)
            for warning in ambiguous:
                self._tell(warning)
            wanted = self._with_usable_paths(before, with_absolute_paths(wanted))
            if wanted != before:
                self._take(before, wanted)

    def agent_created(self, name: str, config: Mapping[Any, Any]) -> None:
        """Remember an agent that `create_agent` made, with what its `transparency` says."""
        own = AgentSettings()
        transparency = config.get("transparency")
        if transparency is not None:
            own, refused = AgentSettings.readable(transparency)
            self.refuse(refused, f"agent {name!r:.100}")
        with self._lock:
            self.agents.pop(name, None)
            self.agents[name] = own
            self._extents.pop(name, None)
            if own.said():
                self._extents[name] = Extent(self._telemetry.settings, own)
            if len(self.agents) > REMEMBERED_AGENTS:
                self._extents.pop(self.agents.popitem(last=False)[0], None)

    def _with_usable_paths(self, before: Settings, wanted: Settings) -> Settings:
        try:
            check_paths(wanted)
        except SettingsError as error:
            self.refuse(error.problems)
            return restored(wanted, before, ("file",))  # the one path that a dictionary can give
        return wanted

    def _take(self, before: Settings, wanted: Settings) -> None:
        """Let every part take the settings; what one of them cannot take stays as it was."""
        telemetry = self._telemetry
        too_late = telemetry.providers.cannot_change(before, wanted)
        self.refuse(_too_late(wanted, name, why) for name, why in too_late.items())
        wanted = restored(wanted, before, too_late)
        steps: tuple[tuple[Callable[[], object], tuple[str, ...]], ...] = (
            (lambda: telemetry.configure_rules(before), ("alerting", *RULE_SETTINGS)),
            (lambda: telemetry.providers.reconfigure_outputs(telemetry.settings), ("file",)),
            (lambda: telemetry.providers.reconfigure_exports(telemetry.settings), ("otlp",)),
            (lambda: telemetry.metrics.reconfigure(before, telemetry.settings), ("prometheus_port",)),
            (telemetry.host.share_metrics, ("prometheus_port",)),
        )
        for step, names in steps:
            telemetry.settings = wanted
            try:
                step()
            except SettingsError as error:
                self.refuse(error.problems)
                telemetry.settings = wanted = restored(wanted, before, names)
                try:
                    step()  # the rest of it
                except SettingsError as rest:  # not even what held before: the other parts take theirs all the same
                    self.refuse(rest.problems)
        telemetry.content.configure(wanted)
        telemetry.performance.configure(wanted)
        telemetry.read_settings()
        self._extents = {name: Extent(wanted, own) for name, own in self.agents.items() if own.said()}

    def refuse(self, errors: Iterable[SettingsError], whose: str = "") -> None:
        """Count and tell of mistakes, each once for each place in the application that makes it.

        Inside a call of the application's a mistake in our settings must not raise.

        Args:
            errors: the mistakes.
            whose: the agent that a dictionary is of, if it is one's.
        """
        for error in errors:
            self._telemetry.fence.caught("settings", error, told=True)
            self._tell(f"kaizen-otel ignores this: {error}", whose)

    def _tell(self, message: str, whose: str = "") -> None:
        site = call_site()
        if (message, site) not in self._told and len(self._told) < REFUSALS_TOLD:
            self._told.add((message, site))
            place = ", ".join(part for part in (whose, "" if site is None else f"at {site}") if part)
            _logger.warning("%s%s", message, f" ({place})" if place else "")


def _too_late(wanted: Settings, name: str, why: str) -> SettingsError:
    where = wanted.origins[name].where
    change = f"{where}: {name} cannot become {as_text(getattr(wanted, name))} any more: {why}"
    how = f"say it before, to instrument(), as KAIZEN_OTEL_{name.upper()}, or in a settings file"
    return SettingsError(f"{change}; allowed: {how}", key=name, where=where)
