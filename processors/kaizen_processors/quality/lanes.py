"""Where evaluators run: a few threads for functions, one event loop for coroutines.

Python cannot stop a function that hangs. A lane therefore gives up the thread (or the loop) that an overdue evaluator
holds and goes on with another one; how many may be given up at a time is bounded, and one that comes back is used
again.
"""

from __future__ import annotations

import contextvars
import functools
import threading
import time
from typing import TYPE_CHECKING, Final

from kaizen_processors.quality.docket import NO_WORKER

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine

    from kaizen_processors.quality.docket import Docket, Job

LOOP_ANSWER_S: Final = 1.0
"""A loop that has not answered for this long after a job of its timed out is blocked by somebody's synchronous code."""

_CANCEL_S: Final = 0.5
"""How long a closing loop waits for its cancelled coroutines."""


class _Worker:
    __slots__ = ("abandoned",)

    def __init__(self) -> None:
        self.abandoned = False


class ThreadLane:
    """Runs synchronous evaluators, one on a thread."""

    def __init__(self, docket: Docket, perform: Callable[[Job], None], max_threads: int, max_abandoned: int) -> None:
        """Have no thread yet; they start with the work."""
        self._docket = docket
        self._perform = perform
        self._max_threads = max_threads
        self._max_abandoned = max_abandoned
        self._live = 0
        self._idle = 0
        self._abandoned = 0

    def ensure(self) -> None:
        """See to it that waiting jobs find a thread, or drop them when none can be had. Lock held."""
        waiting = self._docket.waiting(is_async=False)
        free = min(self._max_threads, self._max_threads + self._max_abandoned - self._abandoned) - self._live
        for _ in range(min(waiting - self._idle, free)):
            self._start()
        if waiting and not self._live:
            self._docket.drop_waiting(NO_WORKER, is_async=False)

    def _start(self) -> None:
        worker = _Worker()
        thread = threading.Thread(target=self._work, args=(worker,), name="kaizen-otel-evaluator", daemon=True)
        if start_thread(thread):
            self._live += 1

    def _work(self, worker: _Worker) -> None:
        while (job := self._next_job(worker)) is not None:
            contextvars.Context().run(self._perform, job)
            if not self._return_to_work(worker, job):
                return

    def _next_job(self, worker: _Worker) -> Job | None:
        docket = self._docket
        with docket.lock:
            while not docket.stopped:
                job = docket.take(is_async=False)
                if job is not None:
                    job.abandon = functools.partial(self._abandon, worker)
                    return job
                self._idle += 1
                docket.work.wait()
                self._idle -= 1
            self._live -= 1
            return None

    def _abandon(self, worker: _Worker) -> None:
        worker.abandoned = True
        self._live -= 1
        self._abandoned += 1
        self.ensure()

    def _return_to_work(self, worker: _Worker, job: Job) -> bool:
        with self._docket.lock:
            self._docket.release(job)
            if worker.abandoned:
                worker.abandoned = False
                self._abandoned -= 1
                if self._live >= self._max_threads:
                    return False
                self._live += 1
            return True


class LoopLane:
    """Runs asynchronous evaluators, side by side on one event loop."""

    def __init__(
        self,
        docket: Docket,
        perform: Callable[[Job], Coroutine[object, object, None]],
        max_tasks: int,
        max_blocked: int,
    ) -> None:
        """Have no loop yet; it starts with the work."""
        self._docket = docket
        self._perform = perform
        self._max_tasks = max_tasks
        self._max_blocked = max_blocked
        self._blocked = 0
        self._host: _LoopHost | None = None

    def ensure(self) -> None:
        """See to it that waiting jobs find a loop, or drop them when none can be had. Lock held."""
        if not self._docket.waiting(is_async=True):
            return
        if self._host is None and self._blocked <= self._max_blocked:
            host = _LoopHost(self._docket, self._perform, self._max_tasks)
            if host.start():
                self._host = host
        if self._host is None:
            self._docket.drop_waiting(NO_WORKER, is_async=True)
        else:
            self._host.wake()

    def next_check_s(self) -> float:
        """When the loop must have answered. Lock held."""
        return float("inf") if self._host is None else self._host.answer_by_s

    def check(self, now_s: float) -> None:
        """Replace the loop when it has not answered in time. Lock held."""
        host = self._host
        if host is None or now_s < host.answer_by_s:
            return
        self._blocked += 1
        host.retire(self._unblocked)
        self._host = None
        self.ensure()

    def stop(self) -> None:
        """Cancel what runs and let the loop end. Lock held."""
        if self._host is not None:
            self._host.stop()
            self._host = None

    def _unblocked(self) -> None:
        with self._docket.lock:
            self._blocked -= 1


