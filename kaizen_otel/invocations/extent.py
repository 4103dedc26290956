"""How much is recorded: of everything, as the settings say, or of one agent, as its own dictionary says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaizen_otel.settings import AgentSettings, MonitoringLevel

if TYPE_CHECKING:
    from kaizen_otel.settings import Settings


class Extent:
    """What follows from settings, worked out once. Never changed after it was made.

    Attributes:
        watches: whether anything is recorded.
        records_nodes: whether nodes, tools and accesses to stores have spans.
        captures: whether content is recorded.
        evaluates: whether the application's evaluators score executions.
        measures: whether executions say what the process used meanwhile.
        deferred: whether histograms are recorded off the calling thread; None: as for all.
    """

    __slots__ = ("captures", "deferred", "evaluates", "measures", "records_nodes", "watches")

    def __init__(self, settings: Settings, own: AgentSettings) -> None:
        """Say what holds under `settings` for an agent that says `own`."""
        level = own.level_under(settings)
        here = own.over(settings)
        self.watches = level is not MonitoringLevel.OFF
        self.records_nodes = level >= MonitoringLevel.STANDARD
        self.captures = here.captured_content != "off"
        self.evaluates = bool(here.active_evaluators)
        self.measures = own.profiles(settings)
        self.deferred = own.deferred_histograms


def extent_of_all(settings: Settings) -> Extent:
    """What holds where no agent says anything of itself."""
    return Extent(settings, AgentSettings())
