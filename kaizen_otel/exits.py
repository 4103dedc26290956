"""What runs when the process ends is ended before the last delivery: at the interpreter's exit, and in children."""

from __future__ import annotations

import atexit
from typing import TYPE_CHECKING

from kaizen_processors.export.endings import close_with_process
from kaizen_semconv.attributes import KaizenSpanAbandoned

if TYPE_CHECKING:
    from collections.abc import Callable

    from kaizen_otel.invocations.running import RunningInvocations


class ClosingAtExit:
    """Closes running operations at the interpreter's exit, before providers shut down.

    `atexit` calls first what was registered last, and each OpenTelemetry provider registers its own shutdown when it is
    made: after it no span reaches an exporter. So `go_first` is called again whenever another provider is found.

    Threads that are no daemons have ended by then: the interpreter waits for them. A child of `multiprocessing` never
    comes to `atexit`; there it is a finalizer.

    Args:
        running: what is to be closed.
        timeout_s: longest time that closing may take.
        afterwards: called with that time when it is done: what is said of everything that has ended.
    """

    def __init__(
        self, running: RunningInvocations, timeout_s: float, afterwards: Callable[[float], object] = lambda _: None
    ) -> None:
        """Register."""
        self._running = running
        self._timeout_s = timeout_s
        self._afterwards = afterwards
        self.go_first()
        close_with_process(self)

    def go_first(self) -> None:
        """Be called before everything that is registered by now."""
        atexit.unregister(self.close_at_exit)
        atexit.register(self.close_at_exit)

    def close_at_exit(self) -> None:
        """End what runs."""
        self._running.close(KaizenSpanAbandoned.EXIT, self._timeout_s)
        self._afterwards(self._timeout_s)

    def stand_down(self) -> None:
        """Do nothing at the exit."""
        atexit.unregister(self.close_at_exit)
