"""Random numbers of our own.

The generator behind the functions of `random` is the application's: one that seeds it must get the same numbers with
and without us.
"""

from __future__ import annotations

import random
from typing import Final

from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import INVALID_SPAN_ID, INVALID_TRACE_ID

from kaizen_processors.forking import begin_anew_in_children


class _Chance(random.Random):
    """Seeded by the operating system, and again in forked children: they must not draw what their parent draws."""

    def after_fork_in_child(self) -> None:
        self.seed()


CHANCE: Final = _Chance()
begin_anew_in_children(CHANCE)


def random_id() -> str:
    """A random id of 32 hex digits."""
    return f"{CHANCE.getrandbits(128):032x}"


class OwnIdGenerator(RandomIdGenerator):
    """Trace and span ids for providers of our own."""

    def generate_span_id(self) -> int:
        """A random id of 64 bits, never the invalid one."""
        while (drawn := CHANCE.getrandbits(64)) == INVALID_SPAN_ID:
            pass
        return drawn

    def generate_trace_id(self) -> int:
        """A random id of 128 bits, never the invalid one."""
        while (drawn := CHANCE.getrandbits(128)) == INVALID_TRACE_ID:
            pass
        return drawn
