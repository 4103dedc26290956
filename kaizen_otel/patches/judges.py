"""Kaizen's judges: models that score answers. What they ask is an evaluator's, and their verdict is an event.

A judge is told texts, not which execution they come from. So its model calls are accounted to `evaluator:<class>`, in
the caller's trace, and to no execution, not even the one that asks it (docs/adr/0030). A judge inside another, or
inside an evaluator of the application's, is part of that one: there is one verdict.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.trace import get_current_span

from kaizen_otel.invocations.failure import Failure
from kaizen_otel.invocations.scope import (
    JudgeScope,
    SilentScope,
    current_execution,
    current_scope,
    evaluator_above,
    with_scope,
)
from kaizen_otel.invocations.values import attribute_of, bounded_text
from kaizen_otel.patches.context_fix import carried, run_coroutine
from kaizen_otel.patches.coroutines import in_place_of
from kaizen_otel.patches.patcher import Patcher, Surface
from kaizen_otel.patches.switch import active
from kaizen_processors.quality.evaluation import MAX_EXPLANATION_CHARS, MAX_LABEL_CHARS, Evaluation
from kaizen_processors.values import type_name

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from opentelemetry.trace import SpanContext

    from kaizen_otel.telemetry import Telemetry

NOT_QUALITY = frozenset({"RefusalCalibrator"})
"""Judges whose score is no quality: it says how much an answer is a refusal, which may be right."""


def apply_judge(patcher: Patcher, module: Any) -> None:
    """The judge that asks a model."""
    patcher.wrap(module.LLMJudge, "__call__", ask)


def apply_wrappers(patcher: Patcher, module: Any) -> None:
    """The judges that ask another one, once or several times."""
    patcher.wrap(module.FaithfulnessJudge, "__call__", ask)
    patcher.wrap(module.RefusalCalibrator, "__call__", ask)
    patcher.wrap(module.SelfConsistencyJudge, "__call__", ask)
    patcher.wrap(module.SelfConsistencyJudge, "evaluate", ask)


def apply_diagnostics(patcher: Patcher, module: Any) -> None:
    """`LLMDiagnostics` asks its judge in a thread while an event loop is running (2.46)."""
    patcher.wrap(module, "_run_async", run_coroutine)


SURFACES = (
    Surface("kaizen.judges._judge", apply_judge),
    Surface("kaizen.judges._wrappers", apply_wrappers),
    Surface("kaizen.judges.llm_diagnostics", apply_diagnostics),
)


def ask(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`judge(judge_input)`, awaited."""
    telemetry = active()
    call = wrapped(*args, **kwargs)
    if telemetry is None:
        return call
    return in_place_of(call, lambda call: _ask(telemetry, call, instance))


async def _ask(telemetry: Telemetry, call: Awaitable[Any], judge: Any) -> Any:
    around = current_scope()
    name = type_name(judge)
    agent_name = f"evaluator:{name}"
    silent = type(around) is SilentScope or not telemetry.settings_desk.extent_of(agent_name).watches
    if silent or evaluator_above(around) is not None:
        return await call
    try:
        result = await carried(call, with_scope(JudgeScope(agent_name, around)))
    except Exception as error:
        with telemetry.fence("judge.failed"):
            telemetry.quality.record_failure(name, Failure.of(error), span_around())
        raise
    with telemetry.fence("judge.verdict"):
        tell(telemetry, name, result)
    return result


def tell(telemetry: Telemetry, name: str, result: Any) -> None:
    """Report a `JudgeResult`, or the mean of a `SelfConsistencyReport`.

    The score of a comparison is how much the first answer is preferred, and its label the winner: no quality either.
    """
    score = attribute_of(result, "score" if type_name(result) != "SelfConsistencyReport" else "mean_score")
    winner = bounded_text(attribute_of(result, "winner"), MAX_LABEL_CHARS)
    if type(score) not in {int, float} or not 0.0 <= score <= 1.0:
        score = None
    if score is None and not winner:
        return
    reasoning = None
    scope = current_scope()
    extent = telemetry.extent if scope is None or scope.extent is None else scope.extent
    if extent.captures:  # it quotes what is judged
        reasoning = bounded_text(attribute_of(result, "reasoning"), MAX_EXPLANATION_CHARS)
    evaluation = Evaluation(name, score, winner or None, reasoning)
    measured = not winner and name not in NOT_QUALITY
    telemetry.quality.record(evaluation, span=span_around(), measured=measured)


def span_around() -> SpanContext | None:
    """The application's span that the judge is asked in; None inside an execution, which is known by itself."""
    if current_execution() is not None:
        return None
    around = get_current_span().get_span_context()
    return around if around.is_valid else None
