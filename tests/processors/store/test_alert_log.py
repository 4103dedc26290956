"""Which alerts there were: each raising once, with its beginning and its end, whoever judged; and never too many."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from kaizen_processors.money import UNITS_PER_USD
from kaizen_processors.store import alert_log
from kaizen_processors.store.database import Database
from tests.processors.store.host import NS, Host
from tests.processors.store.test_lease import Judge, fail_everywhere
from tests.processors.windows.records import execution

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    made.workers = [Judge(made), Judge(made)]  # type: ignore[list-item]
    yield made
    for one in made.workers:
        assert isinstance(one, Judge)
        one.evaluator.close(0.0)
        one.worker.store.shutdown()


def judges(host: Host) -> list[Judge]:
    return host.workers  # type: ignore[return-value]


def history(host: Host, since_s: float = 86_400.0, until_s: float = 0.0) -> list[tuple[str, str]]:
    now_ns = host.clock.time_ns()
    with host.reader() as reader:
        found = reader.alert_history(now_ns - int(since_s * NS), now_ns - int(until_s * NS) + 1)
    return [(one["type"], one["status"]) for one in found]


def test_an_alert_is_kept_with_its_beginning_and_its_end_whoever_judged(host: Host) -> None:
    first, second = judges(host)
    began_ns = host.clock.time_ns()
    fail_everywhere(judges(host))
    host.pass_time(15)
    assert history(host) == [("failing", "firing")]
    first.kill()
    host.pass_time(400)  # its successor sees that it is over
    assert second.heard == [("failing", "resolved")]
    with host.reader() as reader:
        (one,) = reader.alert_history(0, host.clock.time_ns())
    assert (one["status"], one["id"]) == ("resolved", first.told[0]["id"])
    assert 0 < one["starts_at_ns"] - began_ns <= 20 * NS
    assert 290 * NS < one["ends_at_ns"] - one["starts_at_ns"] <= 320 * NS
    assert history(host, since_s=30) == []  # it was over before
    assert history(host, until_s=500) == []  # it had not begun
    fail_everywhere([second])
    host.pass_time(15)
    assert history(host) == [("failing", "resolved"), ("failing", "firing")]


def test_what_a_budget_and_a_rule_that_is_gone_raised_is_kept_too(host: Host) -> None:
    first, _ = judges(host)
    fail_everywhere([first])
    first.book.spend(UNITS_PER_USD)
    host.pass_time(15)
    assert sorted(history(host)) == [("all", "firing"), ("failing", "firing")]
    for judge in judges(host):
        judge.evaluator.replace_rules([])
    host.pass_time(2)
    assert sorted(history(host)) == [("all", "firing"), ("failing", "resolved")]


def test_what_began_while_nothing_could_be_saved_is_written_down_later(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = judges(host)
    host.pass_time(2)
    with monkeypatch.context() as broken:

        def full(*_: object) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        broken.setattr("kaizen_processors.store.store.save_section", full)
        for judge in judges(host):
            judge.worker.see(execution(status="error"))
        host.pass_time(15)
        assert history(host) == []
    host.pass_time(2)
    assert history(host) == [("failing", "firing")]
    assert first.evaluator._fence.counts()


def alert(number: int, ended: bool = True) -> dict[str, Any]:
    return {
        "id": f"alert-{number}",
        "starts_at_ns": number * NS,
        "ends_at_ns": (number + 5) * NS if ended else None,
        "message": "m" * 300,
    }


def test_the_oldest_go_beyond_the_bounds_and_what_is_over_when_the_history_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(tmp_path / "store.db")
    database.open()

    def ids() -> list[str]:
        return [one["id"] for one in alert_log.alerts_between(database.connection, 0, 1_000 * NS)]

    with database.write() as connection:
        alert_log.record(connection, [alert(number) for number in range(100)])
        alert_log.record(connection, [alert(7)])  # the same again
        assert alert_log.keep_small(connection, 20 * NS, 1 << 20) == 0
        assert ids() == [f"alert-{number}" for number in range(15, 100)]  # that of 15 was over at 20
        row_bytes = len(json.dumps(alert(99), separators=(",", ":"))) + alert_log._ROW_BYTES
        assert alert_log.keep_small(connection, 20 * NS, 40 * row_bytes) == 45
        assert ids() == [f"alert-{number}" for number in range(60, 100)]
        monkeypatch.setattr(alert_log, "MOST", 3)
        assert alert_log.keep_small(connection, 20 * NS, 1 << 20) == 37
        connection.execute("UPDATE alerts SET json = '[' WHERE id = 'alert-98'")
        assert ids() == ["alert-97", "alert-99"]
    database.close()


def test_the_keeper_of_the_file_forgets_alerts_of_before_the_history(host: Host) -> None:
    host.pass_time(2)
    with closing(sqlite3.connect(host.path, isolation_level=None)) as connection:
        alert_log.record(connection, [alert(number) for number in range(500)])
    host.pass_time(62)
    with closing(sqlite3.connect(host.path)) as connection:
        assert connection.execute("SELECT count(*) FROM alerts").fetchone() == (0,)  # of 1970
