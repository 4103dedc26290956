"""One process's part in a store: it tells what it did, learns what the others did, and may hold the lease.

Everything that touches the file happens in `beat`, every second, on the ticker's thread, and at the end of the process.
What the file system or another process does to it is never raised from there: it is counted, told once, and tried
again; meanwhile the process goes on with what it knows.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from kaizen_processors.forking import begin_anew_in_children, keep_still_for_forks
from kaizen_processors.store import alert_log, blobs, notes
from kaizen_processors.store.apart import apart
from kaizen_processors.store.database import BUSY_S, CorruptStoreError, Database, StoreError, why
from kaizen_processors.store.exchange import Exchange
from kaizen_processors.store.lease import Lease
from kaizen_processors.store.options import DEFAULT_RETENTION_S, StoreOptions
from kaizen_processors.store.sections import save_section, section_of
from kaizen_processors.windows import NS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from kaizen_processors.shared_spending import Purse, SpentKey
    from kaizen_processors.store.blobs import Fold
    from kaizen_processors.store.processes import Worker
    from kaizen_processors.windows import Windows

_logger = logging.getLogger("kaizen_otel")

_RETRY_NS: Final = 10 * NS
_ALONE_AFTER_NS: Final = 60 * NS
_FORK_WAIT_S: Final = BUSY_S + 1.0
"""Longer than a beat takes that waits for another process."""

_CLOSE_WAIT_S: Final = 2.0


class Store:
    """A process's store.

    Attributes:
        path: the file.
        lease: whether this process judges and notifies.

    Args:
        path: the file that all processes of the host share.
        windows: made `aligned`; they are fed from here, and hand over what closes.
        options: how it is kept.
    """

    def __init__(self, path: Path, windows: Windows, options: StoreOptions | None = None) -> None:
        """Touch no file yet."""
        self.path = path
        self._options = options or StoreOptions()
        self._clock = self._options.clock
        self._database = Database(path, self._options.busy_s)
        self._windows = windows
        self.lease = Lease("judge", self._clock, self._options.lease_s)
        self._upkeep = Lease("upkeep", self._clock, self._options.lease_s)
        self._candidate = False
        self._exchange = Exchange(self._database, windows, (self.lease, self._upkeep), self._options)
        self._folds: dict[str, Fold] = {}
        self._leave_office: Callable[[], object] | None = None
        self._last_words: tuple[Callable[[], object], ...] = ()
        self._closed = threading.Event()
        self._begin()
        windows.hand_over_to(self._exchange.outbox)
        begin_anew_in_children(self)
        keep_still_for_forks(self)

    def _begin(self) -> None:
        self._lock = threading.RLock()  # around everything that touches the file
        self._closing = threading.Lock()  # of who closes it, for good
        self._held_for_fork = False
        self._failures: Counter[str] = Counter()
        self._told: set[str] = set()
        self._retry_ns: int | None = None
        self._failing_since_ns: int | None = None
        self._ever_opened = False
        self._set_aside = 0

    # -- forks ----------------------------------------------------------------------------------------------------

    def before_fork(self) -> None:
        """Let a beat end, and close the file: a connection must not come along."""
        self._held_for_fork = self._lock.acquire(timeout=_FORK_WAIT_S)
        if self._held_for_fork:
            self._database.close()

    def after_fork_in_parent(self) -> None:
        """Go on; the next beat opens the file again."""
        if self._held_for_fork:
            self._held_for_fork = False
            self._lock.release()

    def after_fork_in_child(self) -> None:
        """Begin as another worker: what the parent did is the parent's to tell."""
        self._database.abandon()
        self.lease.forget()
        self._upkeep.forget()
        self._exchange.begin_anew()
        self._begin()

    # -- the beat -------------------------------------------------------------------------------------------------

    def beat(self) -> None:
        """Tell, learn, renew or take the lease, and keep the file small where that is this process's part."""
        with self._lock:
            if self._closed.is_set() or (self._retry_ns is not None and self._clock.monotonic_ns() < self._retry_ns):
                return
            try:
                self._turn()
            except CorruptStoreError as error:
                self._failed(error)
                self._replace(error)
            except (sqlite3.Error, OSError, StoreError) as error:
                self._failed(why(error))

    def _turn(self) -> None:
        try:
            if not self._database.is_open:
                self._database.open()
                self._exchange.join()
                self._note()
            self._exchange.tell()
            for lease in (self._upkeep, self.lease) if self._candidate else (self._upkeep,):
                lease.step(self._database, self._exchange.worker)
            if not self._candidate:
                self.lease.release(self._database)
            self._exchange.learn()
            if self._upkeep.holds():
                self._exchange.keep_up(self._folds)
            self._tell_of_losses()
        except sqlite3.Error as error:
            raise why(error) from error
        self._ever_opened = True
        self._retry_ns = self._failing_since_ns = None

    def _tell_of_losses(self) -> None:
        if self._exchange.unreadable:
            told = "something in the store %s makes no sense; it is kept in its table `unreadable`"
            self._tell_once("unreadable", told, self.path)
        if self._exchange.sums_without_room:
            told = "the store %s has no room for the sums of further sessions, users or agents: they count together"
            self._tell_once("room", told, self.path)

    def _note(self) -> None:
        try:
            notes.note(self.path)
        except OSError as error:
            self._tell_once("note", "the store cannot be found by pid: %s", error)

    def _failed(self, error: StoreError) -> None:
        now_ns = self._clock.monotonic_ns()
        self._failures[error.reason] += 1
        if self._failing_since_ns is None:
            self._failing_since_ns = now_ns
        if error.reason in {"locked", "not_holder"}:  # it will be over in a moment
            return
        self._database.close()
        self._retry_ns = now_ns + _RETRY_NS
        if not isinstance(error, CorruptStoreError):
            self._tell_once(
                error.reason,
                "the store %s cannot be used (%s: %s); going on without it: alerts are judged after a minute, by each"
                " process for itself; further failures are only counted",
                self.path,
                error.reason,
                error,
            )

    def _replace(self, error: CorruptStoreError) -> None:
        """Set a broken file aside, and begin a new one."""
        try:
            aside = self._database.set_aside()
            if aside is not None:
                self._set_aside += 1
                _logger.warning(
                    "the store %s is broken (%s); it is kept as %s, a new one begins", self.path, error, aside
                )
            self._turn()
        except (sqlite3.Error, OSError, StoreError) as again:
            self._failed(why(again))

    def _tell_once(self, what: str, message: str, *given: object) -> None:
        if what not in self._told:
            self._told.add(what)
            _logger.warning(message, *given)

    # -- what others ask for --------------------------------------------------------------------------------------

    def stand_for_judge(self, leave: Callable[[], object] | None = None) -> None:
        """Be one of those who may judge and notify: this process has rules, or somebody to tell.

        Args:
            leave: called at the end, before the lease is given back: lays down what is done with it.
        """
        self._candidate = True
        self._leave_office = leave

    def stand_down(self, leave: Callable[[], object] | None = None) -> None:
        """Judge no more, unless somebody else stands meanwhile. The lease is given back with the next beat."""
        if self._leave_office == leave:
            self._candidate = False
            self._leave_office = None

    def leads(self) -> bool:
        """Whether this process judges and notifies: it holds the lease, or the store has failed for a minute.

        Asked without touching the file: it is False from the moment on at which another process may have taken over.
        """
        return self._candidate and not self._closed.is_set() and (self.lease.holds() or self._is_alone())

    def _is_alone(self) -> bool:
        # A minute also where it could never be opened: the four workers of a host begin at once.
        since_ns = self._failing_since_ns
        return since_ns is not None and self._clock.monotonic_ns() - since_ns >= _ALONE_AFTER_NS

    def is_unclaimed(self) -> bool:
        """Whether nobody else has taken over, as far as is known: the lease could not be renewed for a moment."""
        return self.leads() or self.lease.token is not None

    def keep(self, retention_s: float | None) -> None:
        """Keep history for so long; None: a week."""
        self._exchange.retention_s = DEFAULT_RETENTION_S if retention_s is None else retention_s

    def share_spending(self, purse: Purse | None) -> None:
        """Add what these budgets count to what the other processes spend, and tell them the sum; None: of no budget.

        What those of before have counted is still told.
        """
        self._exchange.share(purse)

    def stop_sharing(self, purse: Purse | None) -> None:
        """Add up what these budgets count no more, unless others have taken their place."""
        self._exchange.stop_sharing(purse)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except sqlite3.Error as error:
                raise why(error) from error

    def section(self, name: str) -> dict[str, Any]:
        """What was saved last under a name, by whoever held the lease.

        Raises:
            StoreError: the store cannot be read.
        """
        with self._asking():
            return section_of(self._database.connection, name)

    def save_section(self, name: str, section: Mapping[str, Any], news: Iterable[Mapping[str, Any]] = ()) -> None:
        """Replace a section, and write down at once which alerts began or are over: `news`.

        Raises:
            StoreError: another process holds the lease, or the store cannot be written to.
        """
        with self._asking(), self._database.write() as connection:
            self.lease.check(connection)
            save_section(connection, name, section, self._clock.time_ns())
            alert_log.record(connection, news)

    def bring_in(self, alone: Mapping[SpentKey, int], name: str, section: Mapping[str, Any]) -> None:
        """Add what was spent before there was a store, and note it in a section: only where that is not there yet.

        Raises:
            StoreError: another process holds the lease, or the store cannot be written to.
        """
        with self._asking(), self._database.write() as connection:
            self.lease.check(connection)
            if not section_of(connection, name):
                self._exchange.bring_in(connection, alone)
                save_section(connection, name, section, self._clock.time_ns())

    def put_blob(self, kind: str, data: bytes) -> None:
        """Keep something of this worker's for others to read, from the next beat on. May be called from any thread."""
        self._exchange.blobs[kind] = data

    def write_blob(self, kind: str, data: bytes) -> None:
        """The same, here and now: whoever reads the store afterwards finds it.

        Raises:
            StoreError: it cannot be written; what was kept of this kind stays.
        """
        with self._asking():
            if not self._exchange.worker:
                raise StoreError("closed", "this process has not joined the store yet")
            with self._database.write() as connection:
                blobs.put(connection, self._exchange.worker, kind, data, self._clock.time_ns())
            self._exchange.blobs.pop(kind, None)  # what was to be written with the next beat is older

    def before_the_end(self, say: Callable[[], object]) -> None:
        """Call this before the last is written: what it puts here is kept. It must not raise."""
        self._last_words = (*self._last_words, say)

    def tell_with_slots(self, kind: str, make: Callable[[], bytes | None]) -> None:
        """Keep what `make` gives, too, whenever a slot is told, at once with it, and at the end; None: no change."""
        self._exchange.tell_with_slots(kind, make)

    def fold_blobs(self, kind: str, add: Fold) -> None:
        """Let the holder fold the values of workers that are gone into one: `add(folded so far or None, value)`."""
        self._folds[kind] = add

    def blobs(self, kind: str) -> tuple[list[tuple[Worker, bytes]], bytes | None]:
        """The value of each worker that has one, and the folded one of those that are gone, of one moment.

        Raises:
            StoreError: the store cannot be read.
        """
        with self._asking(), self._database.read() as connection:
            return blobs.blobs_of(connection, kind), blobs.retired_of(connection, kind)

    @property
    def own_workers(self) -> tuple[int, ...]:
        """All numbers that this process ever had in the file."""
        return self._exchange.own

    @property
    def worker(self) -> int:
        """This process's number in the store; 0 before it joined."""
        return self._exchange.worker

    def stats(self) -> dict[str, Any]:
        """Where it is and how it fares, as of the last beat: touches no file. Whether it leads is of this moment."""
        leads = self.leads()
        return {
            "path": str(self.path),
            "open": self._ever_opened and self._failing_since_ns is None,
            "leads": leads,
            **self._exchange.stats(leads=leads),
            "set_aside": self._set_aside,
            "failures": dict(self._failures),
        }

    # -- the end --------------------------------------------------------------------------------------------------

    def apart(self, work: Callable[[], object], timeout_s: float) -> bool:
        """Do something that may have to wait for the file on a thread of its own; whether it was done meanwhile.

        The caller waits as long as it gets on, and not while another process holds the file: it is done afterwards.
        An interrupt of the caller interrupts nothing of it.
        """
        database = self._database
        return apart(work, timeout_s, lambda: database.held_up, lambda: database.hurry(_CLOSE_WAIT_S))

    def flush(self, *, final: bool = False) -> bool:
        """Tell now what was counted, with `final` in the open slot, too; whether all of it is in the store."""
        if final:
            self._windows.hand_over_open()
        else:
            self._windows.tick()
        if not self._lock.acquire(timeout=_CLOSE_WAIT_S):
            return False
        try:
            self._retry_ns = None
            self.beat()
            return not self._exchange.outbox
        finally:
            self._lock.release()

    def shutdown(self, timeout_s: float | None = None) -> bool:
        """Leave: tell what is left, give the lease back; whether all of it is in the store.

        Args:
            timeout_s: how long it waits for other processes, and for a thread that is at it already; None: at the end
                of the process, two seconds.
        """
        if self._closed.is_set():
            return True
        within_s = _CLOSE_WAIT_S if timeout_s is None else timeout_s
        self._database.hurry(within_s)
        if not self._closing.acquire(blocking=False):
            return self._closed.wait(within_s) and not self._exchange.outbox
        try:
            notes.forget()  # first: who instruments again meanwhile notes the same
            if self._leave_office is not None:
                self._leave_office()
            for say in self._last_words:
                say()
            self._windows.hand_over_open()
            self._leave(within_s)
        finally:
            self._windows.hand_over_to(None)
            self._closed.set()
        return not self._exchange.outbox

    def hasten(self) -> None:
        """Nothing: there is no other thread to hurry."""

    def _leave(self, within_s: float) -> None:
        if not self._lock.acquire(timeout=within_s):
            return
        try:
            if self._ever_opened or self._exchange.outbox:
                if not self._database.is_open:
                    self._database.open()
                    self._exchange.join()
                self._exchange.tell(final=True)
                for lease in (self.lease, self._upkeep):
                    lease.release(self._database)
        except (sqlite3.Error, OSError, StoreError) as error:
            self._failed(why(error))
        finally:
            self._database.close()
            self._lock.release()
