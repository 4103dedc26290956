"""The operations that have begun in this process and not ended: for what is told of them meanwhile, and for the end.

On the hot path it is one entry of a dictionary, put in and taken out. Taking it out is also what decides who ends an
operation: its own thread, or whoever closes what the end of the process found running.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kaizen_processors.forking import begin_anew_in_children

if TYPE_CHECKING:
    from kaizen_otel.invocations.base import Invocation
    from kaizen_processors.fence import Fence
    from kaizen_semconv.attributes import KaizenSpanAbandoned


class RunningInvocations:
    """Every operation of one telemetry that runs, in the order in which they began.

    Attributes:
        open: the operations; only the keys matter.
        closing: whether `close` was called: from then on an operation that is no longer in `open` is being ended there.
    """

    __slots__ = ("__weakref__", "_fence", "closing", "open")

    def __init__(self, fence: Fence) -> None:
        """Start with none. `fence` counts what could not be closed in time."""
        self._fence = fence
        self.after_fork_in_child()
        begin_anew_in_children(self)

    def after_fork_in_child(self) -> None:
        """Begin with none: what runs in the parent is the parent's to end."""
        self.open: dict[Invocation, bool] = {}
        self.closing = False

    def oldest_first(self) -> list[Invocation]:
        """Those that run now, parents before what they started."""
        return list(self.open.copy())

    def close(self, reason: KaizenSpanAbandoned, timeout_s: float) -> int:
        """End everything that runs, children before their parents; gives how many.

        What ends by itself meanwhile, on its own thread, or later, ends once. Closing takes no longer than `timeout_s`
        seconds: what is left then is counted as a failure, and ends as it would have without this.
        """
        self.closing = True
        deadline_s = time.monotonic() + timeout_s
        closed = 0
        for invocation in reversed(self.oldest_first()):
            if time.monotonic() > deadline_s:
                self._fence.caught("abandoned.close", TimeoutError(f"{len(self.open)} operations still run"))
                break
            if self.open.pop(invocation, False):
                invocation.abandon(reason)
                closed += 1
        return closed
