"""What a report says, and how it is written: the numbers are those that were counted, whatever became of their rows."""

from __future__ import annotations

import csv
import io
import json
import random
import sqlite3
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from kaizen_otel.report import writing
from kaizen_otel.report.compiling import By, Report, compile_report
from kaizen_otel.report.stretches import Stretch, stretch
from kaizen_processors.alerts.standing import alert_record
from kaizen_processors.export.figures import ASCII, UNICODE
from kaizen_processors.money import to_float
from kaizen_processors.pricing.price import Price
from kaizen_processors.store import alert_log
from tests.processors.alerts.support import alert
from tests.processors.store.host import NS, Host
from tests.processors.windows.records import CENT, call, execution

if TYPE_CHECKING:
    from pathlib import Path

    from kaizen_processors.alerts.alert import Alert

UTC = ZoneInfo("UTC")
DAY_S = 86_400


def report(host: Host, since: str = "7d", until: str = "now", by: By = "agent", zone: ZoneInfo = UTC) -> Report:
    with host.reader() as reader:
        return compile_report(reader, "desk", stretch(since, until, zone, reader.now_ns()), by, zone)


class Counted:
    """What a host was let do, counted beside it."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.money: Counter[str] = Counter()
        self.executions: Counter[str] = Counter()
        self.errors = 0
        self.tokens = 0

    def run(self, agent: str, model: str, *, error: bool = False, money: int = CENT, tokens: int = 10) -> None:
        worker = self.host.workers[len(self.executions) % len(self.host.workers)]
        worker.see(call(agent, model, (tokens, 5), price=Price(money)))
        worker.see(execution(agent, model, status="error" if error else "success", duration_ms=100))
        self.money[agent] += money
        self.executions[agent] += 1
        self.errors += error
        self.tokens += tokens


def weeks(folder: Path, days: int = 3) -> Counted:
    """Days of work by two workers, in which old rows were rolled up."""
    counted = Counted(Host(folder, 2))
    chance = random.Random(7)  # noqa: S311 - the same in every run
    for _ in range(days * 24 * 4):
        for _ in range(chance.randrange(4)):
            agent, model = chance.choice([("ann", "gpt-4o"), ("ben", "claude"), ("cat", "gpt-4o")])
            counted.run(agent, model, error=chance.random() < 0.2, money=chance.randrange(1, 10**24))
        counted.host.wait(900.0)
        for worker in counted.host.workers:
            worker.tick()
    counted.host.settle()
    return counted


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Counted:
    return weeks(tmp_path_factory.mktemp("host"))


def test_totals_are_what_was_counted(counted: Counted) -> None:
    totals = report(counted.host).totals

    assert totals.sums.executions == counted.executions.total()
    assert totals.sums.error == counted.errors
    assert totals.sums.cost_units == counted.money.total()
    assert totals.sums.input_tokens == counted.tokens
    assert totals.as_dict()["cost_usd"] == to_float(counted.money.total())


@pytest.mark.parametrize("by", ["agent", "model", "day"])
def test_lines_and_periods_add_up_to_the_totals(by: By, counted: Counted) -> None:
    found = report(counted.host, by=by)

    for lines in (found.lines, found.trend):
        assert sum(line.sums.cost_units for line in lines) == found.totals.sums.cost_units
        assert sum(line.sums.executions for line in lines) == found.totals.sums.executions


def test_agents_are_listed_the_dearest_first(counted: Counted) -> None:
    found = report(counted.host)

    assert [line.label for line in found.lines] == [agent for agent, _ in counted.money.most_common()]
    assert {line.label: line.sums.cost_units for line in found.lines} == counted.money


def test_two_stretches_that_meet_have_everything_once(counted: Counted) -> None:
    now_ns = counted.host.clock.time_ns()
    middle_ns = (now_ns - 36 * 3_600 * NS) // (3_600 * NS) * 3_600 * NS
    with counted.host.reader() as reader:
        early = compile_report(reader, "desk", Stretch(now_ns - 5 * DAY_S * NS, middle_ns), "agent", UTC)
        late = compile_report(reader, "desk", Stretch(middle_ns, now_ns), "agent", UTC)

    assert early.totals.sums.executions > 0
    assert early.totals.sums.cost_units + late.totals.sums.cost_units == counted.money.total()


def test_a_change_is_a_part_of_what_was_and_of_shares_the_difference(tmp_path: Path) -> None:
    counted = Counted(Host(tmp_path, 1))
    counted.run("ann", "m")
    counted.host.wait(3_600.0)
    counted.host.settle()
    counted.run("ann", "m")
    counted.host.wait(3_600.0)
    counted.host.settle()
    for _ in range(2):
        counted.run("ann", "m", error=True)
    counted.host.settle()
    found = report(counted.host, "50m")

    assert found.before is not None
    assert found.before.sums.executions == 1
    assert {one.name: one.part for one in found.changes if one.name in {"executions", "cost_usd"}} == {
        "executions": 1.0,
        "cost_usd": 1.0,
    }
    text = writing.as_text(found, UNICODE)
    assert [line.split() for line in text.splitlines() if line.startswith(("executions", "error rate"))] == [
        ["executions", "2", "1", "+100.0%"],
        ["error", "rate", "100.0%", "0", "+100.0", "points"],
    ]


def test_without_enough_history_nothing_is_compared_and_it_says_why(counted: Counted) -> None:
    found = report(counted.host)

    assert found.before is None
    assert found.changes == []
    assert "No comparison: the history begins 2026-01-01 00:00." in writing.as_text(found, UNICODE)


def test_days_are_those_of_the_zone(tmp_path: Path) -> None:
    counted = Counted(Host(tmp_path, 1))  # it begins at midnight in UTC
    counted.host.wait(3_600.0 * 14)
    counted.run("ann", "m")  # 14:00, in Auckland the day after
    counted.host.settle()

    utc = report(counted.host, "20h", by="day")
    auckland = report(counted.host, "20h", by="day", zone=ZoneInfo("Pacific/Auckland"))

    assert [(line.label, line.sums.executions) for line in utc.lines] == [("2025-12-31", 0), ("2026-01-01", 1)]
    assert [(line.label, line.sums.executions) for line in auckland.lines] == [("2026-01-01", 0), ("2026-01-02", 1)]


def small(folder: Path, agent: str = "ann") -> Report:
    counted = Counted(Host(folder, 1))
    counted.run(agent, "gpt-4o", money=50 * CENT)
    counted.run("ben", "claude", money=150 * CENT, error=True)
    counted.host.settle()
    return report(counted.host, "15m")


def test_as_text(tmp_path: Path) -> None:
    assert (
        writing.as_text(small(tmp_path), UNICODE)
        == """\
