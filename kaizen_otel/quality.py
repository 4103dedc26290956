"""The desk where executions are judged: structural evaluators on the spot, the user's own off the path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaizen_processors.quality.confidence import confidence_of
from kaizen_processors.quality.evaluation import EvaluationInput, quality_score
from kaizen_processors.quality.structural import structural_evaluations

if TYPE_CHECKING:
    from kaizen_otel.invocations.agent import AgentInvocation
    from kaizen_otel.telemetry import Telemetry


class QualityDesk:
    """Judges the executions of one telemetry."""

    def __init__(self, telemetry: Telemetry) -> None:
        """Judge as the settings say."""
        self._telemetry = telemetry

    def judge(self, agent: AgentInvocation) -> None:
        """Set confidence and structural quality, before the execution's span ends."""
        if agent.output is None:
            return
        agent.confidence = confidence_of(agent.output)
        if not self._telemetry.settings.structural_quality:
            return
        given = self._input(agent)
        agent.evaluations = structural_evaluations(given)
        agent.quality_score = quality_score(agent.evaluations)

    def evaluate(self, agent: AgentInvocation) -> None:
        """Hand a finished execution to the user's evaluators."""

    def flush(self, timeout_s: float) -> bool:  # noqa: ARG002
        """Wait for evaluators."""
        return True

    def shutdown(self) -> None:
        """Stop evaluators."""

    def _input(self, agent: AgentInvocation) -> EvaluationInput:
        return EvaluationInput(
            output=agent.output,
            agent_name=agent.agent_name,
            execution_id=agent.execution_id,
            expected_fields=agent.request.expected_fields,
            finish_reasons=agent.finish_reasons,
            error=agent.failure is not None,
        )
