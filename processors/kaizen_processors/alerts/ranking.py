"""How bad an execution is by what a rule is about, and which of many executions an alert could ever name."""

from __future__ import annotations

from heapq import heappush, heapreplace
from typing import TYPE_CHECKING, Final, NamedTuple

from kaizen_processors.alerts.alert import WORST_LIMIT
from kaizen_processors.money import to_float
from kaizen_processors.windows import LONGEST_S, NS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from kaizen_processors.execution import ExecutionRecord

MOST: Final = 500
"""Executions that one process leaves for the others: about 80 KB."""


class Finished(NamedTuple):
    """What an alert needs to know of an execution: no content, no error text, no user, no session.

    Attributes:
        execution_id: its identity.
        trace_id: 32 hexadecimal digits; empty where it has no trace.
        agent_name: who ran.
        model: what it called.
        status: `success`, `error` or `cancelled`.
        started_ns: when it began, Unix nanoseconds.
        duration_ns: how long it took.
        cost_units: its own cost, in 1e-24 USD.
        tokens: its own, input and output.
        quality_score: from 0 to 1; None where it is not known.
        cost_complete: whether the cost of each of its calls is known; else `cost_units` is a lower bound.
    """

    execution_id: str
    trace_id: str
    agent_name: str
    model: str
    status: str
    started_ns: int
    duration_ns: int
    cost_units: int
    tokens: int
    quality_score: float | None
    cost_complete: bool = True

    @property
    def ended_ns(self) -> int:
        """When it ended, Unix nanoseconds."""
        return self.started_ns + self.duration_ns

    @classmethod
    def of(cls, record: ExecutionRecord) -> Finished:
        """Take it from the whole record."""
        own = record.own
        return cls(
            record.execution_id,
            f"{record.trace_id:032x}" if record.trace_id else "",
            record.agent_name,
            record.model,
            record.status,
            record.start_time_ns,
            record.duration_ns,
            own.cost_units,
            own.input_tokens + own.output_tokens,
            record.quality_score,
            own.complete,
        )


class Rank(NamedTuple):
    """A place among executions: the worst is the greatest. Of equally bad ones it is the one that began last."""

    bad: float
    started_ns: int
    execution_id: str


def rank(condition: str, one: Finished) -> Rank | None:
    """Place an execution by what a condition measures; None where it has no part in that."""
    bad = _BADNESS.get(condition, _duration_ms)(one)
    return None if bad is None else Rank(bad, one.started_ns, one.execution_id)


def figure(condition: str, one: Finished) -> float | None:
    """What makes an execution bad, as it is told; None where its cost is asked for and nothing of it is known."""
    badness = _BADNESS.get(condition, _duration_ms)
    unknown = badness is _cost_usd and not (one.cost_complete or one.cost_units)
    return None if unknown else badness(one)


def namable(executions: Iterable[Finished], now_ns: int, most: int = MOST) -> list[Finished]:
    """Choose those that may be among the worst three of an agent, a model or all, in a window that ends now or later.

    What ended no earlier than an execution is in every window that the execution is in. So three worse ones of its
    agent and model that ended no earlier keep it from ever being named; all others stay. When these are more than
    `most`, times count by their age in powers of two, and then all agents and models together: the worst of all stay
    exact but for the far end of the window.

    Args:
        executions: any; each is taken once.
        now_ns: what is now, Unix nanoseconds. What ended earlier than the longest window is left out.
        most: at most so many, where it is 225 or more: three of five measures at each of fifteen ages.
    """
    kept = [one for one in dict.fromkeys(executions) if one.ended_ns >= now_ns - int(LONGEST_S * NS)]
    for group, ended in ((_pair, _ended), (_pair, _youth), (_all, _youth)):
        kept = _unsurpassed(kept, [group(one) for one in kept], [ended(one, now_ns) for one in kept])
        if len(kept) <= most:
            break
    return kept


def _unsurpassed(executions: list[Finished], groups: Sequence[object], ends: Sequence[int]) -> list[Finished]:
    """Those that fewer than three others of their group surpass which ended no earlier, by some measure."""
    kept: set[int] = set()
    for badness in _MEASURES:
        places = [
            (ends[index], bad, one.started_ns, one.execution_id, index)
            for index, one in enumerate(executions)
            if (bad := badness(one)) is not None
        ]
        places.sort(reverse=True)  # the newest first, of equally old ones the worst
        worst: dict[object, list[Rank]] = {}
        for _, bad, started_ns, execution_id, index in places:
            above, place = worst.setdefault(groups[index], []), Rank(bad, started_ns, execution_id)
            if len(above) < WORST_LIMIT:
                heappush(above, place)
            elif place > above[0]:
                heapreplace(above, place)
            else:
                continue
            kept.add(index)
    return [executions[index] for index in sorted(kept)]


def _pair(one: Finished) -> tuple[str, str]:
    return one.agent_name, one.model


def _all(_: Finished) -> None:
    return None


def _ended(one: Finished, _: int) -> int:
    return one.ended_ns


def _youth(one: Finished, now_ns: int) -> int:
    """Its age in powers of two of ten seconds: 0 in the last ten, -14 a day ago."""
    return -(max(now_ns - one.ended_ns, 0) // (10 * NS)).bit_length()


def _duration_ms(one: Finished) -> float:
    return one.duration_ns / 1e6


def _failed(one: Finished) -> float | None:
    return 1.0 if one.status == "error" else None


def _cost_usd(one: Finished) -> float:
    return to_float(one.cost_units)


def _tokens(one: Finished) -> float:
    return float(one.tokens)


def _lack_of_quality(one: Finished) -> float | None:
    return None if one.quality_score is None else 1.0 - one.quality_score


_BADNESS: Final[Mapping[str, Callable[[Finished], float | None]]] = {
    "error_rate": _failed,
    "success_rate": _failed,
    "cost_per_execution": _cost_usd,
    "cost_per_token": _cost_usd,
    "cost_per_hour": _cost_usd,
    "daily_cost": _cost_usd,
    "tokens_per_second": _tokens,
    "quality_average": _lack_of_quality,
}

_MEASURES: Final = (_duration_ms, *dict.fromkeys(_BADNESS.values()))
