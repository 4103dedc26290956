"""A desk that collects what evaluators deliver, and two evaluators."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from opentelemetry.trace import SpanContext, TraceFlags

from kaizen_processors.fence import Fence
from kaizen_processors.quality import (
    Evaluation,
    EvaluationInput,
    EvaluatorRunner,
    RunnerOptions,
    evaluator,
)

WAIT_S = 30.0
"""How long a test waits for what must happen; it does not wait this long unless it fails."""
TIMEOUT_S = 0.05
"""Time limit of evaluators that are meant to exceed it."""
SPAN = SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(1))
ANSWER = EvaluationInput({"answer": "42"}, agent_name="desk", execution_id="0" * 32)


class Desk:
    """Collects results, and ends its runners."""

    def __init__(self) -> None:
        self.results: list[tuple[EvaluationInput, Evaluation, SpanContext | None]] = []
        self.gate = threading.Event()
        self.fence = Fence()
        self._runners: list[EvaluatorRunner] = []

    def runner(self, *evaluators: Any, options: RunnerOptions | None = None, **given_options: Any) -> EvaluatorRunner:
        made = EvaluatorRunner(evaluators, self.receive, fence=self.fence, options=options, **given_options)
        self._runners.append(made)
        return made

    def receive(self, given_input: EvaluationInput, found: Evaluation, span_context: SpanContext | None) -> None:
        self.results.append((given_input, found, span_context))

    @property
    def evaluations(self) -> list[Evaluation]:
        return sorted((found for _, found, _ in self.results), key=lambda found: found.name)

    def close(self) -> None:
        self.gate.set()
        for runner in self._runners:
            runner.shutdown(WAIT_S)


@evaluator
def half(_: EvaluationInput) -> float:
    return 0.5


@evaluator
async def kind(_: EvaluationInput) -> bool:
    await asyncio.sleep(0)
    return True
