"""The thread that everything happens on which must not happen in a user's call: roll-up, history, judgement."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from kaizen_processors.forking import begin_anew_in_children

if TYPE_CHECKING:
    from collections.abc import Callable

    from kaizen_processors.fence import Fence

INTERVAL_S: Final = 10.0

BEAT_S: Final = 1.0
"""Between two runs of what cannot wait for a tick."""


class Task(NamedTuple):
    """What a ticker runs: kept by whoever wants it to end."""

    where: str
    run: Callable[[], object]
    every_s: float | None


class Ticker:
    """Calls its tasks every `interval_s` seconds, in order, on a daemon thread, each behind the fence.

    A task may ask to be called more often in between.

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
        self._tasks: tuple[Task, ...] = ()
        self._stopped = False
        self.after_fork_in_child()
        begin_anew_in_children(self)

    def after_fork_in_child(self) -> None:
        """Begin without a thread: the parent's did not come along."""
        # Reentrant: collecting garbage may count something, and so ask for a start, in the middle of one.
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, where: str, task: Callable[[], object], *, every_s: float | None = None) -> Task:
        """Let a task run with every tick; `where` is the name under which its failures are counted.

        Args:
            where: the name.
            task: what is to be done.
            every_s: seconds between two runs of it, also between ticks; None: with the ticks only.

        Returns:
            What `remove` takes.
        """
        added = Task(where, task, every_s)
        with self._lock:
            self._tasks = (*self._tasks, added)
            self._wake.set()
        return added

    def remove(self, task: Task) -> None:
        """Let this task run no more; others of the same name go on."""
        with self._lock:
            self._tasks = tuple(one for one in self._tasks if one is not task)

    def tick(self) -> None:
        """Run every task once, here and now."""
        self._run_tasks(self._tasks)

    def _run_tasks(self, tasks: tuple[Task, ...]) -> None:
        for task in tasks:
            with self._fence(task.where):
                task.run()

    def start(self) -> None:
        """See that the thread runs."""
        if self._thread is not None or self._stopped:
            return
        with self._lock:
            if self._thread is None and not self._stopped:
                self._thread = thread = threading.Thread(target=self._run, name="kaizen-otel-ticker", daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:  # no more threads: at a limit, or because the interpreter ends (3.12)
                    self._thread = None
                    if "interpreter shutdown" not in str(error):
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
        tick_s = time.monotonic() + self._interval_s
        while not self._stopped:
            often = [task for task in self._tasks if task.every_s is not None]
            least_s = min((task.every_s for task in often if task.every_s is not None), default=self._interval_s)
            beat_s = min(time.monotonic() + least_s, tick_s)
            if self._wake.wait(max(beat_s - time.monotonic(), 0.0)):
                self._wake.clear()  # to stop, or for a task that was added
                continue
            if beat_s >= tick_s:
                tick_s = time.monotonic() + self._interval_s
                self.tick()
            else:
                self._run_tasks(tuple(often))
