"""Where in the application's own code a call of Kaizen stands: said beside a mistake that was made there."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_LIBRARIES: Final = frozenset(
    {"kaizen_otel", "kaizen_processors", "kaizen", "kaizen_agents", "kailash", "wrapt", "contextlib"}
)


def call_site() -> str | None:
    """Give `file:line` of the nearest caller that is neither ours nor Kaizen's; None where there is none."""
    for frame in _callers():
        if _module_of(frame).partition(".")[0] not in _LIBRARIES:
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
    return None


def is_called_by(module: str) -> bool:
    """Whether a module, or one within it, is among the callers."""
    return any(f"{_module_of(frame)}.".startswith(f"{module}.") for frame in _callers())


def _callers() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - `inspect.stack` reads the source of every frame
    while frame is not None:
        yield frame
        frame = frame.f_back


def _module_of(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))
