"""The support desk when things go worse than in the demo: customers still get an answer, and nothing is raised."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kaizen_otel.demo.model_server import Reply, Rule

if TYPE_CHECKING:
    from kaizen_otel.demo.model_server import ModelServer

TRIAGE = Rule(system="choose the desk", replies=Reply.json({"route": "technical", "confidence": 0.9}))
UNKNOWN_DESK = Rule(replies=Reply.json({"route": "gardening", "confidence": 0.2}))
NO_ANSWER = Rule(system="customer of our app", replies=Reply.rate_limited(retry_after_s=0.01))
BROKEN_STREAM = (
    Rule(system="choose the desk", replies=Reply.json({"route": "orders", "confidence": 0.9})),
    Rule(system="Look up the order", replies=Reply.json({"facts": "Shipped.", "confidence": 0.9})),
    Rule(system="friendly answer", replies=Reply.dropped(after_chunks=2)),
)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize(
    "script",
    [(Rule(replies=Reply.server_error()),), (UNKNOWN_DESK,), (TRIAGE, NO_ANSWER), BROKEN_STREAM],
    ids=["supervisor fails", "unknown desk", "refused for good", "stream breaks"],
)
def test_customer_is_handed_to_a_colleague(kaizen_offline: ModelServer, script: tuple[Rule, ...]) -> None:
    from kaizen_otel.demo.support_desk import HANDED_OVER, TICKETS, Models, SupportDesk

    kaizen_offline.script(script)
    said: list[str] = []
    assert SupportDesk(Models(), said.append).answer(TICKETS[0]) == HANDED_OVER
    assert said[-1] == HANDED_OVER
