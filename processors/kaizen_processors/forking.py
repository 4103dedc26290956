"""What has to begin anew in a forked child: its counts are not its parent's, and a lock may be held by nobody.

And what must not be in the middle of something when the process forks.
"""

from __future__ import annotations

import logging  # noqa: F401 - see the end of this file
import os
import threading
from typing import Final, Protocol

from kaizen_processors.living import Living

_IMPORT_WAIT_S: Final = 2.0
_FORK_WAIT_S: Final = 0.25
_TURN_WAIT_S: Final = 5.0
"""Longer than a fork of another thread takes that waits for a store."""


class Forked(Protocol):
    """Something with state that a child process must not inherit."""

    def after_fork_in_child(self) -> None:
        """Begin anew. Runs in the child, before anything else does."""
        ...


class Still(Protocol):
    """Something that a fork must not meet in the middle of its work."""

    def before_fork(self) -> None:
        """Come to rest, soon: the application waits for it."""
        ...

    def after_fork_in_parent(self) -> None:
        """Go on."""
        ...


_forked: Final[Living[Forked]] = Living()


def begin_anew_in_children(one: Forked) -> None:
    """Call `one.after_fork_in_child()` in every child that is forked while `one` lives."""
    _forked.add(one)


_still: Final[Living[Still]] = Living()


def keep_still_for_forks(one: Still) -> None:
    """Call `one.before_fork()` before every fork while `one` lives, and `one.after_fork_in_parent()` after it."""
    _still.add(one)


class _Importing:
    """Keeps forks out of the imports of our own threads.

    A child that is forked while another thread imports a module can never import it: the lock of the module is held by
    a thread that it does not have (CPython 3.11 to 3.13).
    """

    def __init__(self) -> None:
        self.after_fork_in_child()
        begin_anew_in_children(self)
        keep_still_for_forks(self)

    def after_fork_in_child(self) -> None:
        self._lock = threading.RLock()
        self._still = False

    def before_fork(self) -> None:
        self._still = self._lock.acquire(timeout=_IMPORT_WAIT_S)

    def after_fork_in_parent(self) -> None:
        if self._still:
            self._still = False
            self._lock.release()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


importing: Final = _Importing()
"""`with importing:` around an import that a thread of ours does when it is needed."""


class CallInFlight:
    """A call that a fork must not meet in its middle: `with in_flight:` around it, one at a time.

    A fork waits for it, but once only for each call, and a quarter of a second at most.
    """

    def __init__(self) -> None:
        """No call yet."""
        self.after_fork_in_child()
        begin_anew_in_children(self)
        keep_still_for_forks(self)

    def after_fork_in_child(self) -> None:
        """No call is in flight here."""
        self._calling = threading.Lock()
        self._hangs = False
        self._still = False

    def before_fork(self) -> None:
        """Let the call end first."""
        self._still = self._calling.acquire(timeout=0 if self._hangs else _FORK_WAIT_S)
        self._hangs = not self._still

    def after_fork_in_parent(self) -> None:
        """Let calls go on."""
        if self._still:
            self._still = False
            self._calling.release()

    def __enter__(self) -> None:
        self._calling.acquire()
        self._hangs = False

    def __exit__(self, *_: object) -> None:
        self._calling.release()


class _Turn:
    """Whose fork it is: what keeps still notes that it does, which is a note of one fork.

    Who does not get its turn (another thread forks, and waits for a lock that this one holds) forks without: nothing
    keeps still for it. So does a signal handler that forks in the middle of the fork of its thread.
    """

    def __init__(self) -> None:
        self.begin_anew()

    def begin_anew(self) -> None:
        self._lock = threading.RLock()
        self._thread: int | None = None
        self._depth = 0

    def take(self) -> bool:
        """Whether it has begun with this."""
        if not self._lock.acquire(timeout=_TURN_WAIT_S):
            return False
        self._thread = threading.get_ident()
        self._depth += 1
        return self._depth == 1

    def ends(self) -> bool:
        """Whether it ends with this fork."""
        if self._thread != threading.get_ident():
            return False
        if self._depth == 1:
            return True
        self._depth -= 1
        self._lock.release()
        return False

    def give_back(self) -> None:
        self._thread, self._depth = None, 0
        self._lock.release()


_turn: Final = _Turn()


def _before_fork() -> None:
    if _turn.take():
        for one in _still:
            one.before_fork()


def _after_fork_in_parent() -> None:
    if _turn.ends():
        try:
            for one in _still:
                one.after_fork_in_parent()
        finally:
            _turn.give_back()


def _after_fork_in_child() -> None:
    _turn.begin_anew()
    failed: list[Exception] = []
    for one in _forked:
        try:
            one.after_fork_in_child()
        except Exception as error:  # noqa: BLE001 - the others must begin anew even so
            failed.append(error)
    if failed:
        raise failed[0]  # Python says it on stderr, and the child goes on


# What was registered last runs first before a fork. `logging` holds its lock over a fork, and whoever imports a module
# makes loggers: had it registered after us, we would wait here for an import that waits for that lock.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
