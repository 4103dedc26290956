"""Runs an application's evaluators off its path: bounded, time-boxed, every evaluation delivered or counted."""

from __future__ import annotations

import contextlib
import inspect
import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from kaizen_processors.chance import CHANCE
from kaizen_processors.fence import Fence
from kaizen_processors.forking import begin_anew_in_children
from kaizen_processors.quality import docket as reasons
from kaizen_processors.quality.docket import Docket, Job
from kaizen_processors.quality.evaluators import BadVerdictError, EvaluatorError, as_evaluator, evaluation_of, is_async
from kaizen_processors.quality.lanes import LoopLane, ThreadLane, start_thread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from contextlib import AbstractContextManager

    from opentelemetry.trace import SpanContext

    from kaizen_processors.quality.evaluation import Evaluation, EvaluationInput
    from kaizen_processors.quality.evaluators import Evaluator, EvaluatorFunction

_logger = logging.getLogger("kaizen_otel")

ResultCallback: TypeAlias = "Callable[[EvaluationInput, Evaluation, SpanContext | None], None]"


@dataclass(frozen=True, slots=True)
class RunnerOptions:
    """Bounds of an `EvaluatorRunner`, and its source of chance.

    Raises:
        ValueError: A bound below its minimum.
    """

    max_pending: int = 256
    """Evaluations waiting or running at a time; further ones are dropped (`queue_full`)."""
    max_pending_chars: int = 16_777_216
    """Characters of output that these keep in memory."""
    max_threads: int = 2
    """Synchronous evaluators that run at a time."""
    max_tasks: int = 8
    """Asynchronous evaluators that run at a time."""
    max_abandoned: int = 4
    """Threads (and loops) that evaluators which hang may hold beyond those."""
    random: Callable[[], float] = CHANCE.random
    """A number from 0 up to 1 for each sampling decision."""

    def __post_init__(self) -> None:
        for name in ("max_pending", "max_pending_chars", "max_threads", "max_tasks"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.max_abandoned < 0:
            raise ValueError(f"max_abandoned must not be negative, got {self.max_abandoned}")


class EvaluatorRunner:
    """Runs evaluators on finished executions, on its own daemon threads, which start with the first work.

    Args:
        evaluators: What judges; names must differ.
        on_result: Called on one of the runner's threads with the execution, its evaluation, and the span context given
            to `submit`. It must not block.
        enter: Gives the context manager in which the evaluator of a name runs, called with `evaluator:<name>`; what
            the evaluator itself calls (models!) can so be told from what it judges.
        fence: Counts and logs what evaluators and `on_result` raise.
        options: Bounds and chance.

    Raises:
        EvaluatorError: An evaluator that cannot be used, or two of one name.
    """

    def __init__(
        self,
        evaluators: Iterable[Evaluator | EvaluatorFunction],
        on_result: ResultCallback,
        *,
        enter: Callable[[str], AbstractContextManager[object]] | None = None,
        fence: Fence | None = None,
        options: RunnerOptions | None = None,
    ) -> None:
        self._evaluators = _distinct(as_evaluator(given) for given in evaluators)
        self._on_result = on_result
        self._enter = enter or _no_context
        self._fence = fence or Fence()
        self._options = options or RunnerOptions()
        self._warned: set[tuple[str, str]] = set()
        self._inherited: list[object] = []
        self._begin()
        begin_anew_in_children(self)

    def _begin(self) -> None:
        options = self._options
        self._docket = Docket(options.max_pending, options.max_pending_chars)
        self._threads = ThreadLane(self._docket, self._perform, options.max_threads, options.max_abandoned)
        self._loop = LoopLane(self._docket, self._perform_async, options.max_tasks, options.max_abandoned)
        self._watching = False

    @property
    def evaluators(self) -> tuple[Evaluator, ...]:
        """What judges."""
        return tuple(evaluator for evaluator, _ in self._evaluators)

    def submit(self, given: EvaluationInput, span_context: SpanContext | None = None) -> int:
        """Have an execution judged later; give the number of evaluations accepted.

        The output is copied first (its containers, within bounds), so that the application may go on with it.
        """
        chosen = [pair for pair in self._evaluators if self._sampled(pair[0])]
        if not chosen:
            return 0
        taken = given.snapshot()
        with self._docket.lock:
            accepted = sum(self._docket.admit(Job(judge, is_co, taken, span_context)) for judge, is_co in chosen)
            if accepted:
                self._threads.ensure()
                self._loop.ensure()
                self._ensure_watch()
        return accepted

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything submitted so far is delivered or counted as dropped; False when the time ran out."""
        return self._docket.wait_settled(timeout_s)

    def shutdown(self, timeout_s: float) -> bool:
        """Accept nothing more, wait for what there is, drop the rest; False when something had to be dropped."""
        docket = self._docket
        with docket.lock:
            docket.closed = True
        finished = docket.wait_settled(timeout_s)
        with docket.lock:
            docket.stop()
            self._loop.stop()
        return finished

    def dropped(self) -> dict[str, int]:
        """Evaluations that gave no result, by reason.

        `sampled_out`, `queue_full`, `timeout`, `error` (the evaluator raised), `bad_verdict` (it returned no verdict),
        `suspended` (an earlier run of it still hangs), `no_worker` (too many evaluators hang), `shutdown`.
        """
        with self._docket.lock:
            return dict(self._docket.dropped)

    def delivered(self) -> int:
        """Evaluations that came to a verdict, or to the verdict that there is none."""
        with self._docket.lock:
            return self._docket.delivered

    def _sampled(self, evaluator: Evaluator) -> bool:
        rate = evaluator.sample_rate
        if rate >= 1.0 or (rate > 0.0 and self._options.random() < rate):
            return True
        self._docket.count_drop(reasons.SAMPLED_OUT)
        return False

    def _perform(self, job: Job) -> None:
        try:
            with self._enter(f"evaluator:{job.evaluator.name}"):
                verdict: object = job.evaluator(job.given)
                if inspect.isawaitable(verdict):
                    verdict = _run_here(verdict)
        except BaseException as error:  # noqa: BLE001 - the evaluator's, on our thread: even SystemExit ends only this run
            self._failed(job, error)
        else:
            self._conclude(job, verdict)

    async def _perform_async(self, job: Job) -> None:
        try:
            with self._enter(f"evaluator:{job.evaluator.name}"):
                verdict: object = job.evaluator(job.given)
                if inspect.isawaitable(verdict):
                    verdict = await verdict
        except BaseException as error:  # noqa: BLE001 - as above; a cancelled run is settled already
            self._failed(job, error)
        else:
            self._conclude(job, verdict)

    def _conclude(self, job: Job, verdict: object) -> None:
        if not self._docket.claim(job):
            return
        name = job.evaluator.name
        reason: str | None = reasons.ERROR
        try:
            evaluation = evaluation_of(name, verdict)
            if evaluation is not None:
                self._on_result(job.given, evaluation, job.span_context)
            reason = None
        except BadVerdictError as error:
            reason = reasons.BAD_VERDICT
            self._warn_once(
                name, reason, f"returned {error}, which is no score from 0 to 1, boolean, Evaluation or None"
            )
        except Exception as error:  # noqa: BLE001 - the result's receiver failed: counted and logged by the fence
            self._fence.caught("evaluation.result", error)
        finally:
            self._docket.settle(job, reason)

    def _failed(self, job: Job, error: BaseException) -> None:
        if self._docket.claim(job):
            self._fence.caught(f"evaluator:{job.evaluator.name}", error)
            self._docket.settle(job, reasons.ERROR)

    def _warn_once(self, name: str, reason: str, what: str) -> None:
        if (name, reason) not in self._warned:
            self._warned.add((name, reason))
            with self._fence("evaluator.log"):
                _logger.warning("evaluator %s %s; counted, further ones are not logged", name, what)

    def _ensure_watch(self) -> None:
        if not self._watching:
            thread = threading.Thread(target=self._watch, name="kaizen-otel-evaluator-watch", daemon=True)
            self._watching = start_thread(thread)

    def _watch(self) -> None:
        while (overdue := self._wait_for_overdue()) is not None:
            for evaluator in overdue:
                self._warn_once(evaluator.name, reasons.TIMEOUT, f"took longer than its {evaluator.timeout_s:g} s")

    def _wait_for_overdue(self) -> list[Evaluator] | None:
        """Sleep until a deadline, time out what is overdue and say what was; None when the runner has stopped."""
        docket = self._docket
        with docket.lock:
            if docket.stopped:
                return None
            pending = [job for job in docket.running if not job.claimed]
            next_s = min([self._loop.next_check_s(), *(job.deadline_s for job in pending)])
            docket.watch.wait(None if next_s == float("inf") else max(next_s - time.monotonic(), 0.0))
            now_s = time.monotonic()
            overdue = [job for job in docket.running if not job.claimed and job.deadline_s <= now_s]
            for job in overdue:
                docket.time_out(job)
            self._loop.check(now_s)
            return [job.evaluator for job in overdue]

    def after_fork_in_child(self) -> None:
        """Begin anew: the parent's threads do not exist here, and its evaluations are the parent's to finish."""
        # Its event loop shares file descriptors with the parent's: it is kept, never closed.
        self._inherited.append(self._loop)
        self._begin()


def _no_context(_name: str) -> AbstractContextManager[None]:
    return contextlib.nullcontext()


def _run_here(awaitable: Awaitable[object]) -> object:
    """Await what a plain function returned (a lambda around a coroutine, say) on this thread."""
    import asyncio  # noqa: PLC0415 - 30 ms of import that only such an evaluator needs

    async def wait() -> object:
        return await awaitable

    return asyncio.run(wait())


def _distinct(evaluators: Iterable[Evaluator]) -> tuple[tuple[Evaluator, bool], ...]:
    found: dict[str, tuple[Evaluator, bool]] = {}
    for given in evaluators:
        if given.name in found:
            raise EvaluatorError(f"two evaluators are named {given.name!r}")
        found[given.name] = (given, is_async(given))
    return tuple(found.values())
