"""Two sets of instruments that are recorded with as one."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from opentelemetry.metrics import Histogram

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from kaizen_processors.meters import Instruments, Labels, Recordable, Recording


class Twin:
    """Records each value twice."""

    __slots__ = ("_one", "_other")

    def __init__(self, one: Recordable, other: Recordable) -> None:
        """Record with both."""
        self._one = one
        self._other = other

    def record(self, amount: float, attributes: Labels, context: Context | None = None) -> None:
        """Record one value."""
        self._one.record(amount, attributes, context)
        self._other.record(amount, attributes, context)


class TwinInstruments:
    """The instruments that the application's metrics, or our own export, are made of, and those of the host's sum.

    Each set is armed by itself; what is recorded is recorded with both. Every histogram of theirs is here
    under its name.
    """

    execution_duration: Recordable
    quality_score: Recordable
    invoke_agent_duration: Recordable
    invoke_workflow_duration: Recordable
    execute_tool_duration: Recordable
    mcp_client_duration: Recordable
    mcp_server_duration: Recordable

    def __init__(self, one: Instruments, other: Instruments) -> None:
        """Record with both."""
        self.client: dict[str, Recording] = {
            name: partial(_both, record, other.client[name]) for name, record in one.client.items()
        }
        for name, histogram in vars(one).items():
            if isinstance(histogram, Histogram):
                setattr(self, name, Twin(histogram, getattr(other, name)))


def _both(one: Recording, other: Recording, amount: float, attributes: Labels, context: Context | None) -> None:
    one(amount, attributes, context)
    other(amount, attributes, context)
