"""The silences of one evaluator: those that outlive the process, and those that a file says again when it starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kaizen_processors.alerts.silences import Silence


class SilenceBook:
    """Silences by id. Not safe for threads by itself: the evaluator's lock is held around it."""

    def __init__(self) -> None:
        """Silence nothing."""
        self._silences: dict[str, Silence] = {}
        self._passing: set[str] = set()

    def add(self, silence: Silence, *, keep: bool) -> None:
        """Take one in; `keep`: whether it outlives a restart."""
        self._silences[silence.id] = silence
        (self._passing.discard if keep else self._passing.add)(silence.id)

    def remove(self, silence_id: str) -> bool:
        """End one; False when there is none with this id."""
        return self._silences.pop(silence_id, None) is not None

    def all(self) -> tuple[Silence, ...]:
        """Those that were not over the last time that somebody looked."""
        return tuple(self._silences.values())

    def lasting(self, now_ns: int) -> tuple[Silence, ...]:
        """Those that are not over, Unix nanoseconds; the others are forgotten."""
        self._silences = {key: one for key, one in self._silences.items() if one.ends_at_ns > now_ns}
        return self.all()

    def kept(self) -> dict[str, Silence]:
        """Those that outlive a restart, by id."""
        return {key: one for key, one in self._silences.items() if key not in self._passing}

    def restore(self, kept: Mapping[str, Silence]) -> None:
        """Take in those of another process; what is here already holds."""
        self._silences = {**kept, **self._silences}

    def begin_anew(self) -> None:
        """Forget those that outlive a restart: whoever goes on has them. What a file says holds on."""
        self._silences = {key: one for key, one in self._silences.items() if key in self._passing}
        self._passing &= self._silences.keys()
