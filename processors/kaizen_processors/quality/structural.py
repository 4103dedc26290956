"""Structural evaluators: what can be judged about an answer without asking a model.

Pure functions of an `EvaluationInput`, a few microseconds each, run before the agent's span ends. Each gives an
`Evaluation`, or None where it has nothing to say; only those that said something count in the quality score. A failed
execution is not judged at all: it gave no answer, and the error rate already counts it.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from kaizen_processors.quality.answers import answer_texts, field_value, is_blank, is_empty
from kaizen_processors.quality.evaluation import FAIL, PASS, Evaluation, EvaluationInput
from kaizen_processors.values import entry_of, text_of

if TYPE_CHECKING:
    from collections.abc import Callable

EMPTY: Final = "empty"
TRUNCATED: Final = "truncated"
REFUSAL: Final = "refusal"
INVALID_JSON: Final = "invalid_json"
MISSING_FIELDS: Final = "missing_fields"

STRUCTURAL_NAMES: Final = (EMPTY, TRUNCATED, REFUSAL, INVALID_JSON, MISSING_FIELDS)

_TRUNCATING_REASONS = frozenset(
    {"length", "max_tokens", "max_output_tokens", "max_length", "model_length", "model_context_window_exceeded"}
)
_REFUSING_REASONS = frozenset(
    {"content_filter", "content_filtered", "refusal", "safety", "guardrail_intervened", "prohibited_content"}
)

_MAX_REFUSAL_CHARS = 600
"""A longer answer that begins like a refusal goes on to help."""

_REGRET = (
    r"(?:(?:(?:i am|i'm) )?(?:(?:very|so|truly) )?sorry[,.!]? (?:but )?"
    r"|(?:i apologi[sz]e|my apologies)[,.!]? (?:but )?"
    r"|unfortunately,? (?:but )?)?"
)
_AS_AN_AI = r"(?:as an ai(?: (?:language )?model| assistant)?,? )?"
_INABILITY = (
    r"(?:i (?:can't|cannot|can not|won't|will not|must decline to|am unable to|am not able to)"
    r"|i'm (?:unable|not able) to) "
)
_HELP = (
    r"(?:(?:help|assist)(?: you)?(?: with| in|[.,!;]|$)"
    r"|(?:comply|engage|participate)(?: (?:with|in)|[.,!;]|$)"
    r"|fulfill? (?:this|that|your) "
    r"|(?:do|answer|discuss|support) (?:this|that)\b"
    r"|(?:provide|generate|create|write|produce) (?:this|that|such|instructions|guidance on)\b"
    r"|continue with (?:this|that)\b)"
)
_REFUSAL_OPENING = re.compile(_REGRET + _AS_AN_AI + _INABILITY + _HELP, re.IGNORECASE)

_MAX_JSON_CHARS = 262_144
"""A longer text is not parsed on the application's path, and so not judged."""

_JSON_FENCE = re.compile(r"\s*```(?:json)?\s*\n?(?P<body>.*?)\s*```\s*", re.DOTALL | re.IGNORECASE)
_KAIZEN_JSON_ERROR = "JSON_PARSE_FAILED"
"""What Kaizen's strategies put under `error` when an answer that should be JSON is not (seen in 2.46.1)."""

_MAX_NAMED_FIELDS = 10

# Verdicts never change, so each exists once: making one costs more than reaching it.
_PASSED: Final = {name: Evaluation(name, 1.0, PASS) for name in STRUCTURAL_NAMES}
_IS_EMPTY = Evaluation(EMPTY, 0.0, FAIL, "the execution returned no answer")
_WAS_CUT = Evaluation(TRUNCATED, 0.0, FAIL, "the model stopped at a token limit")
_WAS_STOPPED = Evaluation(REFUSAL, 0.0, FAIL, "the provider reported a refusal or a content filter")
_DECLINES = Evaluation(REFUSAL, 0.0, FAIL, "the answer begins as a refusal")
_NOT_JSON = Evaluation(INVALID_JSON, 0.0, FAIL, "JSON was asked for, the answer is not valid JSON")


def structural_evaluations(given: EvaluationInput) -> tuple[Evaluation, ...]:
    """Run every structural evaluator that applies; none does to a failed execution.

    An empty answer is judged for being empty and for what its finish reason says; that it is no JSON and has no fields
    follows from that, and is not counted again.
    """
    if given.error:
        return ()
    emptiness = empty(given)
    judges = _ANSWER_JUDGES if emptiness.label == PASS else _EMPTY_JUDGES
    found = (emptiness, *(judge(given) for judge in judges))
    return tuple(evaluation for evaluation in found if evaluation is not None)


