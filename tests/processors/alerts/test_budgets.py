"""Budgets: exact sums in periods of a place's own clock, each percentage told once."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaizen_processors.alerts.budget import Budget
from kaizen_processors.alerts.budgets import BudgetBook
from kaizen_processors.alerts.periods import PERIODS, period_of
from kaizen_processors.alerts.rule_file import rules_from
from kaizen_processors.alerts.rules import RuleError
from kaizen_processors.alerts.silences import Silence
from kaizen_processors.alerts.spending import Spending
from kaizen_processors.alerts.state_file import StateFile
from kaizen_processors.execution import CallRecord
from kaizen_processors.money import UNITS_PER_USD, from_decimal
from kaizen_processors.pricing.price import Price
from kaizen_processors.usage import Usage
from tests.processors.alerts.support import START_NS, HandClock, Remembering, Scene

if TYPE_CHECKING:
    from pathlib import Path

HOUR_NS = 3_600 * 10**9
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Havana",  # clocks go back at one in the morning: midnight is shown twice
    "America/Santiago",  # clocks go forward at midnight: there is none
    "Asia/Beirut",
    "Australia/Lord_Howe",  # by half an hour
    "Asia/Kathmandu",
    "Pacific/Apia",  # left out a day in 2011
]


def usd(text: str) -> int:
    return from_decimal(Decimal(text))


def at(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * 10**9


class Money:
    """A scene with budgets."""

    def __init__(self, *budgets: Budget, clock: HandClock | None = None, state: StateFile | None = None) -> None:
        self.clock = clock or HandClock()
        self.scene = Scene(clock=self.clock, state=state)
        self.book = BudgetBook(budgets, clock=self.clock, state=state)
        self.scene.evaluator.watch(self.book)

    def spend(self, dollars: str, **whose: Any) -> list[str]:
        """Spend, judge; the messages of what was told with it."""
        self.book.spend(usd(dollars), **whose)
        return self.tick()

    def tick(self, after_s: float = 0.0) -> list[str]:
        before = len(self.scene.channel.seen)
        self.scene.tick(after_s)
        return [
            one.message if one.status == "firing" else f"over: {one.labels['budget']}"
            for one in self.scene.channel.seen[before:]
        ]


def budget(**fields: Any) -> Budget:
    return Budget(**({"name": "money", "limit_usd": "10"} | fields))


def test_each_percentage_is_told_once_in_a_period_and_over_when_the_period_is() -> None:
    spending = Money(budget())
    assert spending.spend("7.99") == []
    assert spending.spend("0.01") == ["80% of the daily budget is spent: $8.00 of $10.00"]
    assert spending.spend("0.50") == []
    assert spending.spend("1.00") == ["95% of the daily budget is spent: $9.50 of $10.00"]
    assert spending.spend("0.50") == ["100% of the daily budget is spent: $10.00 of $10.00"]
    assert spending.spend("90") == []
    assert spending.tick(86_400.0) == ["over: daily 80%", "over: daily 95%", "over: daily 100%"]
    assert spending.tick() == []
    assert spending.spend("8") == ["80% of the daily budget is spent: $8.00 of $10.00"]


def test_of_several_percentages_passed_at_once_only_the_highest_is_told() -> None:
    spending = Money(budget())
    assert spending.spend("10") == ["100% of the daily budget is spent: $10.00 of $10.00"]
    (alert,) = spending.scene.evaluator.alerts()
    assert (alert.severity, alert.value, alert.threshold) == ("critical", 10.0, 10.0)
    assert alert.labels == {"alertname": "money", "severity": "critical", "budget": "daily 100%"}


def test_a_budget_is_used_up_by_exactly_its_limit() -> None:
    spending = Money(budget(limit_usd="0.3", at=(100,)))
    for _ in range(2):
        assert spending.spend("0.1") == []
    spending.book.spend(usd("0.1") - 1)  # 1e-24 dollars less
    assert spending.tick() == []
    spending.book.spend(1)
    assert spending.tick() == ["100% of the daily budget is spent: $0.30 of $0.30"]


@pytest.mark.parametrize(("per", "label"), [("agent", "agent_name"), ("user", "user"), ("session", "session")])
def test_each_agent_user_or_session_has_the_same_limit(per: Any, label: str) -> None:
    spending = Money(budget(per=per, at=(100,)))
    assert spending.spend("9", **{per: "one"}) == []
    assert spending.spend("9", **{per: "two"}) == []
    assert spending.spend("100") == []  # nobody's
    assert spending.spend("1", **{per: "two"}) == [f"100% of the daily budget of {per} two is spent: $10.00 of $10.00"]
    (alert,) = spending.scene.evaluator.alerts()
    assert alert.labels[label] == "two"
    assert spending.book.spent_units("money", "one") == usd("9")


def test_budgets_can_be_silenced() -> None:
    spending = Money(budget())
    spending.scene.evaluator.silence(Silence.of(['budget=~".*80%"'], ends_at="2027-01-01"))
    assert spending.spend("8") == []
    assert spending.spend("2") == ["100% of the daily budget is spent: $10.00 of $10.00"]


def test_a_budget_chooses_its_channels() -> None:
    pager = Remembering("pager")
    clock = HandClock()
    scene = Scene(channels=[pager], clock=clock)
    book = BudgetBook([budget(channels=("pager",)), budget(name="other")], clock=clock)
    scene.evaluator.watch(book)
    book.spend(usd("8"))
    scene.tick()
    assert [one.type for one in pager.seen] == ["money", "other"]
    assert [one.type for one in scene.channel.seen] == ["other"]


def test_money_and_what_was_told_outlive_a_restart(tmp_path: Path) -> None:
    clock = HandClock()
    state = StateFile(tmp_path / "alerts.json")
    spending = Money(budget(), clock=clock, state=state)
    assert spending.spend("8") != []
    assert spending.spend(str(Decimal(1).scaleb(-24))) == []
    state.close()
    clock.advance(600.0)
    spending = Money(budget(), clock=clock, state=StateFile(tmp_path / "alerts.json"))
    assert spending.tick() == []
    assert spending.book.spent_units("money") == usd("8") + 1
    assert spending.spend("1.5") == ["95% of the daily budget is spent: $9.50 of $10.00"]
    assert len(spending.scene.evaluator.alerts()) == 2
    spending.scene.evaluator.close()


def test_a_period_that_ended_while_nobody_ran_is_over_afterwards(tmp_path: Path) -> None:
    clock = HandClock()
    state = StateFile(tmp_path / "alerts.json")
    assert Money(budget(), clock=clock, state=state).spend("8") != []
    state.close()
    clock.advance(2 * 86_400.0)
    spending = Money(budget(), clock=clock, state=StateFile(tmp_path / "alerts.json"))
    assert spending.tick() == ["over: daily 80%"]
    assert spending.book.spent_units("money") == 0
    spending.scene.evaluator.close()


@pytest.mark.parametrize(
    "section", [{"money": 5}, {"money": {"": 5}}, {"money": {"": {"x": [1, 2, {}]}}}, {"gone": {}}]
)
def test_a_state_that_makes_no_sense_counts_nothing(tmp_path: Path, section: dict[str, Any]) -> None:
    state = StateFile(tmp_path / "alerts.json")
    state.save("budgets", section)
    assert BudgetBook([budget()], state=state).spent_units("money") == 0
    state.close()


def test_a_state_that_says_budgets_by_their_names_alone_is_read(tmp_path: Path) -> None:
    state = StateFile(tmp_path / "alerts.json")
    state.save("budgets", {"money": {"": {str(START_NS): [5, 80, {"80": START_NS}]}}})
    book = BudgetBook([budget()], state=state, clock=HandClock())
    assert book.spent_units("money") == 5
    state.close()


def test_a_late_amount_goes_into_the_period_it_was_spent_in() -> None:
    spending = Money(budget())
    spending.clock.advance(3_600.0)
    spending.book.spend(usd("9"), time_ns=START_NS - 1)  # yesterday
    assert spending.tick() == []
    assert spending.book.spent_units("money") == 0


def test_a_clock_that_is_set_back_and_forth_forgets_nothing() -> None:
    spending = Money(budget())
    assert spending.spend("8") != []
    spending.clock.wall_ns -= 86_400 * 10**9
    assert "95% of the daily budget is spent: $9.50 of $10.00" in spending.spend("9.5")
    spending.clock.wall_ns += 86_400 * 10**9
    assert "95% of the daily budget is spent: $9.50 of $10.00" in spending.spend("1.5")


def test_what_has_no_room_is_counted() -> None:
    book = BudgetBook([budget(per="session")], max_keys=2)
    for number in range(5):
        book.spend(10, session=f"s{number}")
    assert book.stats() == {"keys": 2, "over_limit_units": 30, "unreadable": 0}


def test_who_has_been_silent_for_long_is_forgotten() -> None:
    spending = Money(budget(per="session", period="hourly"))
    spending.book.spend(1, session="one")
    spending.tick()
    spending.tick(4 * 3_600.0 + 1)
    assert spending.book.stats()["keys"] == 0


@pytest.mark.parametrize(
    ("price", "spent"),
    [(Price(5), 5), (Price(5, "EUR", missing="currency"), 0), (Price(None), 0)],
)
def test_only_calls_with_a_price_in_dollars_are_booked(price: Price, spent: int) -> None:
    book = BudgetBook([budget()])
    call = CallRecord(
        operation="chat", provider="openai", model="gpt-4o", agent_name="writer", usage=Usage(1, 1), price=price
    )
    Spending(book).on_call(call)
    assert book.spent_units("money") == spent


def test_many_threads_spend_every_unit_once() -> None:
    book = BudgetBook([budget(), budget(name="by_agent", per="agent")])

    def work() -> None:
        for _ in range(2_000):
            book.spend(3, agent="writer")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert book.spent_units("money") == book.spent_units("by_agent", "writer") == 24_000


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"name": "a b"}, "name: allowed"),
        ({"limit_usd": "0"}, "dollars above 0"),
        ({"limit_usd": "-1"}, "dollars above 0"),
        ({"limit_usd": "ten"}, "dollars above 0"),
        ({"limit_usd": "NaN"}, "dollars above 0"),
        ({"limit_usd": 0.1}, "as text, Decimal or integer"),
        ({"limit_usd": True}, "as text"),
        ({"period": "weekly"}, "allowed: hourly, daily, monthly"),
        ({"per": "team"}, "allowed: all, agent, user, session"),
        ({"timezone": "Europe/Atlantis"}, "IANA name"),
        ({"timezone": "../etc/passwd"}, "IANA name"),
        ({"timezone": "Europe"}, "IANA name"),
        ({"at": ()}, "whole percentages"),
        ({"at": (95, 80)}, "must ascend"),
        ({"at": (0,)}, "above 0"),
    ],
)
def test_a_budget_that_cannot_be_meant_is_refused(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(RuleError, match=problem):
        budget(**fields)


def test_budgets_come_from_files_and_dictionaries() -> None:
    (read,) = rules_from(
        {"budgets": [{"name": "money", "limit_usd": 0.1, "period": "monthly", "timezone": "Europe/Berlin", "at": [50]}]}
    ).budgets
    assert read.limit_units == UNITS_PER_USD // 10
    assert read == Budget(name="money", limit_usd="0.1", period="monthly", timezone="Europe/Berlin", at=(50,))
    with pytest.raises(RuleError, match=r"rules\.budgets\[0\]\.per: `per` cannot be 'team'; allowed: all, agent"):
        rules_from({"budgets": [{"name": "money", "limit_usd": 1, "per": "team"}]})
    with pytest.raises(RuleError, match="two budgets named `money`"):
        rules_from({"budgets": [{"name": "money", "limit_usd": 1}] * 2})
    with pytest.raises(RuleError, match="`limit_usd` is missing"):
        rules_from({"budgets": [{"name": "money"}]})
    with pytest.raises(RuleError, match="two budgets named 'money'"):
        BudgetBook([budget(), budget()])


@pytest.mark.parametrize(
    ("kind", "zone", "moment", "hours"),
    [
        ("daily", "Europe/Berlin", "2026-01-15T12:00", 24),
        ("daily", "Europe/Berlin", "2026-03-29T12:00", 23),
        ("daily", "Europe/Berlin", "2026-10-25T12:00", 25),
        ("daily", "Australia/Lord_Howe", "2026-04-05T12:00", 24.5),
        ("daily", "America/Santiago", "2026-09-06T12:00", 23),
        ("daily", "America/Havana", "2025-11-02T12:00", 25),
        ("monthly", "UTC", "2026-02-10T00:00", 28 * 24),
        ("monthly", "UTC", "2028-02-29T00:00", 29 * 24),
        ("monthly", "America/New_York", "2026-03-10T00:00", 31 * 24 - 1),
        ("monthly", "America/New_York", "2026-11-10T00:00", 30 * 24 + 1),
        ("hourly", "Asia/Kathmandu", "2026-01-01T00:30", 1),
        ("hourly", "Europe/Berlin", "2026-10-25T02:30", 1),
        ("hourly", "Europe/Berlin", "2026-03-29T01:30", 1),
        ("hourly", "Australia/Lord_Howe", "2026-04-05T01:15", 1.5),
    ],
)
def test_periods_are_as_long_as_a_clock_there_shows(kind: Any, zone: str, moment: str, hours: float) -> None:
    began_ns, ends_ns = period_of(kind, ZoneInfo(zone), at(moment, zone))
    assert (ends_ns - began_ns) / HOUR_NS == hours


def test_the_hour_that_is_shown_twice_is_two_hours() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    first = at("2026-10-25T00:30")  # 02:30 summer time
    second = first + HOUR_NS  # 02:30 winter time
    assert datetime.fromtimestamp(first / 1e9, berlin).hour == datetime.fromtimestamp(second / 1e9, berlin).hour == 2
    assert period_of("hourly", berlin, first)[1] == period_of("hourly", berlin, second)[0]


@given(
    zone=st.sampled_from(ZONES),
    kind=st.sampled_from(PERIODS),
    moment=st.datetimes(datetime(2005, 1, 1), datetime(2030, 1, 1)),  # noqa: DTZ001 - UTC is given below
)
def test_periods_follow_each_other_without_gap_or_overlap(zone: str, kind: Any, moment: datetime) -> None:
    place = ZoneInfo(zone)
    moment_ns = int(moment.replace(tzinfo=UTC).timestamp()) * 10**9
    began_ns, ends_ns = period_of(kind, place, moment_ns)
    assert began_ns <= moment_ns < ends_ns
    assert period_of(kind, place, began_ns) == (began_ns, ends_ns)
    assert period_of(kind, place, ends_ns - 10**9) == (began_ns, ends_ns)
    assert period_of(kind, place, ends_ns)[0] == ends_ns
    assert period_of(kind, place, began_ns - 10**9)[1] == began_ns


def test_other_budgets_of_the_same_process_go_on_from_what_was_spent() -> None:
    clock = HandClock()
    month, day = Budget(name="month", limit_usd="1"), Budget(name="day", limit_usd="1", period="daily")
    first = BudgetBook([month, day], clock=clock)
    first.spend(usd("0.9"))
    assert [one.key.rule for one in first.raised()] == ["budget/month/80", "budget/day/80"]
    changed = [replace(month, channels=("ops",)), replace(day, limit_usd="2"), Budget(name="new", limit_usd="1")]
    second = BudgetBook(changed, clock=clock)
    second.go_on_from(first)
    second.spend(usd("0.02"))
    assert [second.spent_units(name) for name in ("month", "day", "new")] == [usd("0.92"), usd("0.92"), usd("0.02")]
    (still,) = second.raised()  # not of what is no longer so much of its limit
    assert (still.key.rule, still.channels) == ("budget/month/80", ("ops",))
    third = BudgetBook([replace(month, period="hourly")], clock=clock)
    third.go_on_from(second)
    assert third.spent_units("month") == 0  # counted by another clock


def test_a_limit_that_was_raised_is_told_of_when_that_much_is_spent(tmp_path: Path) -> None:
    clock, budget = HandClock(), Budget(name="day", limit_usd="1", at=(50, 100))
    state = StateFile(tmp_path / "alerts.json")
    book = BudgetBook([budget], clock=clock, state=state)
    book.spend(usd("1.2"))
    assert [one.key.rule for one in book.raised()] == ["budget/day/100"]
    book.save()
    state.close()
    state = StateFile(tmp_path / "alerts.json")
    book = BudgetBook([replace(budget, limit_usd="2")], clock=clock, state=state)
    assert [one.key.rule for one in book.raised()] == []
    book.spend(usd("0.8"))
    assert [one.alert.message for one in book.raised()] == ["100% of the daily budget is spent: $2.00 of $2.00"]
    state.close()
