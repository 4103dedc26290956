"""`WorkflowMonitor`: named blocks of the application, and the last of them."""

from __future__ import annotations

import threading
from collections import deque
from typing import Final

from kaizen_otel.transparency.trace import ExecutionTrace

REMEMBERED: Final = 100


class WorkflowMonitor:
    """Opens traces and remembers the last hundred that ended.

    Example:
        >>> monitor = WorkflowMonitor()
        >>> with monitor.trace("customer_service_workflow") as trace:
        ...     trace.add_event("escalated", "to the second level", {"level": 2})
        >>> [ended.name for ended in monitor.get_traces()]
        ['customer_service_workflow']
    """

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._lock = threading.Lock()
        self._ended: deque[ExecutionTrace] = deque(maxlen=REMEMBERED)

    def trace(self, name: str) -> ExecutionTrace:
        """A block of this name, for `with`.

        Raises:
            TypeError: The name is no text.
            ValueError: It is empty.
        """
        return ExecutionTrace(name, self._remember)

    def get_traces(self, name: str | None = None) -> list[ExecutionTrace]:
        """The last traces that ended, oldest first; of one name, if one is given."""
        with self._lock:
            ended = list(self._ended)
        return [trace for trace in ended if name is None or trace.name == name]

    def _remember(self, trace: ExecutionTrace) -> None:
        with self._lock:
            self._ended.append(trace)
