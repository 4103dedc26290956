"""Imported once by the process that the snippets are forked from: what takes Kaizen seconds to import."""

from __future__ import annotations

import importlib

for _name in (
    "genai_prices",
    "kailash.runtime.async_local",
    "kailash.runtime.local",
    "kaizen",
    "kaizen.core.base_agent",
    "kaizen.core.framework",
    "kaizen.llm.client",
    "kaizen.llm.wire_protocols.openai_chat",
    "kaizen.nodes.ai.llm_agent",
    "kaizen.strategies.async_single_shot",
    "kaizen_otel.testing.capture",
    "rich.console",
):
    importlib.import_module(_name)
