"""Ends of processes: the interpreter's exit, and children of multiprocessing and Celery, which never come to `atexit`.

A worker thread alone delivers nothing from a child of `multiprocessing`: such children leave by `os._exit` after their
own finalizers. So each queue registers one of those, again in each child. Celery's children leave past the finalizers,
too (billiard 4.3), but they send a signal before.
"""

from __future__ import annotations

import atexit
import multiprocessing
import threading
import time
import weakref
from multiprocessing.util import Finalize, register_after_fork
from typing import Any, Final, Protocol

import wrapt

from kaizen_processors.forking import begin_anew_in_children
from kaizen_processors.living import Living

_CHILD_EXIT_PRIORITY: Final = 50
"""Before multiprocessing's own finalizers (10 and less) and before the child waits for children of its own."""

_CHILD_CLOSE_PRIORITY: Final = 60
"""Before the queues: what is closed has to be delivered."""

_LAST_MOMENT_S: Final = 0.05


class Ending(Protocol):
    """Something that delivers before the process ends."""

    def shutdown(self, timeout_s: float | None = None) -> bool:
        """Deliver what there is, then end."""
        ...

    def hasten(self) -> None:
        """Start to deliver what there is, without waiting for it."""
        ...


class Closing(Protocol):
    """Something that makes telemetry at the end, to be delivered with the rest."""

    def close_at_exit(self) -> None:
        """Make it now."""
        ...


_live: Final[Living[Ending]] = Living()


class _Exit:
    """When the end of the process began, as far as we saw it."""

    def __init__(self) -> None:
        self.after_fork_in_child()
        begin_anew_in_children(self)

    def after_fork_in_child(self) -> None:
        self.began_s: float | None = None
        self.child_ends = False
        """A finalizer has told that this child ends; the interpreter's own exit shows by its main thread."""


_exit = _Exit()


def end_with_process(one: Ending) -> None:
    """Shut `one` down when this process ends, and its copies when forked children end."""
    _live.add(one)
    register_after_fork(one, _finalize_in_child)
    if multiprocessing.parent_process() is not None:
        _finalize_in_child(one)


def close_with_process(one: Closing) -> None:
    """Call `one.close_at_exit()` when children of `multiprocessing` end, before their queues are shut down.

    At the interpreter's exit it is for `one` to come before the providers that its telemetry goes through.
    """
    register_after_fork(one, _finalize_closing_in_child)
    if multiprocessing.parent_process() is not None:
        _finalize_closing_in_child(one)


def time_left_s(wanted_s: float, cap_s: float) -> float:
    """How long a shutdown may take: `wanted_s`, but at the process's end `cap_s` for all shutdowns together."""
    if threading.main_thread().is_alive() and not _exit.child_ends:
        return wanted_s
    now_s = time.monotonic()
    if _exit.began_s is None:
        _exit.began_s = now_s
        for other in _live:
            other.hasten()
    return min(wanted_s, max(_LAST_MOMENT_S, _exit.began_s + cap_s - now_s))


def _finalize_in_child(one: Ending) -> None:
    Finalize(None, _end, args=(weakref.ref(one),), exitpriority=_CHILD_EXIT_PRIORITY)


def _finalize_closing_in_child(one: Closing) -> None:
    Finalize(None, _close, args=(weakref.ref(one),), exitpriority=_CHILD_CLOSE_PRIORITY)


def _close(reference: weakref.ref[Closing]) -> None:
    one = reference()
    if one is not None:
        one.close_at_exit()


def _end(reference: weakref.ref[Ending]) -> None:
    one = reference()
    if one is not None:
        _exit.child_ends = True
        one.shutdown()


def _end_all() -> None:
    for one in _live:
        one.shutdown()


def _end_with_celery_child(signals: Any) -> None:
    signals.worker_process_shutdown.connect(_celery_child_ends, weak=False)


def _celery_child_ends(**_: Any) -> None:
    _exit.child_ends = True
    _end_all()


wrapt.register_post_import_hook(_end_with_celery_child, "celery.signals")

# Registered when this module is imported, so before any provider that uses a queue: those shut down first.
atexit.register(_end_all)
