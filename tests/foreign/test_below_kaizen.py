"""Real Kaizen calls, with another library's span around what they send: as the instrumentation of a provider's SDK."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.foreign.replay import LIBRARIES, replayed

if TYPE_CHECKING:
    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured

# kaizen-agents leaves the clients of its adapters open; one is collected whenever it comes about.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.usefixtures("forgotten_clients"),
]


@pytest.fixture
def _watched_requests(monkeypatch: pytest.MonkeyPatch, kaizen_telemetry: Captured, library: str) -> None:
    send = httpx.AsyncClient.send

    async def watched(self: Any, request: Any, **options: Any) -> Any:
        with replayed(kaizen_telemetry.tracer_provider, library):
            return await send(self, request, **options)

    monkeypatch.setattr(httpx.AsyncClient, "send", watched)


@pytest.mark.usefixtures("_watched_requests", "kaizen_offline")
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_completion_counts_once_as_ours(library: str, kaizen_telemetry: Captured) -> None:
    from tests.kaizen_otel.surfaces import scenes

    asyncio.run(scenes.llm_client().complete(scenes.MESSAGES))

    theirs, ours = kaizen_telemetry.spans
    assert theirs.parent_id == ours.span_id, library
    (call,) = kaizen_telemetry.calls
    assert call.usage.input_tokens == ours["gen_ai.usage.input_tokens"] != 1200


@pytest.mark.usefixtures("_watched_requests", "kaizen_offline")
@pytest.mark.parametrize("library", ["genai-openai", "openinference", "traceloop"])
def test_a_stream_counts_once_as_ours(library: str, kaizen_telemetry: Captured) -> None:
    from tests.kaizen_otel.surfaces import scenes

    asyncio.run(scenes.read_stream())

    assert len(kaizen_telemetry.spans) == 2, library
    assert len(kaizen_telemetry.calls) == 1


@pytest.fixture
def _watched_sdk(monkeypatch: pytest.MonkeyPatch, kaizen_telemetry: Captured, library: str) -> None:
    from openai.resources.chat.completions import AsyncCompletions

    create = AsyncCompletions.create

    async def watched(self: Any, **asked: Any) -> Any:
        with replayed(kaizen_telemetry.tracer_provider, library):
            return await create(self, **asked)

    monkeypatch.setattr(AsyncCompletions, "create", watched)


@pytest.mark.usefixtures("_watched_sdk", "kaizen_offline")
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_call_of_kaizen_agents_by_the_vendors_sdk_counts_once_as_ours(
    library: str, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import delegates

    delegates.events_of(delegates.delegate())

    agent = kaizen_telemetry.span("invoke_agent Delegate")
    (ours,) = [span for span in kaizen_telemetry.spans if span.parent_id == agent.span_id]
    assert [span for span in kaizen_telemetry.spans if span.parent_id == ours.span_id], library
    (execution,) = kaizen_telemetry.executions
    assert execution.model_calls == len(kaizen_telemetry.calls) == 1
    assert execution.tokens_input == ours["gen_ai.usage.input_tokens"] != 1200


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_completion_below_their_span_counts_once_as_ours(
    library: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import scenes

    with replayed(kaizen_telemetry.tracer_provider, library):
        asyncio.run(scenes.llm_client().complete(scenes.MESSAGES))

    assert len(kaizen_offline.requests) == 1
    (call,) = kaizen_telemetry.calls
    assert call.usage.input_tokens != 1200
