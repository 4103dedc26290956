"""The thread that everything happens on which must not happen in a user's call: roll-up, history, judgement."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from kaizen_processors.forking import begin_anew_in_children

if TYPE_CHECKING:
    from collections.abc import Callable

    from kaizen_processors.fence import Fence

INTERVAL_S: Final = 10.0


class Ticker:
    """Calls its tasks every `interval_s` seconds, in order, on a daemon thread, each behind the fence.

    The thread starts with `start`, which costs nothing while it runs: whoever counts something may call it. A forked
    child starts its own. With tests, and with a clock of the application's, nobody calls `start`, but `tick`.

    Args:
        fence: counts what a task raises; the others still run.
        interval_s: seconds between two ticks.
    """

    def __init__(self, fence: Fence, interval_s: float = INTERVAL_S) -> None:
        """Start no thread yet."""
        self._fence = fence
        self._interval_s = interval_s
        self._tasks: tuple[tuple[str, Callable[[], object]], ...] = ()
        self._stopped = False
        self.after_fork_in_child()
        begin_anew_in_children(self)

    def after_fork_in_child(self) -> None:
        """Begin without a thread: the parent's did not come along."""
        # Reentrant: collecting garbage may count something, and so ask for a start, in the middle of one.
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, where: str, task: Callable[[], object]) -> None:
        """Let a task run with every tick; `where` is the name under which its failures are counted."""
        with self._lock:
            self._tasks = (*self._tasks, (where, task))

    def remove(self, where: str) -> None:
        """Let the tasks of this name run no more."""
        with self._lock:
            self._tasks = tuple(task for task in self._tasks if task[0] != where)

    def tick(self) -> None:
        """Run every task once, here and now."""
        for where, task in self._tasks:
            with self._fence(where):
                task()

    def start(self) -> None:
        """See that the thread runs."""
        if self._thread is not None or self._stopped:
            return
        with self._lock:
            if self._thread is None and not self._stopped:
                self._thread = thread = threading.Thread(target=self._run, name="kaizen-otel-ticker", daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:  # no more threads: at the exit of the interpreter, or at a limit
                    self._thread = None
                    self._fence.caught("ticker.start", error)

    def stop(self) -> None:
        """Tick no more, and wait a moment for the tick that runs."""
        with self._lock:
            self._stopped = True
            self._wake.set()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=1.0)

    def _run(self) -> None:
        wake = self._wake
        while not wake.wait(self._interval_s):
            self.tick()
