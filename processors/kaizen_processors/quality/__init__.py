"""Quality of an execution: structural checks made on the spot, an application's own evaluators made off its path.

`structural_evaluations` judges an answer without a model, before the agent's span ends; `EvaluatorRunner` runs the
application's own evaluators later. `quality_score` is the mean of the scores there are, and None where there are none.
"""

from __future__ import annotations

from kaizen_processors.quality.confidence import confidence_of
from kaizen_processors.quality.evaluation import Evaluation, EvaluationInput, quality_score
from kaizen_processors.quality.evaluators import Evaluator, EvaluatorError, evaluator
from kaizen_processors.quality.runner import EvaluatorRunner, RunnerOptions
from kaizen_processors.quality.structural import structural_evaluations

__all__ = [
    "Evaluation",
    "EvaluationInput",
    "Evaluator",
    "EvaluatorError",
    "EvaluatorRunner",
    "RunnerOptions",
    "confidence_of",
    "evaluator",
    "quality_score",
    "structural_evaluations",
]
