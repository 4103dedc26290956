"""The desk where executions are judged: by their form on the spot, by the application's evaluators off its path."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, set_span_in_context

from kaizen_otel.invocations.scope import EvaluatorScope, current_execution, evaluator_above, with_scope
from kaizen_processors.execution import NO_AGENT
from kaizen_processors.forking import begin_anew_in_children
from kaizen_processors.quality.confidence import confidence_of
from kaizen_processors.quality.evaluation import FAIL, Evaluation, EvaluationInput, quality_score
from kaizen_processors.quality.structural import invalid_json, structural_evaluations
from kaizen_semconv import attributes as k
from kaizen_semconv import events
from kaizen_semconv import gen_ai as g

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kaizen_otel.invocations.agent import AgentInvocation
    from kaizen_otel.invocations.failure import Failure
    from kaizen_otel.telemetry import Telemetry
    from kaizen_processors.quality.runner import EvaluatorRunner

STRUCTURAL = "structural"
"""Value of the metric's label `evaluation` for the mean of the structural evaluators."""

REMEMBERED_EXECUTIONS = 10_000
"""Finished executions that a later evaluation can still be reported for by id."""

SHUTDOWN_S = 2.0

_EXECUTION_ID = re.compile(r"[0-9a-f]{32}")


class QualityDesk:
    """Judges the executions of one telemetry."""

    def __init__(self, telemetry: Telemetry) -> None:
        """Judge as the settings say; raises `EvaluatorError` for an evaluator that cannot be used."""
        self._telemetry = telemetry
        self._finished: OrderedDict[str, tuple[str, SpanContext, int]] = OrderedDict()
        self.after_fork_in_child()
        begin_anew_in_children(self)
        self._invalid: dict[str, int] = {}
        self._runner = self._build_runner()

    def after_fork_in_child(self) -> None:
        """Make a lock that nobody holds. Reentrant: collecting garbage may end an execution while it is held."""
        self._lock = threading.RLock()

    def judge(self, agent: AgentInvocation) -> None:
        """Set confidence and structural quality, before the execution's span ends."""
        if not agent.has_returned or evaluator_above(agent.parent) is not None:
            return
        agent.confidence = confidence_of(agent.output, self._count_invalid_confidence)
        if self._telemetry.settings.structural_quality:
            agent.evaluations = (*structural_evaluations(_input_of(agent)), *_json_evaluations(agent))
            agent.quality_score = quality_score(agent.evaluations)

    def evaluate(self, agent: AgentInvocation) -> None:
        """Report what was judged, and hand the finished execution to the application's evaluators."""
        if evaluator_above(agent.parent) is not None:
            return
        span_context = agent.span.get_span_context()
        with self._lock:
            self._finished[agent.execution_id] = (agent.agent_name, span_context, agent.start_time_ns)
            self._forget_old(agent.start_time_ns)
        if agent.quality_score is not None:
            self._measure(agent.agent_name, STRUCTURAL, agent.quality_score, span_context)
            for evaluation in agent.evaluations:
                if evaluation.label == FAIL:
                    self._announce(evaluation, agent.agent_name, agent.execution_id, span_context)
        if self._runner is not None and agent.has_returned and agent.recorded.evaluates:
            self._runner.submit(_input_of(agent), span_context)

    def record(
        self,
        evaluation: Evaluation,
        *,
        execution_id: str | None = None,
        span: Span | SpanContext | None = None,
        measured: bool = True,
    ) -> None:
        """Report an evaluation that was made elsewhere, of a finished execution, a span, or the current execution.

        A score that says nothing about quality (which of two answers is preferred) is not `measured`: an event alone.
        """
        agent_name, span_context = self._subject(execution_id, span)
        if execution_id is None and span is None:
            current = current_execution()
            execution_id = None if current is None else current.execution_id
        if measured and evaluation.score is not None:
            self._measure(agent_name, evaluation.name, evaluation.score, span_context)
        self._announce(evaluation, agent_name, execution_id, span_context)

    def record_failure(self, name: str, failure: Failure, span: SpanContext | None) -> None:
        """Report that an evaluation of the current execution (or of a span) came to no verdict."""
        if failure.cancelled:
            return
        agent_name, span_context = self._subject(None, span)
        current = current_execution() if span is None else None
        execution_id = None if current is None else current.execution_id
        self._announce(Evaluation(name), agent_name, execution_id, span_context, failure.error_type)

    def stats(self) -> dict[str, int]:
        """Evaluations that gave no result, and stated confidences that are none (`confidence_…`), by reason."""
        dropped = {} if self._runner is None else self._runner.dropped()
        with self._lock:
            return {**dropped, **self._invalid}

    def _count_invalid_confidence(self, reason: str) -> None:
        key = f"confidence_{reason}"
        with self._lock:
            self._invalid[key] = self._invalid.get(key, 0) + 1

    def flush(self, timeout_s: float) -> bool:
        """Wait for evaluators; False when some are still at work."""
        return self._runner is None or self._runner.flush(timeout_s)

    def shutdown(self) -> None:
        """Stop evaluators; what is not judged within two seconds stays unjudged."""
        if self._runner is not None:
            self._runner.shutdown(SHUTDOWN_S)

    def _forget_old(self, now_ns: int) -> None:
        retention_s = self._telemetry.settings.metrics_retention_s
        oldest_ns = 0 if retention_s is None else now_ns - int(retention_s * 1e9)
        while self._finished:
            first = next(iter(self._finished.values()))
            if len(self._finished) <= REMEMBERED_EXECUTIONS and first[2] >= oldest_ns:
                return
            self._finished.popitem(last=False)

    # -- how ------------------------------------------------------------------------------------------------------

    def _build_runner(self) -> EvaluatorRunner | None:
        settings = self._telemetry.settings
        given = settings.evaluators
        if not given:
            return None
        from kaizen_processors.quality.evaluators import Evaluator, evaluator  # noqa: PLC0415 - rarely used
        from kaizen_processors.quality.runner import EvaluatorRunner  # noqa: PLC0415 - rarely used

        named = evaluator(sample_rate=settings.evaluator_sample_rate, timeout_s=settings.evaluator_timeout_s)
        return EvaluatorRunner(
            [one if isinstance(one, Evaluator) else named(one) for one in given],
            self._judged,
            enter=as_evaluator_scope,
            fence=self._telemetry.fence,
        )

    def _judged(self, given: EvaluationInput, evaluation: Evaluation, span_context: SpanContext | None) -> None:
        if evaluation.score is not None:
            self._measure(given.agent_name, evaluation.name, evaluation.score, span_context)
        self._announce(evaluation, given.agent_name, given.execution_id, span_context)

    def _measure(self, agent_name: str, evaluation: str, score: float, span_context: SpanContext | None) -> None:
        instruments = self._telemetry.metrics.instruments
        if instruments is not None:
            labels = {k.AGENT_NAME: agent_name, k.EVALUATION: evaluation}
            recorder = self._telemetry.metrics.recorders.of(self._telemetry.settings_desk.extent_of(agent_name))
            recorder.run(instruments.quality_score.record, score, labels, _context_of(span_context))

    def _announce(
        self,
        evaluation: Evaluation,
        agent_name: str,
        execution_id: str | None,
        span_context: SpanContext | None,
        error_type: str | None = None,
    ) -> None:
        attributes: dict[str, Any] = {g.GEN_AI_EVALUATION_NAME: evaluation.name, g.GEN_AI_AGENT_NAME: agent_name}
        if evaluation.score is not None:
            attributes[g.GEN_AI_EVALUATION_SCORE_VALUE] = evaluation.score
        if evaluation.label is not None:
            attributes[g.GEN_AI_EVALUATION_SCORE_LABEL] = evaluation.label
        if evaluation.explanation is not None:
            attributes[g.GEN_AI_EVALUATION_EXPLANATION] = self._telemetry.content.redacted(evaluation.explanation)
        if error_type is not None:
            attributes[g.ERROR_TYPE] = error_type
        if execution_id is not None and _EXECUTION_ID.fullmatch(execution_id):
            attributes[k.KAIZEN_EXECUTION_ID] = execution_id
        self._telemetry.providers.events.emit(
            events.GEN_AI_EVALUATION_RESULT,
            attributes,
            timestamp_ns=self._telemetry.clock.time_ns(),
            context=_context_of(span_context),
        )

    def _subject(self, execution_id: str | None, span: Span | SpanContext | None) -> tuple[str, SpanContext | None]:
        if execution_id is not None:
            with self._lock:
                known = self._finished.get(execution_id)
            return (NO_AGENT, None) if known is None else known[:2]
        if span is not None:
            span_context = span.get_span_context() if isinstance(span, Span) else span
            with self._lock:
                for name, finished, _ in self._finished.values():
                    if finished.span_id == span_context.span_id and finished.trace_id == span_context.trace_id:
                        return name, span_context
            return NO_AGENT, span_context
        current = current_execution()
        if current is None:
            return NO_AGENT, None
        return current.agent_name, current.span.get_span_context()


@contextmanager
def as_evaluator_scope(name: str) -> Iterator[None]:
    """Let what runs inside be accounted to the evaluator (`evaluator:<name>`), outside every trace."""
    token = otel_context.attach(with_scope(EvaluatorScope(name), Context()))
    try:
        yield
    finally:
        otel_context.detach(token)


def _input_of(agent: AgentInvocation) -> EvaluationInput:
    return EvaluationInput(
        output=agent.output,
        agent_name=agent.agent_name,
        execution_id=agent.execution_id,
        expected_fields=agent.request.expected_fields,
        finish_reasons=agent.finish_reasons,
        error=agent.failure is not None,
    )


def _json_evaluations(agent: AgentInvocation) -> tuple[Evaluation, ...]:
    # What the model wrote is judged, not what Kaizen made of it: some of its surfaces wrap any text in a dictionary.
    if agent.json_answer is None or agent.failure is not None:
        return ()
    found = invalid_json(EvaluationInput(output=agent.json_answer, expects_json=True))
    return () if found is None else (found,)


def _context_of(span_context: SpanContext | None) -> Context | None:
    if span_context is None or not span_context.is_valid:
        return None
    return set_span_in_context(NonRecordingSpan(span_context), Context())
