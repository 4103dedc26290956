"""The instrumentation of httpx with ours: the header goes out on each request, and names the span that sent it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.beside.libraries import HTTPX, Application, counted
from tests.beside.scenes import ASKING, play, sent

if TYPE_CHECKING:
    from kaizen_otel.demo.model_server import ModelServer

both_orders = pytest.mark.parametrize("ours_first", [True, False], ids=["ours first", "theirs first"])

by_asking = pytest.mark.parametrize("asking", ASKING)


@by_asking
def test_ours_alone_adds_nothing_to_a_request(
    asking: str, application: Application, kaizen_offline: ModelServer
) -> None:
    with application.watched_by():
        play(application, asking)

    assert len(kaizen_offline.requests) == ASKING[asking][1]
    assert sent(kaizen_offline) == []
    assert application.roots() == ["caller"]


@by_asking
def test_httpx_alone_sends_the_trace_of_whoever_asks(
    asking: str, application: Application, kaizen_offline: ModelServer
) -> None:
    with application.watched_by(*HTTPX, ours=False):
        play(application, asking)

    requests = application.by_scope("httpx")
    assert len(requests) == ASKING[asking][1]
    assert sorted(sent(kaizen_offline)) == sorted((one.context.trace_id, one.context.span_id) for one in requests)


@both_orders
@by_asking
def test_with_both_the_request_names_their_span_below_our_call(
    asking: str, ours_first: bool, application: Application, kaizen_offline: ModelServer
) -> None:
    with application.watched_by(*HTTPX, ours_first=ours_first):
        play(application, asking)
        calls = counted()

    count = ASKING[asking][1]
    requests = application.by_scope("httpx")
    assert len(requests) == count
    assert sorted(sent(kaizen_offline)) == sorted((one.context.trace_id, one.context.span_id) for one in requests)
    ours = {span.context.span_id: span.name for span in application.ours}
    assert all(ours[request.parent.span_id].startswith("chat ") for request in requests if request.parent)
    assert application.roots() == ["caller"]
    assert sum(number for number, _, _ in calls.values()) == count
