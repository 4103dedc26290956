"""Reads the store of an application from another process, which changes nothing in it.

with StoreReader("kaizen-otel.db") as reader:
    print(reader.window(Group(agent="desk"), 3_600).sums.executions)
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from kaizen_processors.clock import SYSTEM_CLOCK
from kaizen_processors.money import from_decimal
from kaizen_processors.shared_spending import SpentKey
from kaizen_processors.store import alert_log, blobs, history, spent
from kaizen_processors.store.database import BUSY_S, CorruptStoreError, StoreError, check_whose, why
from kaizen_processors.store.header import Whose, connect_to_read
from kaizen_processors.store.lease import LeaseState, lease_of
from kaizen_processors.store.processes import Worker, workers_of
from kaizen_processors.store.rows import ending_after, select
from kaizen_processors.store.schema import VERSION
from kaizen_processors.store.sections import section_of
from kaizen_processors.windows import EVERYTHING, NS, SLOT_NS, Group, Window

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from kaizen_processors.clock import Clock
    from kaizen_processors.slot_rows import SlotRow
    from kaizen_processors.store.history import Period

ALERTS_SECTION: Final = "alerts"
BUDGETS_SECTION: Final = "budgets"
BUDGET_TERMS_SECTION: Final = "budget_terms"


class BudgetStanding(NamedTuple):
    """What one key has spent of a budget in the period that it is now. Money in 1e-24 USD, times in Unix nanoseconds.

    Attributes:
        budget: its name.
        per: `all`, or whose budget it is: `agent`, `user`, `session`.
        whose: which one of them; empty for all.
        period: `hourly`, `daily` or `monthly`.
        began_ns: of the period.
        ends_ns: its end.
        spent_units: what was spent.
        limit_units: what may be.
        raised: the percentages at which an alert was raised.
    """

    budget: str
    per: str
    whose: str
    period: str
    began_ns: int
    ends_ns: int
    spent_units: int
    limit_units: int
    raised: tuple[int, ...]


class Spending(NamedTuple):
    """What was spent of budgets. Money in 1e-24 USD.

    Attributes:
        told_apart: by each that the store tells apart.
        together: by all others, for whom there was no room, by the budget's name; only where there are such.
    """

    told_apart: list[BudgetStanding]
    together: dict[str, int]


class StoreReader:
    """The file of a store, opened for reading.

    Args:
        path: the file.
        clock: its wall clock says what is now.

    Raises:
        FileNotFoundError: there is no such file.
        StoreError: it is no store, of another version, or cannot be read.
    """

    def __init__(self, path: str | Path, clock: Clock = SYSTEM_CLOCK) -> None:
        """Open it."""
        self.path = Path(path)
        self._clock = clock
        if not self.path.is_file():
            raise FileNotFoundError(f"{self.path}: there is no store")
        try:
            self._open, self._state = _opened(self.path)
        except sqlite3.Error as error:
            raise why(error) from error
        self._left: list[sqlite3.Connection] = []

    @property
    def _connection(self) -> sqlite3.Connection:
        if self._state is not None and self._is_out_of_date():
            opened = _opened(self.path)
            self._left.append(self._open)  # somebody may still take rows from it
            self._open, self._state = opened
        return self._open

    def _is_out_of_date(self) -> bool:
        """Whether somebody has written, or begun to, since a file that nobody had open was opened."""
        try:
            return Path(f"{self.path}-wal").exists() or _state_of(self.path) != self._state
        except OSError:
            return False  # it was deleted; what was opened can still be read

    def close(self) -> None:
        """Let go of the file."""
        for connection in (self._open, *self._left):
            connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def now_ns(self) -> int:
        """What is now, in Unix nanoseconds."""
        return self._clock.time_ns()

    def workers(self) -> list[Worker]:
        """Every process that the store remembers; `worker.is_alive(reader.now_ns())` says which still work."""
        return workers_of(self._connection)

    def lease(self) -> LeaseState:
        """Who judges and notifies, and since when."""
        return lease_of(self._connection, "judge")

    def holder(self) -> Worker | None:
        """The worker that judges and notifies; None when nobody does."""
        holder = self.lease().worker
        return next((worker for worker in self.workers() if worker.id == holder), None)

    def began_ns(self) -> int | None:
        """The beginning of the oldest slot, in Unix nanoseconds; None when there is none."""
        return history.began_ns(self._connection)

    def groups(self, window_s: float = 86_400.0) -> list[Group]:
        """Every pair of agent and model that did something in the last seconds."""
        return history.groups_since(self._connection, self.now_ns() - int(window_s * NS))

    def window(self, group: Group = EVERYTHING, window_s: float = 300.0) -> Window:
        """What a group did in the last `window_s` seconds, as far back as the store reaches.

        What is in a slot that is still open is not in the store yet: the last ten seconds, and a second more.
        """
        return history.window_of(self._connection, group, window_s, self.now_ns())

    def history(self, since_ns: int, until_ns: int, step_s: int, group: Group = EVERYTHING) -> list[Period]:
        """Cut a stretch of time into periods of `step_s` seconds, oldest first.

        Raises:
            ValueError: they are shorter than a second, end before they begin, or are more than 100,000.
        """
        return history.history_of(self._connection, since_ns, until_ns, step_s, group)

    def rows_since(self, since_ns: int) -> Iterator[SlotRow]:
        """Every row of the slots that ended after a moment, in no order: for who adds up by other keys."""
        for _, row in select(self._connection, *ending_after(since_ns // SLOT_NS)):
            yield row

    def rows(self, since_ns: int, until_ns: int) -> Iterator[SlotRow]:
        """Every row of the slots that begin in a stretch of time, in no order: for who adds up by other keys.

        A row's time is `number * SLOT_NS`, its length `step * SLOT_NS`.
        """
        first, last = -(-since_ns // SLOT_NS), -(-until_ns // SLOT_NS)
        for _, row in select(self._connection, "s.number >= ? AND s.number < ?", (first, last)):
            yield row

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts that fire now, as handlers get them."""
        standing = section_of(self._connection, ALERTS_SECTION).get("standing", ())
        return [one["alert"] for one in standing if one.get("phase") == "firing" and one.get("alert")]

    def alert_history(self, since_ns: int, until_ns: int) -> list[dict[str, Any]]:
        """The alerts that fired at some time of a stretch, likewise; those that began first first.

        `ends_at` is None where it fires still, and where nobody was there to see its end.
        """
        return alert_log.alerts_between(self._connection, since_ns, until_ns)

    def spending(self) -> Spending:
        """What was spent of each budget in the period that it is now. All sums are of one moment."""
        told_apart: list[BudgetStanding] = []
        together: dict[str, int] = {}
        with self._one_moment() as connection:
            raised = section_of(connection, BUDGETS_SECTION)
            for name, one, identity, period in self._periods_now(connection):
                limit = from_decimal(Decimal(one["limit_usd"]))
                sums = spent.spent_in(connection, [(identity, period[0])])
                if one["per"] != "all" and (units := sums.pop(SpentKey(identity, "", period[0]), 0)):
                    together[name] = units
                for key, units in sorted(sums.items()):
                    record = raised.get(identity, {}).get(key.whose, {}).get(str(period[0]))
                    percents = tuple(sorted(int(percent) for percent in record[2])) if record else ()
                    told_apart.append(
                        BudgetStanding(name, one["per"], key.whose, one["period"], *period, units, limit, percents)
                    )
        return Spending(told_apart, together)

    def budgets(self) -> list[BudgetStanding]:
        """What was spent of each budget in the period that it is now, by each that the store tells apart."""
        return self.spending().told_apart

    def spent_without_room(self) -> dict[str, int]:
        """What was spent of budgets in the period that it is now by those that there was no room to tell apart.

        By the budget's name, in 1e-24 USD; a budget that all were told apart of is not in it.
        """
        return self.spending().together

    def _periods_now(
        self, connection: sqlite3.Connection
    ) -> Iterator[tuple[str, dict[str, Any], str, tuple[int, int]]]:
        """Of each budget its name, its terms, how it counts, and the period that it is now."""
        from zoneinfo import ZoneInfo  # noqa: PLC0415 - loaded when used

        from kaizen_processors.alerts.periods import period_of  # noqa: PLC0415 - loaded when used

        now_ns = self.now_ns()
        for name, one in sorted(section_of(connection, BUDGET_TERMS_SECTION).items()):
            period = period_of(one["period"], ZoneInfo(one["timezone"]), now_ns)
            yield name, one, one.get("identity", name), period

    def blobs(self, kind: str) -> tuple[list[tuple[Worker, bytes]], bytes | None]:
        """The value of this kind of each worker that has one, living or gone, and the folded one of further gone ones.

        Both are of one moment: together they are all.
        """
        with self._one_moment() as connection:
            return blobs.blobs_of(connection, kind), blobs.retired_of(connection, kind)

    @contextmanager
    def _one_moment(self) -> Iterator[sqlite3.Connection]:
        connection = self._connection
        connection.execute("BEGIN")
        try:
            yield connection
        finally:
            connection.execute("COMMIT")


def _opened(path: Path) -> tuple[sqlite3.Connection, tuple[int, int, int] | None]:
    """A connection that writes nothing; and the state of the file, when it shows that state only."""
    state = _state_of(path)
    header = check_whose(path)
    if header.whose is Whose.NOBODYS:
        raise StoreError("empty", "there is no store in it yet: it begins with the application that uses it")
    if header.whose is Whose.BROKEN:
        raise CorruptStoreError("corrupt", "it is broken")
    if header.version < VERSION:
        raise StoreError(
            "older_version",
            f"it has version {header.version} of the tables, and this kaizen-otel reads {VERSION}: the next "
            "application with this version that uses it brings it up to date",
        )
    connection, for_now = connect_to_read(path, BUSY_S)
    return connection, state if for_now else None


def _state_of(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns
