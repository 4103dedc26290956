"""How much is recorded."""

from __future__ import annotations

from enum import StrEnum


class MonitoringLevel(StrEnum):
    """How much is recorded. Each level includes the ones below it, and levels compare in that order.

    Example:
        >>> MonitoringLevel.STANDARD >= MonitoringLevel.BASIC
        True
        >>> sorted(["standard", "off", "basic"], key=MonitoringLevel)
        ['off', 'basic', 'standard']
    """

    OFF = "off"
    """Nothing: Kaizen runs as if it were not instrumented."""
    BASIC = "basic"
    """Agent, workflow and model spans, tokens, cost, errors."""
    STANDARD = "standard"
    """… and nodes, tools, memory, windows, alerts."""
    COMPREHENSIVE = "comprehensive"
    """… and content as configured, evaluators, resource use, decision facts."""

    # A StrEnum would compare by spelling ("basic" < "comprehensive" < "off"), which nobody means.
    def __lt__(self, other: str) -> bool:
        return _RANK[self] < _RANK[MonitoringLevel(other)]

    def __le__(self, other: str) -> bool:
        return _RANK[self] <= _RANK[MonitoringLevel(other)]

    def __gt__(self, other: str) -> bool:
        return _RANK[self] > _RANK[MonitoringLevel(other)]

    def __ge__(self, other: str) -> bool:
        return _RANK[self] >= _RANK[MonitoringLevel(other)]


_RANK = {level: rank for rank, level in enumerate(MonitoringLevel)}
