"""Which purse counts is said by a user's call, while the beat tells what was spent."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING

from kaizen_processors.shared_spending import Part, SpentKey
from kaizen_processors.store.purses import Purses

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

KEY = SpentKey("all", "", 0)


class Spent:
    """A purse of which one unit was spent."""

    def __init__(self) -> None:
        self.when_compared: Callable[[], object] = lambda: None

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        self.when_compared()
        return self is other

    def parts(self) -> Mapping[SpentKey, Part]:
        return {KEY: Part(1, 0, 1)}

    def retell(self) -> None:
        pass

    def settle(self, sums: Mapping[SpentKey, int], told: Mapping[SpentKey, Part]) -> None:
        pass


def told_by(purses: Purses) -> list[Spent]:
    telling = purses.telling()
    assert telling is not None
    purses.arrived(telling, tuple({KEY: 1} for _ in telling.told))
    return [purse for purse, _ in telling.told]  # type: ignore[misc]  # there are no others


def test_a_purse_that_comes_while_the_last_one_is_emptied_counts() -> None:
    purses = Purses()
    threads: list[threading.Thread] = []

    def share_at_once() -> None:
        if not threads:
            threads.append(threading.Thread(target=purses.share, args=(new,)))
            threads[0].start()
            threads[0].join(0.1)  # as far as it gets

    old, between, new = Spent(), Spent(), Spent()
    purses.share(old)
    purses.share(between)
    telling = purses.telling()
    assert telling is not None
    old.when_compared = between.when_compared = share_at_once
    purses.arrived(telling, ({KEY: 1}, {KEY: 1}))
    threads[0].join(30.0)
    assert [one is new for one in told_by(purses)] == [False, True]


def test_a_purse_that_counts_again_is_told_once() -> None:
    purses, purse = Purses(), Spent()
    purses.share(purse)
    purses.stop_sharing(purse)
    telling = purses.telling()
    assert telling is not None
    purses.share(purse)
    purses.arrived(telling, ({KEY: 1},))
    assert told_by(purses) == [purse]


def test_there_is_no_news_for_nobody() -> None:
    purses, purse = Purses(), Spent()
    seen = [purses.has_news]
    purses.share(purse)
    seen.append(purses.has_news)
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE spent (budget, whose, began_ns, units, change)")
        purses.learn(connection)
    seen.append(purses.has_news)
    purses.stop_sharing(purse)
    seen.append(purses.has_news)
    assert seen == [False, True, False, False]
