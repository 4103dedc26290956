"""Work on a thread of its own: who waits for it, and how long."""

from __future__ import annotations

import threading

from kaizen_processors.store.apart import apart


class Looks:
    """Another process's hold on the file, as long as so many looks; what it holds up is done then."""

    def __init__(self, held: int | None) -> None:
        self._held = held
        self._looks = 0
        self.over = threading.Event()

    def __call__(self) -> bool:
        self._looks += 1
        if self._held is not None and self._looks > self._held:
            self.over.set()
        return not self.over.is_set()


def test_what_is_held_up_for_a_moment_is_waited_for() -> None:
    looks = Looks(held=2)
    assert apart(looks.over.wait, 60.0, looks, lambda: None)


def test_nobody_waits_for_what_stays_held_up() -> None:
    looks = Looks(held=None)
    try:
        assert not apart(looks.over.wait, 60.0, looks, lambda: None)
    finally:
        looks.over.set()
