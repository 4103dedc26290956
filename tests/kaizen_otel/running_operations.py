"""Operations that run for long, begun by hand, and a clock that goes on meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kaizen_otel.invocations.agent import AgentRequest
from kaizen_otel.invocations.call import CallRequest
from kaizen_otel.patches.switch import active

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kaizen_otel.telemetry import Telemetry
    from kaizen_otel.testing import Captured

INTERVAL_S = 10.0


def telemetry_in_force() -> Telemetry:
    telemetry = active()
    assert telemetry is not None
    return telemetry


def agent(name: str = "desk", **given: Any) -> Any:
    return telemetry_in_force().agent(lambda: AgentRequest(name, object(), **given))


def call() -> Any:
    return telemetry_in_force().call(
        lambda: CallRequest("chat", "openai", "gpt-4o", server_address="api.test", server_port=443)
    )


def used(finished_call: Any, input_tokens: int = 100, output_tokens: int = 10) -> None:
    usage = finished_call.usage
    usage.input_tokens, usage.output_tokens = input_tokens, output_tokens


def names(spans: Sequence[Any]) -> list[str]:
    return [span.name for span in spans]


def wait_and_tick(captured: Captured, seconds: float) -> None:
    captured.clock.advance(seconds)
    captured.tick()
