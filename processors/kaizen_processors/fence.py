"""The seam between our code and the user's: telemetry errors stop here.

Rooms raise normally. Where our code meets a user's call stands one `with fence("what"):`; what is raised inside is
counted by cause, logged once per cause, and goes no further. Process-ending exceptions (`KeyboardInterrupt`,
`SystemExit`, `GeneratorExit`, cancellation) are the user's and always pass.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from kaizen_processors.forking import begin_anew_in_children
from kaizen_processors.saying import say
from kaizen_processors.values import type_name

if TYPE_CHECKING:
    from types import TracebackType

_MAX_CAUSES = 256
"""Causes counted apart; further ones share the name `other`, so that a fence never grows without bound."""


class Fence:
    """Counts and logs telemetry failures, and keeps them from the user's call.

    Example:
        >>> fence = Fence()
        >>> with fence("chat.start"):
        ...     raise RuntimeError("ours")
        >>> fence.counts()
        {'chat.start:RuntimeError': 1}
    """

    def __init__(self) -> None:
        """Start with no failure counted."""
        self._guards: dict[str, Guard] = {}
        self.after_fork_in_child()
        begin_anew_in_children(self)

    def after_fork_in_child(self) -> None:
        """Begin with no failure counted, and with a lock that nobody holds."""
        # Reentrant: the garbage collector may end an abandoned call, and that may fail, in the middle of this.
        self._lock = threading.RLock()
        self._counts: dict[str, int] = {}
        self._mistakes: set[str] = set()
        self._out_of_stack = 0

    def __call__(self, where: str) -> Guard:
        """Give the context manager that swallows and counts what fails at `where`: always the same one."""
        guard = self._guards.get(where)
        return self._guards.setdefault(where, Guard(self, where)) if guard is None else guard

    def caught(self, where: str, error: BaseException, *, told: bool = False) -> None:
        """Count a failure that was caught elsewhere, and log it when it is the first of its cause. Never raises.

        Args:
            where: the place that failed.
            error: what was raised there.
            told: the caller tells of it itself: a mistake of the user's is no failure of telemetry's (`mistakes`).
        """
        try:
            self._count(where, error, told=told)
        except RecursionError:
            # The stack is nearly used up, so this step must not call anything.
            self._out_of_stack += 1

    def counts(self) -> dict[str, int]:
        """Whatever was caught so far, by cause (`where:ExceptionName`): failures and mistakes."""
        with self._lock:
            unnamed = {"stack:RecursionError": self._out_of_stack} if self._out_of_stack else {}
            return self._counts | unnamed

    def failures(self) -> dict[str, int]:
        """What of `counts()` is telemetry's own failure."""
        with self._lock:
            return {cause: count for cause, count in self.counts().items() if cause not in self._mistakes}

    def mistakes(self) -> dict[str, int]:
        """What of `counts()` is the user's mistake, which was told of as one."""
        with self._lock:
            return {cause: count for cause, count in self._counts.items() if cause in self._mistakes}

    def _count(self, where: str, error: BaseException, *, told: bool) -> None:
        cause = f"{where}:{type_name(error)}"
        with self._lock:
            if cause not in self._counts and len(self._counts) >= _MAX_CAUSES:
                cause = "other"
            elif told:
                self._mistakes.add(cause)
            seen = self._counts.get(cause, 0)
            self._counts[cause] = seen + 1
        if not (seen or told):
            _log_once(where, error)


def _log_once(where: str, error: BaseException) -> None:
    # Only the type is logged, with the traceback: the message of a foreign exception may raise or carry content.
    say(
        "telemetry failed at %s (%s); the application is not affected, further failures are only counted",
        where,
        type_name(error),
        error=error,
    )


class Guard:
    """One guarded place, entered by any number of threads at once: it holds nothing of its own while it is.

    A class, not a generator, and kept by those who pass often: entering and leaving costs 0.15 µs instead of 1 µs.
    """

    __slots__ = ("_fence", "_where")

    def __init__(self, fence: Fence, where: str) -> None:
        self._fence = fence
        self._where = where

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        # `kind`, not `isinstance`: a foreign exception may override `__class__`, and raise there.
        if error is None or kind is None or not issubclass(kind, Exception):
            return False
        self._fence.caught(self._where, error)
        return True
