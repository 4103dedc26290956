"""Instrumentations of threads, of tasks, of httpx and of an SDK, all with ours: trees stay whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.beside.libraries import ASYNCIO, HTTPX, THREADING, Application, counted, under_test
from tests.beside.scenes import ASKING, play, sent

if TYPE_CHECKING:
    from kaizen_otel.demo.model_server import ModelServer


LIBRARY = under_test()


@pytest.mark.parametrize("ours_first", [True, False], ids=["ours first", "theirs first"])
@pytest.mark.parametrize("asking", ASKING)
def test_trees_stay_whole_with_threads_and_tasks_watched_as_well(
    asking: str, ours_first: bool, application: Application, kaizen_offline: ModelServer
) -> None:
    everything = (*HTTPX, THREADING, ASYNCIO, LIBRARY)
    with application.watched_by():
        play(application, asking)
        alone = counted()
    beside = Application()
    with beside.watched_by(*everything, ours_first=ours_first):
        play(beside, asking)
        calls = counted()

    assert len({span.context.trace_id for span in beside.spans}) == 1
    assert beside.roots() == ["caller"]
    count = ASKING[asking][1]
    assert len(kaizen_offline.requests) == 2 * count
    assert len(sent(kaizen_offline)) == count
    assert sum(number for number, _, _ in calls.values()) == count
    # Of ours there is what there is without them.
    assert calls == alone
    assert sorted(span.name for span in beside.ours) == sorted(span.name for span in application.ours)
