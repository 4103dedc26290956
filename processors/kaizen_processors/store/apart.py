"""Work that may have to wait for another process, on a thread of its own: the caller does not wait for that."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_LOOK_S: Final = 0.02
_HELD_UP_S: Final = 0.25
"""How long it may be held up: on a busy disk another connection's short transaction takes as long as a tenth."""


def apart(
    work: Callable[[], object], timeout_s: float, is_held_up: Callable[[], bool], hurry: Callable[[], object]
) -> bool:
    """Do it, and wait for it, but neither longer than `timeout_s` nor while it stays held up; whether it is done.

    Where no thread can be started any more, because the interpreter ends, it is done here, after `hurry`.
    """
    done = threading.Event()

    def run() -> None:
        try:
            work()
        finally:
            done.set()

    try:
        threading.Thread(target=run, name="kaizen-otel-store", daemon=True).start()
    except RuntimeError:
        hurry()
        work()
        return True
    deadline_s = time.monotonic() + timeout_s
    free_s = time.monotonic()  # when it was last seen to get on
    while not done.wait(min(_LOOK_S, max(deadline_s - time.monotonic(), 0.0))):
        now_s = time.monotonic()
        if not is_held_up():
            free_s = now_s
        if now_s >= deadline_s or now_s - free_s >= _HELD_UP_S:
            return False
    return True
