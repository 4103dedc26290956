"""What begins anew in a forked child."""

from __future__ import annotations

import sys
import threading
from typing import Any

import pytest

from kaizen_processors import forking


class Part:
    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.begun = 0

    def after_fork_in_child(self) -> None:
        self.begun += 1
        if self.error is not None:
            raise self.error


def test_a_part_that_fails_does_not_keep_the_others_from_beginning_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [Part(), Part(RuntimeError("broken")), Part()]
    monkeypatch.setattr(forking, "_forked", parts)
    with pytest.raises(RuntimeError, match="broken"):
        forking._after_fork_in_child()  # Python would only say it: it is a hook
    assert [part.begun for part in parts] == [1, 1, 1]


class Waiting:
    """Keeps a fork waiting, and counts how many forks it keeps still for at once."""

    def __init__(self) -> None:
        self.met = threading.Event()
        self.go_on = threading.Event()
        self.now = self.most = self.forks = 0

    def before_fork(self) -> None:
        self.now += 1
        self.forks += 1
        self.most = max(self.most, self.now)
        self.met.set()
        assert self.go_on.wait(30.0)

    def after_fork_in_parent(self) -> None:
        self.now -= 1


def fork() -> None:
    forking._before_fork()
    forking._after_fork_in_parent()


@pytest.mark.parametrize("waits_s", [0.0, 30.0])  # whether the second gives up its turn, or waits for it
def test_two_threads_that_fork_at_once_leave_no_lock_held(monkeypatch: pytest.MonkeyPatch, waits_s: float) -> None:
    free, waiting = forking.CallInFlight(), Waiting()
    monkeypatch.setattr(forking, "_still", [free, waiting])
    monkeypatch.setattr(forking, "_TURN_WAIT_S", waits_s)
    threads = [threading.Thread(target=fork) for _ in range(2)]
    threads[0].start()
    assert waiting.met.wait(30.0)
    threads[1].start()
    if not waits_s:
        threads[1].join(30.0)
    waiting.go_on.set()
    for thread in threads:
        thread.join(30.0)
        assert not thread.is_alive()
    assert (waiting.now, waiting.most, waiting.forks) == (0, 1, 2 if waits_s else 1)
    assert free._calling.acquire(blocking=False)


def test_a_child_forks_though_its_parent_was_forking_on_another_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = Waiting()
    monkeypatch.setattr(forking, "_still", [waiting])
    monkeypatch.setattr(forking, "_forked", [])
    monkeypatch.setattr(forking, "_TURN_WAIT_S", 0.0)
    monkeypatch.setattr(forking, "_turn", forking._Turn())
    thread = threading.Thread(target=forking._before_fork)
    thread.start()
    assert waiting.met.wait(30.0)
    forking._after_fork_in_child()
    waiting.go_on.set()
    thread.join(30.0)
    fork()
    assert waiting.forks == 2


def test_a_signal_handler_may_fork_in_the_middle_of_a_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    class Signalled:
        def before_fork(self) -> None:
            fork()

        def after_fork_in_parent(self) -> None:
            pass

    call = forking.CallInFlight()
    monkeypatch.setattr(forking, "_still", [call, Signalled()])
    fork()
    assert call._calling.acquire(blocking=False)


def test_whatever_another_thread_adds_while_a_fork_is_prepared_every_part_keeps_still(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known: Any = type(forking._still)()
    monkeypatch.setattr(forking, "_still", known)
    monkeypatch.setattr(forking, "_forked", type(forking._forked)())
    parts = [forking.CallInFlight() for _ in range(3)]
    added: list[forking.CallInFlight] = []
    failed: list[Exception] = []

    def add_one(*_: object) -> Any:
        """Stands for another thread, which may come in between any two steps."""
        added.append(forking.CallInFlight())
        return add_one

    def run() -> None:
        sys.settrace(add_one)
        try:
            forking._before_fork()
            stood = [part._still for part in parts]
            forking._after_fork_in_parent()
        except Exception as error:  # noqa: BLE001 - shown by the test
            failed.append(error)
        finally:
            sys.settrace(None)
        assert stood == [True, True, True]

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30.0)
    assert failed == []
    assert added
    assert [part._calling.locked() for part in (*parts, *added)] == [False] * (3 + len(added))
