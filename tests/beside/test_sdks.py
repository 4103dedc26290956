"""Instrumentations of the vendors' SDKs, below ours and beside it, on real Kaizen: one count for each call."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from kaizen_otel.demo.model_server import Reply, Rule
from tests.beside import scenes
from tests.beside.libraries import Application, counted, under_test

if TYPE_CHECKING:
    from kaizen_otel.demo.model_server import ModelServer

LIBRARY = under_test()

both_orders = pytest.mark.parametrize("ours_first", [True, False], ids=["ours first", "theirs first"])
by_call = pytest.mark.parametrize("call", scenes.CALLS)


def above(application: Application, span: Any) -> str | None:
    found = [one.name for one in application.spans if span.parent and one.context.span_id == span.parent.span_id]
    return found[0] if found else None


@both_orders
@by_call
def test_a_call_of_kaizen_counts_once_as_ours_with_their_span_below(
    ours_first: bool, call: str, application: Application, kaizen_offline: ModelServer
) -> None:
    with application.watched_by(LIBRARY, ours_first=ours_first):
        scenes.CALLS[call](LIBRARY.vendor)
        calls = counted()

    assert len(kaizen_offline.requests) == 1
    assert calls == {"Delegate" if call == "stream" else "none": (1, 1_000, 100)}
    (theirs,) = application.theirs
    assert above(application, theirs) == f"chat {scenes.MODELS[LIBRARY.vendor]}"
    assert len(application.roots()) == 1


@pytest.mark.skipif(LIBRARY.vendor != "openai", reason="Responses are OpenAI's")
@both_orders
@pytest.mark.parametrize("streamed", [False, True])
def test_a_response_counts_once_as_ours_whether_they_see_it_or_not(
    ours_first: bool, streamed: bool, application: Application, kaizen_offline: ModelServer
) -> None:
    with application.watched_by(LIBRARY, ours_first=ours_first):
        asyncio.run(scenes.responses(streamed=streamed))
        calls = counted()

    assert len(kaizen_offline.requests) == 1
    assert calls == {"OpenAICodexAdapter": (1, 1_000, 100)}
    assert [above(application, theirs) for theirs in application.theirs] in ([], ["chat gpt-4o"])
    assert len(application.roots()) == 1


@both_orders
def test_a_refused_call_is_an_error_for_both_and_raises_as_without_us(
    ours_first: bool, application: Application, kaizen_offline: ModelServer
) -> None:
    kaizen_offline.script([Rule(replies=Reply(status=400))])
    with pytest.raises(Exception, match="400") as alone:
        scenes.blocking(LIBRARY.vendor)
    with application.watched_by(LIBRARY, ours_first=ours_first):
        with pytest.raises(Exception, match="400") as beside:
            scenes.blocking(LIBRARY.vendor)
        calls = counted()

    assert beside.type is alone.type
    assert calls == {"none": (1, 0, 0)}
    (theirs,) = application.theirs
    (ours,) = application.ours
    assert not theirs.status.is_ok
    assert not ours.status.is_ok
    assert (ours.attributes or {})["error.type"] == f"{LIBRARY.vendor}.BadRequestError"
    assert above(application, theirs) == ours.name


@both_orders
def test_a_call_of_the_applications_own_is_counted_from_their_span_for_the_agent_around_it(
    ours_first: bool, application: Application, kaizen_offline: ModelServer
) -> None:
    with application.watched_by(LIBRARY, ours_first=ours_first):
        scenes.agent_whose_tool_asks(LIBRARY.vendor)
        scenes.own(LIBRARY.vendor)
        calls = counted()

    assert len(kaizen_offline.requests) == 3
    assert calls == {"desk": (2, 2_000, 200), "none": (1, 1_000, 100)}
    inside, outside = application.theirs
    assert above(application, inside) == "invoke_agent desk"
    assert outside.parent is None


@both_orders
def test_once_both_have_let_go_nothing_is_watched_and_the_call_works(
    ours_first: bool, application: Application, kaizen_offline: ModelServer
) -> None:
    for _ in range(2):
        with application.watched_by(LIBRARY, ours_first=ours_first):
            pass
    for call in scenes.CALLS.values():
        call(LIBRARY.vendor)
    scenes.own(LIBRARY.vendor)

    assert len(kaizen_offline.requests) == 3
    assert application.ours == []
    assert (application.theirs == []) is LIBRARY.lets_go


def test_of_two_that_watch_one_may_let_go_and_the_other_goes_on(
    application: Application, kaizen_offline: ModelServer
) -> None:
    with application.watched_by(LIBRARY, ours=False):
        with application.watched_by():
            scenes.blocking(LIBRARY.vendor)
        scenes.blocking(LIBRARY.vendor)
    with application.watched_by():
        scenes.blocking(LIBRARY.vendor)

    assert len(kaizen_offline.requests) == 3
    assert len(application.ours) == 2
    assert len(application.theirs) == (2 if LIBRARY.lets_go else 3)
    assert len(application.roots()) == 3
