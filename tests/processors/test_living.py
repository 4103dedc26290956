"""What is held weakly, and may be read while it changes."""

from __future__ import annotations

import gc

from kaizen_processors.living import Living


class One:
    pass


def test_those_that_are_alive_are_held_once_each_in_their_order() -> None:
    living: Living[One] = Living()
    first, second, third, fourth = (One() for _ in range(4))
    for one in (first, second, first, third, fourth):
        living.add(one)
    living.discard(second)
    living.discard(second)
    del third
    gc.collect()
    assert list(living) == [first, fourth]
    assert len(living) == 2


def test_who_reads_sees_those_that_were_there_when_it_began() -> None:
    living: Living[One] = Living()
    kept = [One(), One()]
    for one in kept:
        living.add(one)
    seen = []
    for one in living:
        seen.append(one)
        kept.append(One())
        living.add(kept[-1])
        living.discard(one)
    assert seen == kept[:2]
    assert list(living) == kept[2:]
