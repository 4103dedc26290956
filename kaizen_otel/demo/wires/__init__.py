"""The HTTP protocols of the model providers, one module each: how a request reads and how an answer is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaizen_otel.demo.wires.anthropic import AnthropicWire
from kaizen_otel.demo.wires.google import GoogleWire
from kaizen_otel.demo.wires.ollama import OllamaWire
from kaizen_otel.demo.wires.openai import OpenAiWire
from kaizen_otel.demo.wires.openai_responses import OpenAiResponsesWire

if TYPE_CHECKING:
    from kaizen_otel.demo.wires.wire import Wire

WIRES: tuple[Wire, ...] = (OpenAiWire(), OpenAiResponsesWire(), AnthropicWire(), OllamaWire(), GoogleWire())

__all__ = ["WIRES"]