class _LoopHost:
    """One event loop on its own daemon thread. Public methods are called with the docket's lock held."""

    def __init__(
        self, docket: Docket, perform: Callable[[Job], Coroutine[object, object, None]], max_tasks: int
    ) -> None:
        self._docket = docket
        self._perform = perform
        self._max_tasks = max_tasks
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._retired = False
        self._stopping = False
        self._on_end: Callable[[], None] | None = None
        self.answer_by_s = float("inf")

    def start(self) -> bool:
        """Start the thread; False when the system gives none."""
        return start_thread(threading.Thread(target=self._main, name="kaizen-otel-evaluator-loop", daemon=True))

    def wake(self) -> None:
        """Let the loop take jobs. Before it runs there is nothing to do: it looks for itself."""
        self._post(self._pump)

    def abandon(self, task: asyncio.Task[None]) -> None:
        """Cancel an overdue coroutine, and ask the loop whether it is still there."""
        self._post(task.cancel)
        if not self._retired:
            self.answer_by_s = min(self.answer_by_s, time.monotonic() + LOOP_ANSWER_S)
            self._post(self._answer)

    def retire(self, on_end: Callable[[], None]) -> None:
        """Take no more jobs, and end when those that run have returned."""
        self._retired = True
        self._on_end = on_end
        self.answer_by_s = float("inf")
        self._post(self._end_when_done)

    def stop(self) -> None:
        """End now, cancelling what runs."""
        self._stopping = True
        self._post(self._end_when_done)

    def _post(self, callback: Callable[[], object]) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(callback)

    def _main(self) -> None:
        import asyncio  # noqa: PLC0415 - 30 ms of import that only asynchronous evaluators need

        loop = asyncio.new_event_loop()
        loop.set_exception_handler(lambda _loop, _context: None)
        with self._docket.lock:
            self._loop = loop
        loop.call_soon(self._pump)
        loop.call_soon(self._end_when_done)
        try:
            loop.run_forever()
        finally:
            self._close(loop)

    def _pump(self) -> None:
        loop = self._loop
        if loop is None:
            return
        with self._docket.lock:
            while not self._retired and not self._docket.stopped and len(self._tasks) < self._max_tasks:
                job = self._docket.take(is_async=True)
                if job is None:
                    return
                task = loop.create_task(self._perform(job), context=contextvars.Context())
                self._tasks.add(task)
                job.abandon = functools.partial(self.abandon, task)
                task.add_done_callback(functools.partial(self._done, job))

    def _done(self, job: Job, task: asyncio.Task[None]) -> None:
        with self._docket.lock:
            self._tasks.discard(task)
            self._docket.release(job)
        self._pump()
        self._end_when_done()

    def _answer(self) -> None:
        with self._docket.lock:
            self.answer_by_s = float("inf")

    def _end_when_done(self) -> None:
        if self._loop is not None and (self._stopping or (self._retired and not self._tasks)):
            self._loop.stop()

    def _close(self, loop: asyncio.AbstractEventLoop) -> None:
        import asyncio  # noqa: PLC0415 - as in _main

        with self._docket.lock:
            self._loop = None
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.wait(tasks, timeout=_CANCEL_S))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
        if self._on_end is not None:
            self._on_end()


def start_thread(thread: threading.Thread) -> bool:
    """Start a thread; False when the system has none to give, or the interpreter is ending."""
    try:
        thread.start()
    except RuntimeError:
        return False
    return True
