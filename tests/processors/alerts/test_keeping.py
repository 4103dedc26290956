"""What comes while something is saved is saved next."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from kaizen_processors.alerts.alert import Alert
from kaizen_processors.alerts.keeping import Keeper
from kaizen_processors.fence import Fence
from tests.processors.alerts.support import HandClock, alert

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Kept:
    """A state in memory: the types of the alerts of each saving."""

    may_wait = True

    def __init__(self) -> None:
        self.saved: list[list[str]] = []

    def section(self, name: str) -> dict[str, Any]:
        del name
        return {}

    def save(self, name: str, section: Mapping[str, Any], news: Iterable[Mapping[str, Any]] = ()) -> None:
        del name, section
        self.saved.append([one["type"] for one in news])

    def close(self) -> None:
        pass

    def after_fork_in_child(self) -> None:
        pass


def test_a_note_that_comes_while_nothing_may_be_saved_is_kept() -> None:
    may_save = False

    def make() -> dict[str, Any] | None:
        if may_save:
            return {}
        keeper.note()
        return None

    kept = Kept()
    keeper = Keeper(kept, make, HandClock(), Fence())
    keeper.save(aging=True)
    may_save = True
    keeper.save()
    assert kept.saved == [[]]


def test_a_note_that_comes_while_a_state_is_saved_is_saved_next() -> None:
    class Noting(Kept):
        def save(self, name: str, section: Mapping[str, Any], news: Iterable[Mapping[str, Any]] = ()) -> None:
            super().save(name, section, news)
            if len(self.saved) == 1:
                keeper.note()

    kept = Noting()
    keeper = Keeper(kept, dict, HandClock(), Fence())
    keeper.note()
    for _ in range(3):
        keeper.save()
    assert kept.saved == [[], []]


def test_what_could_not_be_saved_is_tried_again_until_it_is() -> None:
    class Refusing(Kept):
        refusals = 2

        def save(self, name: str, section: Mapping[str, Any], news: Iterable[Mapping[str, Any]] = ()) -> None:
            if self.refusals:
                self.refusals -= 1
                raise OSError
            super().save(name, section, news)

    kept = Refusing()
    keeper = Keeper(kept, dict, HandClock(), fence := Fence())
    for _ in range(4):
        keeper.save(aging=True)  # without a change: it is time to
    assert (kept.saved, fence.counts()) == ([[]], {"alerts.state:OSError": 2})


def test_an_alert_that_has_more_to_say_while_it_is_forgotten_is_saved_again() -> None:
    kept = Kept()
    keeper = Keeper(kept, dict, HandClock(), Fence())
    first, second = alert("first", labels={}), alert("second", labels={})
    assert first.id == second.id
    threads: list[threading.Thread] = []

    class News(dict[str, Alert]):
        def get(self, key: str, default: Any = None) -> Any:
            found = super().get(key, default)
            threads.append(threading.Thread(target=keeper.log, args=(second,)))
            threads[0].start()
            threads[0].join(0.1)  # as far as it gets
            return found

    keeper._news = News()
    keeper.log(first)
    keeper.save()
    threads[0].join(30.0)
    keeper._news = dict(keeper._news)
    keeper.save()
    assert kept.saved == [["first"], ["second"]]


@pytest.mark.parametrize("where", ["making", "saving"])
def test_what_an_interrupt_keeps_from_being_saved_is_saved_next(where: str) -> None:
    interrupted: list[str] = []

    def once(now: str) -> None:
        if now == where and not interrupted:
            interrupted.append(now)
            raise KeyboardInterrupt

    class Interrupted(Kept):
        def save(self, name: str, section: Mapping[str, Any], news: Iterable[Mapping[str, Any]] = ()) -> None:
            once("saving")
            super().save(name, section, news)

    def make() -> dict[str, Any]:
        once("making")
        return {}

    kept = Interrupted()
    keeper = Keeper(kept, make, HandClock(), Fence())
    keeper.log(alert("first", labels={}))
    with pytest.raises(KeyboardInterrupt):
        keeper.save()
    thread = threading.Thread(target=keeper.save)  # no lock is held
    thread.start()
    thread.join(30.0)
    keeper.save()
    assert kept.saved == [["first"]]


def test_an_age_that_an_interrupt_keeps_from_being_saved_is_saved_with_the_next_tick() -> None:
    class Interrupted(Kept):
        failures = 1

        def save(self, name: str, section: Mapping[str, Any], news: Iterable[Mapping[str, Any]] = ()) -> None:
            if self.failures:
                self.failures -= 1
                raise KeyboardInterrupt
            super().save(name, section, news)

    kept = Interrupted()
    keeper = Keeper(kept, dict, HandClock(), Fence())
    with pytest.raises(KeyboardInterrupt):
        keeper.save(aging=True)
    keeper.save(aging=True)
    keeper.save(aging=True)
    assert kept.saved == [[]]