desk: 2025-12-31 23:45 to 2026-01-01 00:00 (UTC)

Totals
                    this time
─────────────────────────────
executions                  2
error rate              50.0%
average latency         100ms
p95 latency             100ms
tokens in                  20
tokens out                 10
cost                    $2.00
cost per execution      $1.00
quality                     -

No comparison: the history begins 2026-01-01 00:00.

By agent, the dearest first
agent  executions  errors    p50    p95  tokens in  tokens out   cost  quality  share of cost
─────────────────────────────────────────────────────────────────────────────────────────────
ben             1  100.0%  100ms  100ms         10           5  $1.50        -          75.0%
ann             1       0  100ms  100ms         10           5  $0.50        -          25.0%

By 5 minutes
                  executions  errors    p50    p95  tokens in  tokens out   cost  quality
───────────────────────────────────────────────────────────────────────────────────────────────────────────
2025-12-31 23:45           -       -      -      -          -           -      -        -
2025-12-31 23:50           -       -      -      -          -           -      -        -
2025-12-31 23:55           -       -      -      -          -           -      -        -
2026-01-01 00:00           2   50.0%  100ms  100ms         20          10  $2.00        -  ━━━━━━━━━━━━━━━━"""
    )


def test_as_csv_it_has_one_header_and_plain_numbers(tmp_path: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(writing.as_csv(small(tmp_path, 'an, "agent"')))))

    assert [row["agent"] for row in rows] == ["ben", 'an, "agent"']
    assert [float(row["cost_usd"]) for row in rows] == [1.5, 0.5]
    assert [row["error_rate"] for row in rows] == ["1.0", "0.0"]
    assert [row["quality_average"] for row in rows] == ["", ""]


def test_as_markdown_it_has_tables_whatever_agents_are_called(tmp_path: Path) -> None:
    text = writing.as_markdown(small(tmp_path, "a|b <i>\n"))

    assert text.startswith("# desk: 2025-12-31 23:45 to 2026-01-01 00:00 (UTC)\n\n## Totals\n")
    (row,) = [line for line in text.splitlines() if line.startswith("| a\\|b &lt;i> ")]
    assert row.endswith(" 25.0% |")
    rule = "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
    assert rule in text.splitlines()


def test_as_json_every_figure_has_its_name(tmp_path: Path) -> None:
    found = json.loads(writing.as_json(small(tmp_path)))

    assert (found["service"], found["since"], found["timezone"]) == ("desk", "2025-12-31T23:45:00.000Z", "UTC")
    assert found["totals"]["cost_usd"] == 2.0
    assert [one["agent"] for one in found["lines"]] == ["ben", "ann"]
    assert found["period"] == "5 minutes"
    assert found["trend"][-1]["begins"] == "2026-01-01 00:00"
    assert found["changes"] == {}


def test_in_ascii_and_with_an_incomplete_cost(tmp_path: Path) -> None:
    host = Host(tmp_path, 1)
    host.workers[0].see(call("ann", "m", price=Price(CENT)))
    host.workers[0].see(call("ann", "m", price=Price(None, missing="model")))
    host.workers[0].see(call("ben", "n", price=Price(None, missing="model")))
    host.settle()
    text = writing.as_text(report(host, "15m"), ASCII)

    assert text.isascii()
    assert [line.split()[7] for line in text.splitlines() if line.startswith(("ann", "ben"))] == [">=$0.01", "?"]


def test_only_the_dearest_are_listed_and_the_others_counted(tmp_path: Path) -> None:
    counted = Counted(Host(tmp_path, 1))
    for number in range(14):
        counted.run(f"agent-{number:02}", "m", money=(number + 1) * CENT)
    counted.host.settle()
    found = report(counted.host, "15m")

    text = writing.as_text(found, UNICODE)
    assert [line.split()[0] for line in text.splitlines() if line.startswith("agent-")][:2] == ["agent-13", "agent-12"]
    assert sum(line.startswith("agent-") for line in text.splitlines()) == 10
    assert "4 more: --format csv, or json, has all." in text
    assert len(found.as_dict()["lines"]) == 14


def raised(name: str, began_ns: int) -> Alert:
    return alert(name, message="error rate: 50% | of all", starts_at_ns=began_ns)


def test_alerts_of_its_time_are_listed_those_that_are_over_among_them(tmp_path: Path) -> None:
    counted = Counted(Host(tmp_path, 1))
    host = counted.host
    host.workers[0].tick()
    host.wait(86_400.0)
    counted.run("ann", "m")
    host.settle()
    now_ns = host.clock.time_ns()
    before, over, unseen, fires = (
        raised(name, now_ns - minutes * 60 * NS)
        for name, minutes in (("before", 50), ("over", 20), ("unseen", 4), ("fires", 3))
    )
    alerts = [before.resolved(now_ns - 45 * 60 * NS), over.resolved(now_ns - 9 * 60 * NS), unseen]
    with closing(sqlite3.connect(host.path)) as connection, connection:
        alert_log.record(connection, map(alert_record, alerts))
    standing = [{"phase": "firing", "alert": alert_record(fires)}]
    host.workers[0].store.save_section("alerts", {"standing": standing})

    found = report(host, "10m")
    assert [(one["type"], one["status"]) for one in json.loads(writing.as_json(found))["alerts"]] == [
        ("over", "resolved"),
        ("unseen", "unknown"),
        ("fires", "firing"),
    ]
    listed = writing.as_text(found, UNICODE).split("Alerts\n")[1].splitlines()
    assert listed == [
        "severity  alert   since             until",
        "─" * 78,
        "warning   over    2026-01-01 23:40  2026-01-01 23:51  error rate: 50% | of all",
        "warning   unseen  2026-01-01 23:56  -                 error rate: 50% | of all",
        "warning   fires   2026-01-01 23:57  it fires          error rate: 50% | of all",
    ]
    assert [line.count(" | ") for line in writing.as_markdown(found).splitlines() if " over " in line] == [4]
    assert report(host, "2d", "30m").alerts[0]["type"] == "before"
    assert len(report(host, "2d", "30m").alerts) == 1
    assert [one["type"] for one in found.firing or ()] == ["fires"]

    host.workers[0].store.shutdown()  # the only one that could have seen its end
    left = report(host, "10m")
    assert [(one["type"], one["status"]) for one in left.alerts][1:] == [("unseen", "unknown"), ("fires", "unknown")]
    assert left.firing is None
    assert "it fires" not in writing.as_text(left, UNICODE)


def test_of_many_alerts_the_latest_are_listed_and_the_others_counted(tmp_path: Path) -> None:
    counted = Counted(Host(tmp_path, 1))
    counted.run("ann", "m")
    counted.host.settle()
    now_ns = counted.host.clock.time_ns()
    with closing(sqlite3.connect(counted.host.path)) as connection, connection:
        many = [raised(f"rule_{number:02}", now_ns - (60 - number) * NS).resolved(now_ns) for number in range(23)]
        alert_log.record(connection, map(alert_record, many))
    text = writing.as_text(report(counted.host, "15m"), UNICODE)
    assert next(line.split()[1] for line in text.splitlines() if line.startswith("warning")) == "rule_03"
    assert text.endswith("3 earlier: --format json has all.")
