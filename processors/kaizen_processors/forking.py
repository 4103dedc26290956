"""What has to begin anew in a forked child: its counts are not its parent's, and a lock may be held by nobody."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Forked(Protocol):
    """Something with state that a child process must not inherit."""

    def after_fork_in_child(self) -> None:
        """Begin anew. Runs in the child, before anything else does."""
        ...


_forked: weakref.WeakSet[Forked] = weakref.WeakSet()


def begin_anew_in_children(one: Forked) -> None:
    """Call `one.after_fork_in_child()` in every child that is forked while `one` lives."""
    _forked.add(one)


def _after_fork_in_child() -> None:
    for one in list(_forked):
        one.after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
