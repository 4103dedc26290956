"""What one process of all that share a store does for them: judge and notify, keep the file small.

There is a lease for each of the two: only a process that has rules or somebody to tell wants to judge. The holder
renews its lease every two seconds. When it has not for six (it was killed, or suspended) another one takes it; when it
leaves it gives the lease back, and the next beat of any other takes it. Each holder has a token that is one higher than
the last one's: what it saves is refused when it is no longer the newest.

Times are of the monotonic clock, which all processes of a host share and no one can set. After a restart of the host
it begins anew: a lease that was renewed in the future is over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from kaizen_processors.store.database import StoreError

if TYPE_CHECKING:
    from sqlite3 import Connection

    from kaizen_processors.clock import Clock
    from kaizen_processors.store.database import Database

_NS: Final = 10**9
LEASE_S: Final = 6.0
"""With a beat every second a dead holder has its successor within eight."""


LeaseName = Literal["judge", "upkeep"]


class LeaseState(NamedTuple):
    """What the store says of the lease. `worker` 0 is nobody; `since_ns` is in Unix nanoseconds."""

    worker: int
    token: int
    since_ns: int
    renewed_ns: int


def lease_of(connection: Connection, name: LeaseName) -> LeaseState:
    """Read it."""
    found = connection.execute("SELECT worker, token, since_ns, renewed_ns FROM leases WHERE name = ?", (name,))
    return LeaseState(*found.fetchone())


class Lease:
    """This process's claim to a lease.

    Args:
        name: which.
        clock: both of its readings are used.
        length_s: how long it holds without being renewed.

    Attributes:
        token: of the time that it was taken; None when it is not held.
        losses: how often another process was found to have taken it.
    """

    def __init__(self, name: LeaseName, clock: Clock, length_s: float = LEASE_S) -> None:
        """Hold nothing."""
        self._name = name
        self._clock = clock
        self._length_ns = int(length_s * _NS)
        self.token: int | None = None
        self.losses = 0
        self._renewed_ns = 0

    def holds(self) -> bool:
        """Whether it is held now. False from the moment on at which another process may take it, without asking it."""
        return self.token is not None and self._clock.monotonic_ns() - self._renewed_ns < self._length_ns

    def step(self, database: Database, worker: int) -> None:
        """Renew it, take it when it is free, or see that another process has it."""
        now_ns = self._clock.monotonic_ns()
        state = lease_of(database.connection, self._name)
        mine = state.worker == worker and state.token == self.token
        if not mine:
            self._lose()
        if mine and now_ns - self._renewed_ns < self._length_ns // 3:
            return
        if mine or self._is_free(state, now_ns):
            self._take(database, worker)

    def check(self, connection: Connection) -> int:
        """See within a transaction that nobody else has taken it; gives the token.

        Raises:
            StoreError: somebody has.
        """
        if self.token is None or lease_of(connection, self._name).token != self.token:
            raise StoreError("not_holder", "another process holds the lease now")
        return self.token

    def release(self, database: Database) -> None:
        """Give it back, when it is held."""
        token, self.token = self.token, None
        if token is not None:
            with database.write() as connection:
                connection.execute("UPDATE leases SET worker = 0 WHERE name = ? AND token = ?", (self._name, token))

    def forget(self) -> None:
        """Hold nothing: of a forked child, or without a store."""
        self.token = None

    def _take(self, database: Database, worker: int) -> None:
        with database.write() as connection:
            now_ns = self._clock.monotonic_ns()  # we may have waited for others
            state = lease_of(connection, self._name)
            if state.worker == worker and state.token == self.token:
                connection.execute("UPDATE leases SET renewed_ns = ? WHERE name = ?", (now_ns, self._name))
                token = state.token
            elif self._is_free(state, now_ns):
                token = state.token + 1
                connection.execute(
                    "UPDATE leases SET worker = ?, token = ?, since_ns = ?, renewed_ns = ? WHERE name = ?",
                    (worker, token, self._clock.time_ns(), now_ns, self._name),
                )
            else:
                self._lose()
                return
        self.token, self._renewed_ns = token, now_ns

    def _lose(self) -> None:
        self.losses += self.token is not None
        self.token = None

    def _is_free(self, state: LeaseState, now_ns: int) -> bool:
        return state.worker == 0 or not 0 <= now_ns - state.renewed_ns < self._length_ns
