"""Those who want to be told of each execution, each on a thread of its own, so that none is in another's way."""

from __future__ import annotations

import inspect
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from kaizen_processors.execution import ExecutionMetrics
from kaizen_processors.forking import begin_anew_in_children

if TYPE_CHECKING:
    from asyncio import Runner
    from collections.abc import Awaitable, Callable

    from kaizen_processors.execution import ExecutionRecord
    from kaizen_processors.fence import Fence

    Subscriber = Callable[[ExecutionMetrics], object]


class Subscription:
    """One subscriber: what waits for it, and the thread that tells it.

    Executions wait in a buffer. When it is full the oldest is dropped and counted, so that a slow subscriber is told of
    what is new. What a subscriber raises is counted behind the fence, and it is told of the next one all the same.

    Args:
        subscriber: a function of an `ExecutionMetrics`, or a coroutine function, which runs on a loop of this thread.
        fence: counts what it raises.
        buffer_size: how many executions may wait.
        interval_s: seconds between two deliveries; None delivers each as it ends.
    """

    def __init__(self, subscriber: Subscriber, fence: Fence, *, buffer_size: int, interval_s: float | None) -> None:
        """Start the thread with the first execution."""
        self.subscriber = subscriber
        self._fence = fence
        self._buffer_size = buffer_size
        self._interval_s = interval_s
        self._closed = False
        self.after_fork_in_child()
        begin_anew_in_children(self)

    def after_fork_in_child(self) -> None:
        """Begin with nothing waiting, and without a thread: the parent's tells of what is the parent's."""
        # Reentrant: collecting garbage may end an execution, and offer it, while it is held.
        self._lock = threading.RLock()
        self._settled = threading.Condition(self._lock)
        self._waiting: deque[ExecutionRecord] = deque()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._ending = False
        self._telling = 0
        self.delivered = 0
        self.dropped = 0

    def offer(self, record: ExecutionRecord) -> None:
        """Let an execution wait for delivery."""
        with self._lock:
            if self._closed:
                self.dropped += 1
                return
            if len(self._waiting) >= self._buffer_size:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append(record)
        if self._thread is None:
            self._start()
        if self._interval_s is None:
            self._wake.set()

    def flush(self, timeout_s: float) -> bool:
        """Deliver what waits, now; False when some is left after `timeout_s` seconds."""
        deadline = time.monotonic() + timeout_s
        self._wake.set()
        with self._settled:
            while self._waiting or self._telling:
                left_s = deadline - time.monotonic()
                if left_s <= 0 or self._thread is threading.current_thread():
                    return False
                self._settled.wait(left_s)
        return True

    def rest(self, timeout_s: float) -> None:
        """Deliver what waits within `timeout_s` seconds, and end the thread; another offer starts it again."""
        self.flush(timeout_s)
        with self._lock:
            self._ending = True
        self._wake.set()

    def close(self, timeout_s: float) -> None:
        """Deliver what waits, and stop; what is left after `timeout_s` seconds is dropped, and counted."""
        self.rest(timeout_s)
        with self._lock:
            self._closed = True
            self.dropped += len(self._waiting)
            self._waiting.clear()

    def _start(self) -> None:
        with self._lock:
            if self._thread is not None:
                return
            self._ending = False
            self._thread = thread = threading.Thread(target=self._run, name="kaizen-otel-subscriber", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # no more threads: at the exit of the interpreter, or at a limit
                self._thread = None
                self._fence.caught("subscriber.start", error)

    def _run(self) -> None:
        wake, runner = self._wake, _LazyRunner()
        try:
            while not self._ending:
                wake.wait(self._interval_s)
                wake.clear()
                self._deliver(runner)
        finally:
            runner.close()
            with self._lock:
                self._thread = None
                if self._waiting:  # offered while this thread was ending
                    self._start()

    def _deliver(self, runner: _LazyRunner) -> None:
        while True:
            with self._settled:
                if not self._waiting:
                    self._settled.notify_all()
                    return
                record = self._waiting.popleft()
                self._telling += 1
            try:
                told = self.subscriber(ExecutionMetrics.of(record))
                if inspect.isawaitable(told):
                    runner.run(told)
            except BaseException as error:  # noqa: BLE001 - on our own thread even `SystemExit` ends nothing
                self._fence.caught("subscriber", error)
            finally:
                with self._settled:
                    self._telling -= 1
                    self.delivered += 1


class _LazyRunner:
    """An event loop, made for the first coroutine: who subscribes with plain functions does not load asyncio."""

    def __init__(self) -> None:
        self._runner: Runner | None = None

    def run(self, awaitable: Awaitable[object]) -> None:
        if self._runner is None:
            from asyncio import Runner  # noqa: PLC0415 - see the class

            self._runner = Runner()

        async def wait() -> Any:
            return await awaitable

        self._runner.run(wait())

    def close(self) -> None:
        if self._runner is not None:
            self._runner.close()
