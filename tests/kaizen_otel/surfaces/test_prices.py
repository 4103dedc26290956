"""What a call costs by the user's own prices and by the provider's word, and what is said where it is not known."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from kaizen_otel.demo.model_server import Reply, Rule
from kaizen_otel.invocations.call import CallInvocation, CallRequest
from kaizen_otel.patches.switch import active
from kaizen_otel.testing import capture

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured

COST = "kaizen.usage.cost"
ANSWER = {
    "id": "gen-1",
    "model": "acme/large",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
}
TOKENS = {"prompt_tokens": 1000, "completion_tokens": 100}


def ask() -> None:
    from tests.kaizen_otel.surfaces import scenes

    asyncio.run(scenes.llm_client().complete(scenes.MESSAGES))


def ask_by_preset(server: ModelServer, preset: str, usage: dict[str, Any]) -> None:
    """One chat with the provider that Kaizen has under this name, which counts so."""
    from kaizen.llm.client import LlmClient
    from kaizen.llm.presets import get_preset

    from tests.kaizen_otel.surfaces import scenes

    server.script([Rule(replies=Reply(body=json.dumps({**ANSWER, "usage": usage}).encode()))])
    deployment = get_preset(preset)("k", "acme/large", base_url=server.url, path_prefix="/v1")
    asyncio.run(LlmClient.from_deployment_sync(deployment).complete(scenes.MESSAGES))


def price_file(folder: Path, entry: str) -> Path:
    path = folder / "prices.yaml"
    path.write_text(f"version: acme-1\nprices:\n  - {entry}\n", "utf-8")
    return path


def test_a_file_of_ones_own_prices_a_call(kaizen_offline: ModelServer, tmp_path: Path) -> None:
    path = price_file(tmp_path, "{model: gpt-4o*, input: 10, output: 100}")
    with capture(price_file=path) as captured:
        ask()

    chat = captured.span("chat")
    assert len(kaizen_offline.requests) == 1
    assert (chat[f"{COST}.source"], chat[f"{COST}.price_version"]) == ("override", "acme-1")
    assert (chat[f"{COST}.amount"], chat[f"{COST}.currency"]) == (0.003, "USD")  # 100 and 20 tokens
    assert captured.cost == Decimal("0.003")


def test_a_price_in_another_currency_is_on_the_span_and_in_no_sum(kaizen_offline: ModelServer, tmp_path: Path) -> None:
    path = price_file(tmp_path, "{model: gpt-4o*, currency: EUR, input: 10, output: 100}")
    with capture(price_file=path) as captured:
        ask()
        metrics = captured.metrics()

    chat = captured.span("chat")
    assert len(kaizen_offline.requests) == 1
    assert (chat[f"{COST}.amount"], chat[f"{COST}.currency"]) == (0.003, "EUR")
    assert chat["kaizen.usage.missing.reason"] == "currency"
    assert sum(point.value for point in metrics.get("kaizen.cost.usd", [])) == 0
    (missing,) = metrics["kaizen.usage.missing"]
    assert (missing.value, missing.attributes["reason"]) == (1, "currency")


@pytest.mark.parametrize(
    ("preset", "usage"),
    [
        ("openrouter", {**TOKENS, "cost": 0.0125}),
        ("perplexity", {**TOKENS, "cost": {"input_tokens_cost": 0.0025, "total_cost": 0.0125}}),
        ("openrouter", {"cost": 0.0125}),
    ],
    ids=["openrouter", "perplexity", "no tokens"],
)
def test_what_a_provider_says_that_it_cost_is_the_cost(
    preset: str, usage: dict[str, Any], kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    ask_by_preset(kaizen_offline, preset, usage)

    chat = kaizen_telemetry.span("chat")
    assert chat["gen_ai.provider.name"] == preset
    assert (chat[f"{COST}.amount"], chat[f"{COST}.currency"], chat[f"{COST}.source"]) == (0.0125, "USD", "provider")
    assert f"{COST}.price_version" not in chat.attributes
    assert "kaizen.usage.missing.reason" not in chat.attributes
    assert kaizen_telemetry.cost == Decimal("0.0125")


@pytest.mark.parametrize(
    ("preset", "usage"),
    [
        ("groq", {**TOKENS, "cost": 0.0125}),
        ("openrouter", {**TOKENS, "cost": 0.0125, "is_byok": True}),
        ("openrouter", {**TOKENS, "cost": "a lot"}),
        ("openrouter", {**TOKENS, "cost": -1}),
        ("perplexity", {**TOKENS, "cost": {}}),
    ],
    ids=["unknown currency", "fee alone", "text", "negative", "nothing in it"],
)
def test_what_is_no_whole_cost_in_dollars_is_not_taken_for_one(
    preset: str, usage: dict[str, Any], kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    ask_by_preset(kaizen_offline, preset, usage)

    chat = kaizen_telemetry.span("chat")
    assert f"{COST}.amount" not in chat.attributes
    assert (chat[f"{COST}.source"], chat["kaizen.usage.missing.reason"]) == ("unknown", "price")


def test_a_file_of_ones_own_wins_over_the_providers_word(kaizen_offline: ModelServer, tmp_path: Path) -> None:
    path = price_file(tmp_path, "{model: acme/*, input: 10, output: 100}")
    with capture(price_file=path) as captured:
        ask_by_preset(kaizen_offline, "openrouter", {**TOKENS, "cost": 0.0125})

    chat = captured.span("chat")
    assert (chat[f"{COST}.amount"], chat[f"{COST}.source"]) == (0.02, "override")


def test_a_call_without_the_name_of_a_model_says_so(kaizen_telemetry: Captured) -> None:
    telemetry = active()
    assert telemetry is not None

    def used(call: CallInvocation) -> None:
        call.usage.input_tokens, call.usage.output_tokens = 10, 2

    with telemetry.call(lambda: CallRequest("chat", "openai", None)) as call:
        see: Callable[[Any], None] = used
        call.observe(see)

    assert kaizen_telemetry.span("chat")["kaizen.usage.missing.reason"] == "model"
