"""Lets budgets see what is spent: an observer of the pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaizen_processors.pipeline import Observer

if TYPE_CHECKING:
    from kaizen_processors.alerts.budgets import BudgetBook
    from kaizen_processors.execution import CallRecord, ExecutionRecord


class Spending(Observer):
    """Books each call with its agent as it ends, and each execution with its user and session.

    A call does not know for whom it was made: users and sessions are charged when the execution ends, with the calls
    that had ended by then.
    """

    def __init__(self, book: BudgetBook) -> None:
        """Book here."""
        self._book = book

    def on_call(self, record: CallRecord) -> None:
        """Charge everything, and the agent."""
        price = record.price
        if price.missing is None and price.amount:
            self._book.charge(price.amount, {"all": "", "agent": record.agent_name})

    def on_execution(self, record: ExecutionRecord) -> None:
        """Charge the user and the session with what the execution itself spent."""
        if record.own.cost_units and (record.user_id or record.session_id):
            self._book.charge(record.own.cost_units, {"user": record.user_id or "", "session": record.session_id or ""})
