"""`WorkflowMonitor`: named blocks of the application, and the last of them."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any, Final

from kaizen_otel.transparency.trace import ExecutionTrace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kaizen_otel.transparency.interface import KaizenTransparencyInterface

REMEMBERED: Final = 100


class WorkflowMonitor:
    """Opens traces and remembers the last hundred that ended.

    Args:
        transparency_interface: Where it was found; kept as `transparency`. A monitor works without one, too.

    Example:
        >>> monitor = WorkflowMonitor()
        >>> with monitor.trace("customer_service_workflow") as trace:
        ...     trace.add_event("escalated", "to the second level", {"level": 2})
        >>> [ended.name for ended in monitor.get_traces()]
        ['customer_service_workflow']
        >>> monitor.execution_traces[trace.execution_id]["success"]
        True
    """

    def __init__(self, transparency_interface: KaizenTransparencyInterface | None = None) -> None:
        """Remember nothing yet."""
        self.transparency = transparency_interface
        self._lock = threading.Lock()
        self._ended: deque[ExecutionTrace] = deque(maxlen=REMEMBERED)
        self._recorded: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def trace(self, execution_name: str) -> ExecutionTrace:
        """A block of this name, for `with`.

        Raises:
            TypeError: The name is no text.
            ValueError: It is empty.
        """
        return ExecutionTrace(execution_name, self)

    def get_traces(self, name: str | None = None) -> list[ExecutionTrace]:
        """The last traces that ended, oldest first; of one name, if one is given."""
        with self._lock:
            ended = list(self._ended)
        return [trace for trace in ended if name is None or trace.name == name]

    @property
    def execution_traces(self) -> dict[str, dict[str, Any]]:
        """The `trace_data` of the last hundred that were recorded, by `execution_id`, oldest first.

        A block around another one has the id of the same execution: the one that ended last has the entry, and
        `get_traces()` has both.
        """
        with self._lock:
            return dict(self._recorded)

    def record_trace(self, trace_data: Mapping[str, Any]) -> None:
        """Keep the `trace_data` of a block in `execution_traces`; blocks of this monitor are kept as they end.

        It only keeps: what another system ran is counted with `record_execution_metrics`.

        Raises:
            ValueError: It has no `execution_id` that is text.
        """
        kept = dict(trace_data)
        execution_id = kept.get("execution_id")
        if not isinstance(execution_id, str):
            raise ValueError("record_trace: trace_data must have an execution_id that is text")  # noqa: TRY004 - of a dictionary, it is a value
        with self._lock:
            self._recorded[execution_id] = kept
            self._recorded.move_to_end(execution_id)
            if len(self._recorded) > REMEMBERED:
                self._recorded.popitem(last=False)

    def trace_ended(self, trace: ExecutionTrace) -> None:
        """Remember a block of this monitor; it calls this itself."""
        with self._lock:
            self._ended.append(trace)
        self.record_trace(trace.trace_data)
