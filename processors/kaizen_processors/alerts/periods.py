"""Hours, days and months as a clock on the wall of some place shows them.

A day lasts from midnight to midnight there: 23 or 25 hours when the clocks change. Where they change at midnight, so
that there is none, the day begins with the change.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

PeriodKind = Literal["hourly", "daily", "monthly"]
PERIODS: Final[tuple[PeriodKind, ...]] = ("hourly", "daily", "monthly")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)
_DECEMBER: Final = 12


def period_of(kind: PeriodKind, zone: ZoneInfo, time_ns: int) -> tuple[int, int]:
    """When the period began that a moment lies in, and when it ends: Unix nanoseconds.

    The hour that is shown twice when clocks go back is two periods.
    """
    moment = datetime.fromtimestamp(time_ns // 1_000_000_000, UTC).astimezone(zone)
    if kind == "hourly":
        return _hour(moment)
    day = moment.date()
    if kind == "daily":
        return _midnight(day, zone), _midnight(day + timedelta(days=1), zone)
    first = day.replace(day=1)
    year, month = (first.year + 1, 1) if first.month == _DECEMBER else (first.year, first.month + 1)
    return _midnight(first, zone), _midnight(date(year, month, 1), zone)


def _hour(moment: datetime) -> tuple[int, int]:
    began = moment.replace(minute=0, second=0, microsecond=0)
    began_ns = _ns(began)
    ends_ns = _ns((began + timedelta(hours=1)).replace(fold=0))
    # The first of two hours with the same name ends where the second begins.
    again_ns = _ns(began.replace(fold=1))
    return began_ns, again_ns if again_ns > began_ns else ends_ns


def _midnight(day: date, zone: ZoneInfo) -> int:
    return _ns(datetime(day.year, day.month, day.day, tzinfo=zone))


def _ns(moment: datetime) -> int:
    return (moment.astimezone(UTC) - _EPOCH) // _SECOND * 1_000_000_000
