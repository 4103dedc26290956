"""From when to when a report is, and the periods that it is cut into."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from kaizen_processors.alerts.durations import parse_duration
from kaizen_processors.alerts.periods import period_of

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

_NS: Final = 1_000_000_000
_MINUTE_S: Final = 60
_HOUR_S: Final = 3_600

_MINUTES_UP_TO_S: Final = 3 * _HOUR_S
_HOURS_UP_TO_S: Final = 2 * 86_400


class Stretch(NamedTuple):
    """From a moment, to another that is not part of it: wall clock, in nanoseconds."""

    since_ns: int
    until_ns: int

    @property
    def length_s(self) -> float:
        """How long it is."""
        return (self.until_ns - self.since_ns) / _NS

    def before(self) -> Stretch:
        """The stretch of the same length that ends where this one begins."""
        return Stretch(2 * self.since_ns - self.until_ns, self.since_ns)


def moment(text: str, zone: ZoneInfo, now_ns: int) -> int:
    """Read a moment: `7d` ago, a date, or a date and time; without an offset as a clock in `zone` shows it.

    Raises:
        ValueError: it is none of that.
    """
    said = text.strip()
    if said == "now":
        return now_ns
    ago_s = parse_duration(said)
    if ago_s is not None:
        return now_ns - int(ago_s * _NS)
    try:
        found = datetime.fromisoformat(said)
    except ValueError:
        allowed = "a time ago such as 90m, 24h, 7d; a date; a date and time such as 2026-03-01T08:00; or now"
        raise ValueError(f"{text!r:.60} is no moment; allowed: {allowed}") from None
    if found.tzinfo is None:
        found = found.replace(tzinfo=zone)
    return round((found - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1)) * 1_000


def stretch(since: str, until: str, zone: ZoneInfo, now_ns: int) -> Stretch:
    """Read both ends, moved outwards to full five minutes, or full hours where they are days ago, but not beyond now.

    What is older is kept in sums of that length: a part of one cannot be told from the rest.

    Raises:
        ValueError: an end is no moment, or the stretch ends before it begins.
    """
    since_ns, until_ns = moment(since, zone, now_ns), moment(until, zone, now_ns)
    if since_ns >= min(until_ns, now_ns):
        raise ValueError(f"--since {since} is not before --until {until}")
    grain_ns = (_MINUTE_S * 5 if now_ns - since_ns <= _HOURS_UP_TO_S * _NS else _HOUR_S) * _NS
    return Stretch(since_ns // grain_ns * grain_ns, min(-(-until_ns // grain_ns) * grain_ns, now_ns))


def grain_of(of: Stretch) -> str:
    """The period that a stretch is cut into: `5 minutes`, `hour` or `day`."""
    if of.length_s <= _MINUTES_UP_TO_S:
        return "5 minutes"
    return "hour" if of.length_s <= _HOURS_UP_TO_S else "day"


def periods(of: Stretch, grain: str, zone: ZoneInfo) -> list[Stretch]:
    """Cut a stretch where a clock in `zone` begins a period; the first and the last may be parts of one."""
    found = []
    at_ns = of.since_ns
    while at_ns < of.until_ns:
        end_ns = min(_end_of(grain, zone, at_ns), of.until_ns)
        found.append(Stretch(at_ns, end_ns))
        at_ns = end_ns
    return found


def _end_of(grain: str, zone: ZoneInfo, at_ns: int) -> int:
    if grain == "5 minutes":
        step_ns = 5 * _MINUTE_S * _NS
        return at_ns - at_ns % step_ns + step_ns
    return period_of("hourly" if grain == "hour" else "daily", zone, at_ns)[1]


def label_of(one: Stretch, grain: str, zone: ZoneInfo) -> str:
    """What a period is called: its day, or when it begins."""
    began = datetime.fromtimestamp(one.since_ns / _NS, zone)
    return began.strftime("%Y-%m-%d" if grain == "day" else "%Y-%m-%d %H:%M")
