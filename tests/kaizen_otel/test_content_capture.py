from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from kaizen_otel.demo.script import Reply, ReplyError

if TYPE_CHECKING:
    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured

QUESTION = [{"role": "user", "content": "my mail is ann@example.com"}]


def _complete(**options: Any) -> Any:
    from kaizen.llm.client import LlmClient
    from kaizen.llm.deployment_resolver import resolve_deployment_for

    return asyncio.run(
        LlmClient.from_deployment_sync(resolve_deployment_for("openai", "gpt-4o")).complete(QUESTION, **options)
    )


def test_no_content_is_recorded_by_default(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    _complete()

    assert len(kaizen_offline.requests) == 1
    assert "ann@example.com" not in json.dumps([dict(s.attributes) for s in kaizen_telemetry.spans], default=str)
    assert not [key for key in kaizen_telemetry.span("chat").attributes if "messages" in key]


@pytest.mark.kaizen_otel(content="span")
def test_span_mode_records_redacted_messages(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    result = _complete()

    chat = kaizen_telemetry.span("chat")
    assert len(kaizen_offline.requests) == 1
    assert json.loads(chat["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": "my mail is [redacted:email]"}]}
    ]
    (answer,) = json.loads(chat["gen_ai.output.messages"])
    assert answer["parts"] == [{"type": "text", "content": result["text"]}]
    assert answer["finish_reason"] == "stop"


@pytest.mark.kaizen_otel(content="event")
def test_event_mode_keeps_content_out_of_the_span(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    _complete()

    chat = kaizen_telemetry.span("chat")
    assert len(kaizen_offline.requests) == 1
    assert "gen_ai.input.messages" not in chat.attributes
    (event,) = kaizen_telemetry.events
    assert event.event_name == "gen_ai.client.inference.operation.details"
    assert event.attributes["gen_ai.input.messages"][0]["parts"][0]["content"] == "my mail is [redacted:email]"
    assert f"{event.span_id:016x}" == chat.span_id


@pytest.mark.kaizen_otel(content="event")
def test_the_event_says_whose_call_it_was_and_what_was_offered(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces.test_tools import WEATHER, run_with_tools

    kaizen_offline.script([Reply(text="It rains.")])
    run_with_tools(provider="anthropic", model="claude-sonnet-4-5", system_prompt="Be brief.", tools=[WEATHER])

    assert len(kaizen_offline.requests) == 1
    (event,) = kaizen_telemetry.events
    assert event.attributes["gen_ai.agent.name"] == "desk"
    assert list(event.attributes["gen_ai.system_instructions"]) == [{"type": "text", "content": "Be brief."}]
    (tool,) = event.attributes["gen_ai.tool.definitions"]
    assert tool["name"] == "get_weather"


@pytest.mark.kaizen_otel(content="event")
def test_the_event_of_a_failed_call_names_its_error(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    from kaizen.llm.errors import ProviderError

    kaizen_offline.script([Reply(status=400, error=ReplyError("no", "invalid_request_error"))])
    with pytest.raises(ProviderError):
        _complete()

    (event,) = kaizen_telemetry.events
    assert event.attributes["error.type"] == kaizen_telemetry.span("chat")["error.type"]
    assert "gen_ai.output.messages" not in event.attributes


@pytest.mark.kaizen_otel(content="span")
def test_a_streamed_answer_is_put_together(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    from kaizen.llm.client import LlmClient
    from kaizen.llm.deployment_resolver import resolve_deployment_for

    async def read() -> str:
        client = LlmClient.from_deployment_sync(resolve_deployment_for("openai", "gpt-4o"))
        return "".join([chunk["text"] async for chunk in client.stream(QUESTION)])

    text = asyncio.run(read())

    assert len(kaizen_offline.requests) == 1
    (answer,) = json.loads(kaizen_telemetry.span("chat")["gen_ai.output.messages"])
    assert answer["parts"] == [{"type": "text", "content": text}]


def test_an_error_that_quotes_secrets_is_redacted(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    from kaizen.core.framework import Kaizen

    said = "no account for ann@example.com"
    kaizen_offline.script([Reply(status=400, error=ReplyError(said, "invalid_request_error"))])
    Kaizen().create_agent("qa", {"model": "gpt-4o", "provider": "openai"}).execute(question="hi")

    message = kaizen_telemetry.span("chat").status_message
    assert message is not None
    assert "[redacted:email]" in message
    assert "ann@example.com" not in str([span.status_message for span in kaizen_telemetry.spans])
    assert "ann@example.com" not in str(kaizen_telemetry.executions[0].error_message)
