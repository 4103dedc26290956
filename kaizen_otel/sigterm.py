"""Delivery before SIGTERM takes its course, for those who ask for it (`flush_on_sigterm`).

Python ends at once on SIGTERM: no `atexit`, so what waits in memory is lost. The handler delivers first, on a thread of
its own while the main thread waits: whatever lock the interrupted code holds, the wait is bounded. Then it does what
would have happened without it: the handler before ours is called, or the process is killed by the signal.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

from kaizen_processors.forking import begin_anew_in_children

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType

    from kaizen_processors.fence import Fence

_logger = logging.getLogger("kaizen_otel")


class SigtermFlush:
    """A handler of SIGTERM that delivers, then passes the signal on.

    Args:
        deliver: delivers within so many seconds; `True` says that the process ends for certain afterwards.
        timeout_s: longest time that the signal waits.
        fence: counts what fails.
    """

    def __init__(self, deliver: Callable[[float, bool], None], timeout_s: float, fence: Fence) -> None:
        """Install nothing yet."""
        self._deliver = deliver
        self._timeout_s = timeout_s
        self._fence = fence
        self._before: Any = None
        self._armed = False
        self._handler = self._on_signal  # one object, to be known again
        self.after_fork_in_child()
        begin_anew_in_children(self)

    def after_fork_in_child(self) -> None:
        """Forget that the parent was in the middle of it."""
        self._delivering = False

    def install(self) -> bool:
        """Put the handler in front of the one in force; False, and a warning, where that cannot be done."""
        before = signal.getsignal(signal.SIGTERM)
        if before is signal.SIG_IGN:
            _logger.info("SIGTERM is ignored in this process; flush_on_sigterm leaves it so")
            return False
        if before is None:
            _logger.warning("flush_on_sigterm: SIGTERM has a handler that Python cannot call; it is left alone")
            return False
        try:
            signal.signal(signal.SIGTERM, self._handler)
        except ValueError:
            _logger.warning("flush_on_sigterm: only the main thread can handle signals; call instrument() there")
            return False
        self._before, self._armed = before, True
        return True

    def uninstall(self) -> None:
        """Take the handler away; where another one stands before it, or on another thread, it passes straight on."""
        self._armed = False
        on_main = threading.current_thread() is threading.main_thread()
        if on_main and signal.getsignal(signal.SIGTERM) is self._handler:
            signal.signal(signal.SIGTERM, self._before)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._delivering:
            return  # once more while we deliver: the one that we hold back is passed on in a moment
        if self._armed:
            self._delivering = True
            try:
                self._deliver_in_time(final=self._before == signal.SIG_DFL)
            finally:
                self._delivering = False
        if callable(self._before):
            self._before(number, frame)
        else:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def _deliver_in_time(self, *, final: bool) -> None:
        def deliver() -> None:
            with self._fence("sigterm"):
                self._deliver(self._timeout_s, final)

        with self._fence("sigterm"):
            thread = threading.Thread(target=deliver, name="kaizen-otel-sigterm", daemon=True)
            thread.start()
            thread.join(self._timeout_s)


def all_at_once(jobs: Iterable[Callable[[], object]], timeout_s: float, fence: Fence) -> None:
    """Run each on a thread of its own, and wait for all of them `timeout_s` seconds at the most."""

    def run(job: Callable[[], object]) -> None:
        with fence("sigterm"):
            job()

    threads = [threading.Thread(target=run, args=(job,), name="kaizen-otel-sigterm", daemon=True) for job in jobs]
    deadline_s = time.monotonic() + timeout_s
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline_s - time.monotonic()))
