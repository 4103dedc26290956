"""Who judges, where several processes share a store: takes over from another process, and lays down again.

Every process has an evaluator and the budgets; one of them, the holder of the store's lease, lets them work. It keeps
what stands in the store, and in the state file where one is given, which nobody else opens meanwhile. Its successor
goes on with it: nothing is told twice.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from kaizen_processors.alerts.state_file import ForeignStateError, StateFile, StateInUseError
from kaizen_processors.forking import begin_anew_in_children
from kaizen_processors.store.reader import BUDGET_TERMS_SECTION, BUDGETS_SECTION
from kaizen_processors.store.sections import StoredState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from kaizen_processors.alerts.budgets import BudgetBook
    from kaizen_processors.alerts.evaluator import Evaluator
    from kaizen_processors.alerts.kept import AlertState
    from kaizen_processors.store.store import Store

_logger = logging.getLogger("kaizen_otel")


class Office:
    """One process's evaluator and budgets, in office or not.

    Args:
        store: who holds its lease is in office; so is, on its own, who cannot use it for a minute.
        evaluator: made without a state, and with `in_office` of this as its `leads`.
        state_path: a file that keeps the state, too.
    """

    def __init__(self, store: Store, evaluator: Evaluator, state_path: Path | None) -> None:
        """Be in no office yet."""
        self._store = store
        self._evaluator = evaluator
        self._book: BudgetBook | None = None
        self._state_path = state_path
        self._file_told = False
        self._left = False
        store.stand_for_judge(self.leave)
        self.after_fork_in_child()
        begin_anew_in_children(self)

    def after_fork_in_child(self) -> None:
        """Be in no office: the parent stays in it."""
        self._judging = False
        self._losses = 0
        self._keeps_in_store = False
        self._state: AlertState | None = None
        self._opened = self._book

    def keep_books(self, book: BudgetBook | None) -> None:
        """Count what is spent of these budgets, made without a state, with the other processes; None: of none."""
        if book is not None:
            book.share()
        self._book = book  # who judges takes it over with the next beat: this may be a user's call
        self._store.share_spending(book)

    def in_office(self) -> bool:
        """Whether this process judges and notifies, and has taken over what stood: asked before it does either."""
        return (
            self._judging
            and self._opened is self._book
            and self._losses == self._store.lease.losses
            and self._store.leads()
        )

    def follow(self) -> None:
        """See whether it is this process's turn. Runs with every beat."""
        store = self._store
        if self._left:
            return
        # While nobody has taken over, the evaluator only pauses: the store may be locked for a moment. Somebody may
        # have taken over, and left again, while this process was suspended.
        if self._judging and (self._losses != store.lease.losses or not store.is_unclaimed()):
            self._lay_down()
        if not store.leads():
            return
        if not self._judging:
            self._take_over()
        elif self._opened is not self._book:
            self._open_book()
        elif not self._keeps_in_store and store.lease.holds():  # the store can be used again
            self._keeps_in_store = True
            self._state = state = StoredState(store)
            self._evaluator.keep_in(state)
            if self._book is not None:
                self._book.keep_in(state)

    def leave(self) -> None:
        """Deliver what is waiting, keep what stands, and let another process take over."""
        self._left = True
        if self._judging:
            self._evaluator.close()
            self._judging = False

    def resign(self) -> None:
        """Leave for good, while the process goes on: it has no rules any more."""
        self.leave()
        self._store.stop_sharing(self._book)
        self._store.stand_down(self.leave)

    def _take_over(self) -> None:
        self._losses = self._store.lease.losses
        self._keeps_in_store = self._store.lease.holds()
        self._state = state = self._open_state()
        try:
            self._open_book()
            self._evaluator.resume(state)
        except BaseException:
            if state is not None:  # the next beat opens it again
                state.close()
            raise
        self._judging = True
        self._evaluator.tick()

    def _open_book(self) -> None:
        book = self._book  # a user's call may bring another one meanwhile
        if self._keeps_in_store:
            self._store.save_section(BUDGET_TERMS_SECTION, {} if book is None else book.terms())
            self._bring_in(book)
        if book is not None:
            book.resume(self._state)
        self._opened = book

    def _bring_in(self, book: BudgetBook | None) -> None:
        """Let the store have, once, what budgets of the state file had counted before there was a store."""
        if book is not None and self._state is not None:
            alone = book.spent_alone(self._state)
            if alone:
                self._store.bring_in(alone, BUDGETS_SECTION, book.as_shared(self._state))

    def _lay_down(self) -> None:
        self._judging = False
        self._state = None
        self._evaluator.lay_down()
        if self._book is not None:
            self._book.lay_down()

    def _open_state(self) -> AlertState | None:
        in_store = StoredState(self._store) if self._keeps_in_store else None
        if self._state_path is None:
            return in_store
        try:
            file = StateFile(self._state_path)
        except (OSError, StateInUseError, ForeignStateError) as error:
            # A predecessor that is suspended has it open still.
            if not self._file_told:
                self._file_told = True
                _logger.warning("alerts are not kept in %s: %s", self._state_path, error)
            return in_store
        return file if in_store is None else _Both(in_store, file)


class _Both:
    """The state in the store, and in a file of the application's choice."""

    may_wait = True

    def __init__(self, in_store: StoredState, file: StateFile) -> None:
        self._in_store = in_store
        self._file = file

    def section(self, name: str) -> dict[str, Any]:
        return self._in_store.section(name) or self._file.section(name)

    def save(self, name: str, section: Mapping[str, Any], news: Iterable[Mapping[str, Any]] = ()) -> None:
        # First where it is checked that nobody else has taken over.
        self._in_store.save(name, section, news)
        self._file.save(name, section)

    def close(self) -> None:
        self._in_store.close()
        self._file.close()

    def after_fork_in_child(self) -> None:
        self._in_store.after_fork_in_child()
        self._file.after_fork_in_child()
