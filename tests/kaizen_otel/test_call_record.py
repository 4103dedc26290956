"""The record of a model call is filled in field by field: none may be forgotten."""

from __future__ import annotations

from kaizen_otel.invocations.call import CallInvocation, CallRequest
from kaizen_otel.settings import Settings
from kaizen_otel.telemetry import Telemetry
from kaizen_processors.execution import CallRecord


def test_the_record_of_a_finished_call_has_every_field() -> None:
    telemetry = Telemetry(Settings(metrics=False))
    with telemetry.call(lambda: CallRequest("chat", "openai", "gpt-4o")) as call:
        pass
    telemetry.shutdown()

    assert isinstance(call, CallInvocation)
    assert call.record is not None
    assert {name for name in CallRecord.__slots__ if hasattr(call.record, name)} == set(CallRecord.__slots__)
