"""Which agents and models the windows count apart: so many at once, and no longer than something of them is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kaizen_processors.ledger import OVERFLOW
from kaizen_processors.window_tiers import SLOT_S

if TYPE_CHECKING:
    from kaizen_processors.window_tiers import Key

_OVERFLOW_KEY: Final = (OVERFLOW, OVERFLOW)

_FORGET_AFTER: Final = 25 * 3_600 // SLOT_S
_FORGET_EVERY: Final = 300 // SLOT_S


class WindowKeys:
    """The keys counted apart. Not safe for threads: `Windows` holds a lock.

    Args:
        max_keys: how many; further ones count under `overflow`.

    Attributes:
        last_slot: of each key, when something was last counted under it.
    """

    __slots__ = ("_by_agent", "_by_model", "_forgot_at", "_max_keys", "last_slot")

    def __init__(self, max_keys: int) -> None:
        """Know none yet."""
        self._max_keys = max_keys
        self._forgot_at = 0
        self.last_slot: dict[Key, int] = {}
        self._by_agent: dict[str, dict[Key, None]] = {}
        self._by_model: dict[str, dict[Key, None]] = {}

    def admit(self, key: Key, slot: int) -> Key:
        """Give the key to count under: the very one, or `overflow` where there are enough already."""
        if key not in self.last_slot:
            if len(self.last_slot) - (_OVERFLOW_KEY in self.last_slot) >= self._max_keys:
                key = _OVERFLOW_KEY
            self._by_agent.setdefault(key[0], {})[key] = None
            self._by_model.setdefault(key[1], {})[key] = None
        self.last_slot[key] = max(slot, self.last_slot.get(key, 0))
        return key

    def of(self, agent: str | None, model: str | None) -> list[Key]:
        """The keys of an agent, of a model, or of one by the other."""
        if agent is not None and model is not None:
            return [(agent, model)]
        if agent is not None:
            return list(self._by_agent.get(agent, ()))
        return [] if model is None else list(self._by_model.get(model, ()))

    def forget_old(self, now_slot: int) -> None:
        """Let go of keys of which nothing is kept any more: they make room for others."""
        if now_slot - self._forgot_at < _FORGET_EVERY:
            return
        self._forgot_at = now_slot
        before = now_slot - _FORGET_AFTER
        for key in [key for key, slot in self.last_slot.copy().items() if slot < before]:
            del self.last_slot[key]
            for index, name in ((self._by_agent, key[0]), (self._by_model, key[1])):
                index[name].pop(key, None)
                if not index[name]:
                    del index[name]
