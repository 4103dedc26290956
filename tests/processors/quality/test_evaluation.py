"""What evaluators are given and give back, and the confidence that an agent states itself."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaizen_processors.quality import Evaluation, EvaluationInput, confidence_of, quality_score
from kaizen_processors.quality.evaluation import MAX_TEXT_CHARS


@pytest.mark.parametrize("score", [-0.01, 1.01, math.nan, math.inf, True, "0.5", 10**400])
def test_score_outside_0_to_1_is_refused(score: Any) -> None:
    with pytest.raises(ValueError, match="a score must be a number from 0 to 1"):
        Evaluation("x", score)


@pytest.mark.parametrize(("part", "value"), [("name", ""), ("name", 7), ("label", 7), ("explanation", b"x")])
def test_text_that_is_no_text_is_refused(part: str, value: object) -> None:
    with pytest.raises(ValueError, match="evaluation"):
        Evaluation(**{"name": "x", part: value})  # type: ignore[arg-type]  # what is tested


def test_evaluation_bounds_and_repairs_its_texts() -> None:
    made = Evaluation("x", 1, "l" * 100, "\ud800" + "e" * 5000)

    assert type(made.score) is float
    assert made.label is not None
    assert made.label.startswith("l" * 64 + "…")
    assert made.explanation is not None
    assert made.explanation.encode().startswith("\ufffde".encode())
    assert len(made.explanation) < 2200


@given(st.lists(st.none() | st.floats(0, 1), max_size=8))
def test_quality_is_the_mean_of_the_scores_there_are(scores: list[float | None]) -> None:
    given_scores = [score for score in scores if score is not None]

    quality = quality_score([Evaluation("x", score) for score in scores])

    if given_scores:
        assert quality == pytest.approx(sum(given_scores) / len(given_scores))
        assert 0.0 <= (quality or 0.0) <= 1.0
    else:
        assert quality is None


@pytest.mark.parametrize(
    ("output", "fields", "text"),
    [
        (None, None, None),
        ("hello", None, "hello"),
        ({"answer": "hi", "confidence": 0.9}, None, "hi"),
        ({"answer": "hi", "reason": "why"}, ("answer",), "hi"),
        ({"response": {"content": "hi", "role": "assistant"}}, None, "hi"),
        ({"answer": "hi", "reason": "why"}, ("answer", "reason"), '{"answer": "hi", "reason": "why"}'),
        ({"count": 3}, None, '{"count": 3}'),
        ([1, None], None, "[1, null]"),
    ],
)
def test_output_text_is_the_answer(output: object, fields: tuple[str, ...] | None, text: str | None) -> None:
    given_input = EvaluationInput(output, expected_fields=fields)

    assert given_input.output_text == text
    assert given_input.output_text is given_input.output_text


@pytest.mark.parametrize(
    "output", ["x" * 10**7, {"a": "x" * 10**7}, {"a": ["\x00" * 60_000] * 9}, {str(i): i for i in range(10**5)}]
)
def test_output_text_is_bounded(output: object) -> None:
    text = EvaluationInput(output).output_text

    assert text is not None
    assert len(text) <= MAX_TEXT_CHARS + 60


def test_snapshot_does_not_see_later_changes() -> None:
    nested = {"inner": ["a"]}
    output: dict[str, object] = {"answer": "hi", "nested": nested}
    snapshot = EvaluationInput(output, agent_name="a", execution_id="e", expected_fields=("answer",)).snapshot()

    output["answer"] = "changed"
    nested["inner"].append("b")
    nested.clear()

    assert snapshot.output == {"answer": "hi", "nested": {"inner": ["a"]}}
    assert (snapshot.agent_name, snapshot.execution_id, snapshot.expected_fields) == ("a", "e", ("answer",))
    assert snapshot.size_chars == len("hi") + len("a")


def test_snapshot_of_cyclic_and_huge_output_comes_back() -> None:
    cycle: list[object] = []
    cycle += [cycle] * 1000
    huge = [[i] for i in range(100_000)]

    copied = EvaluationInput(cycle).snapshot().output
    assert isinstance(copied, list)
    assert copied is not cycle
    assert all(entry is copied for entry in copied)
    assert EvaluationInput(huge).snapshot().output == huge


@pytest.mark.parametrize(
    ("stated", "confidence"),
    [(0.9, 0.9), (1, 1.0), (0, 0.0), ("0.9", 0.9), (" 1.0 ", 1.0), (".5", 0.5), ("1", 1.0), ("0", 0.0)],
)
def test_confidence_is_read_from_numbers_and_plain_decimals(stated: object, confidence: float) -> None:
    invalid: list[str] = []

    read = confidence_of({"confidence": stated}, invalid.append)

    assert read == confidence
    assert type(read) is float
    assert invalid == []


@pytest.mark.parametrize(
    ("stated", "reason"),
    [
        (True, "type"),
        ([0.9], "type"),
        (Decimal("0.9"), "type"),
        (1.0001, "range"),
        (-0.1, "range"),
        (math.nan, "range"),
        (math.inf, "range"),
        (10**400, "range"),
        ("90%", "text"),
        ("high", "text"),
        ("1e-1", "text"),
        ("nan", "text"),
        ("", "text"),
        ("95", "range"),
        ("\u0660.\u0669", "text"),
        ("0.9" + "0" * 10**6, "text"),
    ],
    ids=lambda _: "",
)
def test_anything_else_is_no_confidence_and_counted(stated: object, reason: str) -> None:
    invalid: list[str] = []

    assert confidence_of({"confidence": stated}, invalid.append) is None
    assert invalid == [reason]
    assert confidence_of({"confidence": stated}) is None


@pytest.mark.parametrize("output", [None, "0.9", 0.9, {}, {"answer": "x"}, {"confidence": None}, ["confidence"]])
def test_no_stated_confidence_is_none_and_not_counted(output: object) -> None:
    invalid: list[str] = []

    assert confidence_of(output, invalid.append) is None
    assert invalid == []


def test_confidence_inside_kaizens_response_is_read() -> None:
    assert confidence_of({"response": {"answer": "x", "confidence": 0.25}}) == 0.25


@given(st.floats(0, 1))
def test_confidence_survives_being_written_as_json(stated: float) -> None:
    assert confidence_of(json.loads(json.dumps({"confidence": stated}))) == stated
