"""Slots of our own functions, as an application calls them at run time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import kaizen_otel
from tests.hostile.slot import API, Slots

if TYPE_CHECKING:
    from tests.hostile.stage import Stage

SLOTS = Slots()


def _inside(stage: Stage, **given: Any) -> Any:
    from tests.hostile import fakes

    stage.reached = True
    with kaizen_otel.attributes(**given):
        fakes.Script.run = staticmethod(lambda: {"result": 1})
        return fakes.OddNode().execute()


@SLOTS.add(API)
def attributes_ids(stage: Stage) -> Any:
    return _inside(stage, user_id=stage.value, session_id="s", conversation_id="c")


@SLOTS.add(API)
def attributes_session(stage: Stage) -> Any:
    return _inside(stage, session_id=stage.value)


@SLOTS.add(API)
def attributes_conversation(stage: Stage) -> Any:
    return _inside(stage, conversation_id=stage.value)


@SLOTS.add(API)
def attributes_tags(stage: Stage) -> Any:
    return _inside(stage, tags=stage.value)


@SLOTS.add(API)
def attributes_one_tag(stage: Stage) -> Any:
    return _inside(stage, tags=["fine", stage.value])


@SLOTS.add(API, takes="error outside a loop")
def attributes_body_raises(stage: Stage) -> Any:
    with kaizen_otel.attributes(user_id="u"):
        stage.reached = True
        raise stage.value


@SLOTS.add(API, takes="error outside a loop")
def measure_body_raises(stage: Stage) -> Any:
    with kaizen_otel.measure():
        stage.reached = True
        raise stage.value


def _record(stage: Stage, **given: Any) -> None:
    stage.reached = True
    kaizen_otel.record_evaluation(**{"name": "helpful", "score": 0.5, **given})


@SLOTS.add(API)
def evaluation_name(stage: Stage) -> Any:
    _record(stage, name=stage.value)


@SLOTS.add(API)
def evaluation_score(stage: Stage) -> Any:
    _record(stage, score=stage.value)


@SLOTS.add(API)
def evaluation_texts(stage: Stage) -> Any:
    _record(stage, label=stage.value)
    _record(stage, explanation=stage.value)


@SLOTS.add(API)
def evaluation_execution_id(stage: Stage) -> Any:
    _record(stage, execution_id=stage.value)


@SLOTS.add(API)
def evaluation_span(stage: Stage) -> Any:
    _record(stage, span=stage.value)


@SLOTS.add(API)
def business_figures(stage: Stage) -> Any:
    stage.reached = True
    kaizen_otel.record_business_metrics(user_satisfaction=stage.value, business_value_score=stage.value)
