"""What an evaluator is given, and what it gives back."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kaizen_processors.quality.answers import answer_texts
from kaizen_processors.redaction import CopyLimits, bounded_copy
from kaizen_processors.redaction.copying import PLAIN

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_TEXT_CHARS = 65_536
"""Longest `EvaluationInput.output_text`; a longer output is cut and says so."""

MAX_LABEL_CHARS = 64
MAX_EXPLANATION_CHARS = 2_048

_SNAPSHOT_DEPTH = 8
_SNAPSHOT_ENTRIES = 10_000
"""Containers beyond these are shared with the application, not copied: a snapshot is taken on its path."""

PASS = "pass"  # noqa: S105 - a verdict, not a secret
FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One judgement of one execution, as `gen_ai.evaluation.result` reports it.

    Args:
        name: What was judged: the evaluator's name.
        score: From 0 (bad) to 1 (good), or None when there is only a label.
        label: A word of low cardinality, such as `pass` or `relevant`.
        explanation: Why, for a human. It may quote content: write into it only what may leave the process.

    Raises:
        ValueError: The score is no number from 0 to 1, or a text is no text.
    """

    name: str
    score: float | None = None
    label: str | None = None
    explanation: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ValueError("an evaluation needs a name")
        object.__setattr__(self, "score", _checked_score(self.score))
        object.__setattr__(self, "label", _checked_text("label", self.label, MAX_LABEL_CHARS))
        explanation = _checked_text("explanation", self.explanation, MAX_EXPLANATION_CHARS)
        object.__setattr__(self, "explanation", explanation)


@dataclass(slots=True, eq=False)
class EvaluationInput:
    """A finished execution, as evaluators see it.

    Args:
        output: What the execution returned: a dictionary of signature fields, a text, or None.
        agent_name: The agent that ran.
        execution_id: The id of its execution, 32 hexadecimal digits.
        expected_fields: The output fields of the agent's signature, when it has one.
        expects_json: Whether the caller asked for JSON.
        finish_reasons: Why the model stopped, of the response that became the output (several when several choices
            were asked for), as the provider wrote them.
        error: Whether the execution failed.
    """

    output: object = None
    agent_name: str = "none"
    execution_id: str | None = None
    expected_fields: tuple[str, ...] | None = None
    expects_json: bool = False
    finish_reasons: tuple[str, ...] = ()
    error: bool = False
    _text: str | None = field(default=None, init=False, repr=False)
    _text_built: bool = field(default=False, init=False, repr=False)
    size_chars: int = field(default=0, init=False, repr=False)
    """Characters of text that a snapshot keeps alive."""

    @property
    def output_text(self) -> str | None:
        """The output as text, built when first asked for; None when there is no output.

        A text is itself, a Kaizen result is its answer, any other dictionary is its JSON. At most 65,536 characters.
        """
        if not self._text_built:
            self._text = _as_text(self)
            self._text_built = True
        return self._text

    def snapshot(self) -> EvaluationInput:
        """Give a copy whose output the application can no longer change under an evaluator's hands.

        Containers are copied, within bounds; texts are shared, because nobody can change them; other objects are
        shared as they are.
        """
        taken = _Snapshot()
        copied = EvaluationInput(
            output=taken.copy(self.output),
            agent_name=self.agent_name,
            execution_id=self.execution_id,
            expected_fields=self.expected_fields,
            expects_json=self.expects_json,
            finish_reasons=self.finish_reasons,
            error=self.error,
        )
        copied.size_chars = taken.chars
        return copied


def quality_score(evaluations: Iterable[Evaluation]) -> float | None:
    """Give the mean of the scores, or None when no evaluator gave one: no quality without an evaluator."""
    scores = [evaluation.score for evaluation in evaluations if evaluation.score is not None]
    return math.fsum(scores) / len(scores) if scores else None


def _as_text(given: EvaluationInput) -> str | None:
    output = given.output
    if output is None:
        return None
    texts = answer_texts(output, given.expected_fields)
    if texts and len(given.expected_fields or ()) <= 1:
        return PLAIN.text(texts[0], MAX_TEXT_CHARS)
    copied = bounded_copy(output, CopyLimits(max_chars=MAX_TEXT_CHARS))
    if type(copied) is str:
        return copied
    return PLAIN.text(json.dumps(copied, ensure_ascii=False, allow_nan=False), MAX_TEXT_CHARS)


class _Snapshot:
    """Copies the containers of an output, each once, and adds up how much text they hold."""

    __slots__ = ("_copies", "_entries", "chars")

    def __init__(self) -> None:
        self._copies: dict[int, tuple[object, object]] = {}
        self._entries = _SNAPSHOT_ENTRIES
        self.chars = 0

    def copy(self, value: object, depth: int = 0) -> object:
        if type(value) is str:
            self.chars += len(value)
            return value
        if type(value) is dict or type(value) is list:
            return self._container(value, depth)
        return value

    def _container(self, value: dict[object, object] | list[object], depth: int) -> object:
        known = self._copies.get(id(value))
        if known is not None:
            return known[1]
        self._entries -= len(value)
        if self._entries < 0 or depth >= _SNAPSHOT_DEPTH:
            return value
        copied = value.copy()
        # The original stays referenced, so that its id is its own while it is looked up.
        self._copies[id(value)] = (value, copied)
        if isinstance(copied, dict):
            for key, entry in copied.items():
                copied[key] = self.copy(entry, depth + 1)
        else:
            copied[:] = [self.copy(entry, depth + 1) for entry in copied]
        return copied


def _checked_score(score: object) -> float | None:
    if score is None:
        return None
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0.0 <= score <= 1.0:
        raise ValueError("a score must be a number from 0 to 1, or None")
    return float(score)


def _checked_text(what: str, text: object, max_chars: int) -> str | None:
    if text is None:
        return None
    if not isinstance(text, str):
        raise ValueError(f"the {what} of an evaluation must be a text, or None")  # noqa: TRY004 - one error type for a bad evaluation
    return PLAIN.text(text, max_chars)
