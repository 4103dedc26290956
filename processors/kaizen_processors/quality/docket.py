"""The docket: every evaluation that was accepted, until it is delivered or dropped with a reason.

One lock guards it and the lanes that work on it. Each job has two ends that need not come together: it is *settled*
when its outcome is decided (delivered, failed, timed out), and *released* when its evaluator has really returned. A
timed-out evaluator that still runs is settled and not released; until then it is *suspended*: no new run of it starts,
so that one that hangs holds no more threads than it has already taken.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.trace import SpanContext

    from kaizen_processors.quality.evaluation import EvaluationInput
    from kaizen_processors.quality.evaluators import Evaluator

SAMPLED_OUT: Final = "sampled_out"
QUEUE_FULL: Final = "queue_full"
SUSPENDED: Final = "suspended"
TIMEOUT: Final = "timeout"
ERROR: Final = "error"
BAD_VERDICT: Final = "bad_verdict"
NO_WORKER: Final = "no_worker"
SHUTDOWN: Final = "shutdown"


@dataclass(slots=True, eq=False)
class Job:
    """One run of one evaluator over one execution."""

    evaluator: Evaluator
    is_async: bool
    given: EvaluationInput
    span_context: SpanContext | None
    number: int = 0
    deadline_s: float = float("inf")
    claimed: bool = False
    timed_out: bool = False
    abandon: Callable[[], None] | None = None
    """How the lane that runs it gives it up; called with the docket's lock held."""


class Docket:
    """Accounts for jobs. Methods marked so are called with `lock` held; the others take it."""

    def __init__(self, max_pending: int, max_pending_chars: int) -> None:
        """Start empty."""
        self.lock = threading.RLock()
        self.work = threading.Condition(self.lock)
        self.watch = threading.Condition(self.lock)
        self.closed = False
        self.stopped = False
        self.running: set[Job] = set()
        self.dropped: Counter[str] = Counter()
        self.delivered = 0
        self._settled = threading.Condition(self.lock)
        self._queues: dict[bool, deque[Job]] = {False: deque(), True: deque()}
        self._open: dict[int, Job] = {}
        self._number = 0
        self._stuck: Counter[str] = Counter()
        self._chars = 0
        self._max_pending = max_pending
        self._max_pending_chars = max_pending_chars

    def count_drop(self, reason: str) -> None:
        """Count an evaluation that was never accepted."""
        with self.lock:
            self.dropped[reason] += 1

    def admit(self, job: Job) -> bool:
        """Accept a job, or count why not. Lock held."""
        refusal = self._refusal(job)
        if refusal is not None:
            self.dropped[refusal] += 1
            return False
        self._number += 1
        job.number = self._number
        self._open[job.number] = job
        self._chars += job.given.size_chars
        self._queues[job.is_async].append(job)
        if not job.is_async:
            self.work.notify()
        return True

    def _refusal(self, job: Job) -> str | None:
        if self.closed:
            return SHUTDOWN
        if self._stuck[job.evaluator.name]:
            return SUSPENDED
        if len(self._open) >= self._max_pending or self._chars + job.given.size_chars > self._max_pending_chars:
            return QUEUE_FULL
        return None

    def waiting(self, *, is_async: bool) -> int:
        """How many jobs of this kind wait. Lock held."""
        return len(self._queues[is_async])

    def take(self, *, is_async: bool) -> Job | None:
        """Give the next job that may start, its time running from now. Lock held."""
        queue = self._queues[is_async]
        while queue:
            job = queue.popleft()
            if job.claimed:
                continue
            if self._stuck[job.evaluator.name]:
                self.drop(job, SUSPENDED)
                continue
            job.deadline_s = time.monotonic() + job.evaluator.timeout_s
            self.running.add(job)
            self.watch.notify()
            return job
        return None

    def claim(self, job: Job) -> bool:
        """Decide that the caller settles this job; False when someone else did before."""
        with self.lock:
            first = not job.claimed
            job.claimed = True
            return first

    def drop(self, job: Job, reason: str) -> None:
        """Settle a job without a result, unless it is settled already."""
        with self.lock:
            if self.claim(job):
                self.settle(job, reason)

    def settle(self, job: Job, reason: str | None = None) -> None:
        """Close a claimed job: delivered when there is no reason, dropped for it otherwise."""
        with self.lock:
            if self._open.pop(job.number, None) is None:
                return
            self._chars -= job.given.size_chars
            if reason is None:
                self.delivered += 1
            else:
                self.dropped[reason] += 1
            self._settled.notify_all()

    def time_out(self, job: Job) -> None:
        """Settle a running job whose time is over, and suspend its evaluator until it returns. Lock held."""
        job.timed_out = True
        self._stuck[job.evaluator.name] += 1
        self.drop(job, TIMEOUT)
        if job.abandon is not None:
            job.abandon()

    def release(self, job: Job) -> None:
        """Note that a job's evaluator has returned. Lock held."""
        self.running.discard(job)
        if job.timed_out:
            self._stuck[job.evaluator.name] -= 1

    def drop_waiting(self, reason: str, *, is_async: bool) -> None:
        """Settle every job of this kind that has not started. Lock held."""
        queue = self._queues[is_async]
        while queue:
            self.drop(queue.popleft(), reason)

    def wait_settled(self, timeout_s: float) -> bool:
        """Wait until every job accepted so far is settled; say whether it is."""
        with self.lock:
            last = self._number
            return self._settled.wait_for(lambda: next(iter(self._open), last + 1) > last, timeout_s)

    def stop(self) -> None:
        """Settle everything that is left as dropped, and let the lanes go. Lock held."""
        self.closed = True
        self.stopped = True
        for job in list(self._open.values()):
            self.drop(job, SHUTDOWN)
        self.work.notify_all()
        self.watch.notify_all()
