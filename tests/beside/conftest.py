"""Fixtures: one application for each test; the next one begins with unwatched SDKs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from openai.resources.chat.completions import AsyncCompletions, Completions
from openai.resources.responses import AsyncResponses, Responses

from kaizen_otel.demo.model_server import Reply, ReplyUsage, Rule
from tests.beside.libraries import Application

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kaizen_otel.demo.model_server import ModelServer


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let pass what is not ours: clients that Kaizen's adapters leave open, and what Traceloop imports."""
    for item in items:
        for passing in (
            "ignore::ResourceWarning",
            "ignore::pytest.PytestUnraisableExceptionWarning",
            "ignore::pydantic.warnings.PydanticDeprecatedSince20",
        ):
            item.add_marker(pytest.mark.filterwarnings(passing))


@pytest.fixture
def application(kaizen_offline: ModelServer, forgotten_clients: None) -> Iterator[Application]:
    """An application whose models are the model server. A library that never lets go is made to, at the end."""
    del forgotten_clients
    usage = ReplyUsage(input_tokens=1_000, output_tokens=100)
    kaizen_offline.script([Rule(replies=Reply(text='{"answer": "fine"}', usage=usage))])
    before = {owner: vars(owner)["create"] for owner in (Completions, AsyncCompletions, AsyncResponses, Responses)}
    yield Application()
    for owner, create in before.items():
        owner.create = create