def empty(given: EvaluationInput) -> Evaluation:
    """Judge whether there is an answer: text or fields that are not blank and not Kaizen's own placeholders."""
    return _IS_EMPTY if is_empty(given.output, given.expected_fields) else _PASSED[EMPTY]


def truncated(given: EvaluationInput) -> Evaluation | None:
    """Judge whether the model was cut off by a token limit; None when it did not say why it stopped."""
    reasons = _folded_reasons(given)
    if not reasons:
        return None
    return _WAS_CUT if reasons & _TRUNCATING_REASONS else _PASSED[TRUNCATED]


def refusal(given: EvaluationInput) -> Evaluation | None:
    """Judge whether the model declined: by its finish reason, or by how a short answer begins.

    Recognised openings are English first-person sentences of inability with a verb of helping ("I'm sorry, but I can't
    help with that"). Everything else counts as an answer: a refusal missed is better than an answer slandered.
    """
    reasons = _folded_reasons(given)
    if reasons & _REFUSING_REASONS:
        return _WAS_STOPPED
    texts = answer_texts(given.output, given.expected_fields)
    if any(map(_opens_as_refusal, texts)):
        return _DECLINES
    return _PASSED[REFUSAL] if texts or reasons else None


def invalid_json(given: EvaluationInput) -> Evaluation | None:
    """Judge whether an answer that should be JSON is; None when none was asked for, or it is too long to parse here."""
    if not (given.expects_json or _kaizen_found_none(given.output)):
        return None
    valid = _is_json(given.output)
    if valid is None:
        return None
    return _PASSED[INVALID_JSON] if valid else _NOT_JSON


def missing_fields(given: EvaluationInput) -> Evaluation | None:
    """Judge which part of the signature's output fields was filled; None when there is no signature."""
    expected = given.expected_fields
    if not expected:
        return None
    missing = [name for name in expected if is_blank(field_value(given.output, name))]
    if not missing:
        return _PASSED[MISSING_FIELDS]
    named = ", ".join(missing[:_MAX_NAMED_FIELDS])
    more = f" and {len(missing) - _MAX_NAMED_FIELDS} more" if len(missing) > _MAX_NAMED_FIELDS else ""
    return Evaluation(MISSING_FIELDS, 1.0 - len(missing) / len(expected), FAIL, f"missing: {named}{more}")


_ANSWER_JUDGES: tuple[Callable[[EvaluationInput], Evaluation | None], ...] = (
    truncated,
    refusal,
    invalid_json,
    missing_fields,
)


def _failure_of(
    judge: Callable[[EvaluationInput], Evaluation | None],
) -> Callable[[EvaluationInput], Evaluation | None]:
    def only_failure(given: EvaluationInput) -> Evaluation | None:
        found = judge(given)
        return found if found is not None and found.label == FAIL else None

    return only_failure


_EMPTY_JUDGES = (_failure_of(truncated), _failure_of(refusal))
"""On an empty answer "not truncated" says nothing good: only failures count."""


def _folded_reasons(given: EvaluationInput) -> set[str]:
    texts = map(text_of, given.finish_reasons)
    return {text.lower() for text in texts if text}


def _opens_as_refusal(text: str) -> bool:
    stripped = text.strip()
    if not stripped or len(stripped) > _MAX_REFUSAL_CHARS:
        return False
    return _REFUSAL_OPENING.match(stripped.replace("\u2019", "'")) is not None


def _is_json(output: object) -> bool | None:
    text = text_of(output)
    if text is None:
        # Kaizen parsed the answer already, or says that it could not.
        return output is not None and not _kaizen_found_none(output)
    if len(text) > _MAX_JSON_CHARS:
        return None
    fenced = _JSON_FENCE.fullmatch(text)
    return _parses(fenced["body"] if fenced else text)


def _kaizen_found_none(output: object) -> bool:
    """Whether Kaizen looked for JSON in the answer, unasked by the caller, and says that it is none."""
    return text_of(entry_of(output, "error")) == _KAIZEN_JSON_ERROR


def _parses(text: str) -> bool:
    try:
        # Numbers are not built: Python refuses integers of more than 4,300 digits, JSON does not.
        json.loads(text, parse_int=_nothing, parse_float=_nothing, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return False
    return True


def _nothing(_digits: str) -> None:
    return None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
