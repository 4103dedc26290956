"""Who judges takes the budgets over that a user's call brings, whenever it comes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kaizen_processors.alerts import BudgetBook
from tests.processors.store.host import Host
from tests.processors.store.test_lease import BUDGET, Judge

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_budgets_that_come_while_others_are_taken_over_are_taken_over_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host(tmp_path)
    judge = Judge(host)
    store, office = judge.worker.store, judge.office
    judge.tick()
    assert office.in_office()
    second, third = (BudgetBook([replace(BUDGET, name=name)], clock=host.clock) for name in ("second", "third"))
    save_section = store.save_section

    def save_and_meet_a_call(*given: Any) -> None:
        save_section(*given)
        monkeypatch.undo()
        office.keep_books(third)

    monkeypatch.setattr(store, "save_section", save_and_meet_a_call)
    office.keep_books(second)
    office.follow()
    assert not office.in_office()
    office.follow()
    assert office.in_office()
    store.beat()
    third.spend(5)
    store.beat()
    with host.reader() as reader:
        assert [(one.budget, one.spent_units) for one in reader.budgets()] == [("third", 5)]
    judge.evaluator.close(0.0)
    store.shutdown()
