"""What a frame looks like."""

from __future__ import annotations

import time
from typing import Any

import pytest
from rich.cells import cell_len

from kaizen_otel.testing.deterministic import START_NS
from kaizen_otel.top.drawing import lines
from kaizen_otel.top.frame import Firing, Frame
from kaizen_processors.export.figures import ASCII, UNICODE, Glyphs
from kaizen_processors.store import BudgetStanding
from kaizen_processors.windows import Group
from tests.kaizen_otel.top.frames import BUDGET, DELIVERY, FIRING, NOW_NS, NS, USD, agent, frame, snapshot


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """The moment is shown as the clock on the wall shows it."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def drawn(of: Frame, width: int = 100, glyphs: Glyphs = UNICODE, **how: Any) -> str:
    return "\n".join(line.plain.rstrip() for line in lines(of, width, glyphs, **how)).rstrip("\n")


def test_a_frame_shows_everything_that_is_known() -> None:
    shown = drawn(frame(firing=[FIRING], budgets=[BUDGET], delivery=DELIVERY))

    assert (
        shown
        == """\
support-desk · 2 workers (pid 4711 4712) · up 1h02m · last 5 minutes                        01:02:03
executions 20  4.0/min  errors 5.0%  p95 1.91s  tokens/s 160  $/h $6.00  cost $0.50  quality 0.85

agent       executions  /min  errors    p50    p95    p99  tokens/s    $/h   cost  quality
──────────────────────────────────────────────────────────────────────────────────────────
writer              12   2.4       0  598ms  1.20s  1.20s       160  $6.00  $0.50     0.92
researcher           8   1.6   12.5%  401ms  800ms  800ms       0.0     $0     $0     0.50

firing
critical  high_error_rate  error rate: 12.5% (researcher)  for 3m20s

budgets
desk_day                  ━━━━━━━━━━━━━━━━┄┄┄┄    82%  $4.10 of $5.00 daily  22h57m left

telemetry  logs        40 exported,  0 waiting, 3 dropped
           traces  12,034 exported, 12 waiting, 7 spooled, 0 dropped"""
    )


@pytest.mark.parametrize("width", range(40, 200, 7))
@pytest.mark.parametrize("glyphs", [UNICODE, ASCII], ids=["unicode", "ascii"])
def test_no_line_is_wider_than_the_terminal(width: int, glyphs: Glyphs) -> None:
    rows = [agent("an agent with a name that never ends " * 5, executions=3), agent("日本語の名前" * 9, executions=1)]
    of = frame(firing=[FIRING], budgets=[BUDGET], delivery=DELIVERY, rows=rows, service="服務" * 40)

    assert max(line.cell_len for line in lines(of, width, glyphs)) <= width


def test_a_narrow_terminal_leaves_the_least_important_columns_out() -> None:
    header, overall, _, headings, *_ = drawn(frame(), 60).split("\n")

    assert header.startswith("support-desk · 2 workers (pid 4711 4712)")
    assert header.endswith("01:02:03")
    assert overall == "executions 20  errors 5.0%  p95 1.91s  $/h $6.00"
    assert headings.split() == ["agent", "executions", "errors", "p95", "$/h", "cost", "quality"]


def test_by_model_it_shows_calls_and_tokens() -> None:
    row = snapshot(Group(model="gpt-4o"), model_calls=7, input_tokens=1_200_000, output_tokens=90_000)
    shown = drawn(frame(by="model", rows=[row])).split("\n")

    assert shown[3].split() == ["model", "calls", "tokens", "in", "tokens", "out", "tokens/s", "$/h", "cost"]
    assert shown[5].split() == ["gpt-4o", "7", "1.2M", "90,000", "4,300", "$0", "$0"]


def test_what_is_not_known_is_a_dash_and_an_incomplete_cost_a_lower_bound() -> None:
    rows = [
        agent("quiet", executions=1),
        agent("partly", executions=1, model_calls=2, unpriced_calls=1, cost_units=10**22),
        agent("unpriced", executions=1, model_calls=2, unpriced_calls=2),
    ]
    shown = drawn(frame(rows=rows), 120).split("\n")[5:]

    assert [line.split()[-3:] for line in shown[:3]] == [
        ["$0", "$0", "-"],
        ["≥$0.12", "≥$0.01", "-"],
        ["?", "?", "-"],
    ]


def test_a_young_store_has_no_rates() -> None:
    of = frame(overall=snapshot(executions=1, window_s=5.0), rows=[])
    assert drawn(of).split("\n")[1].startswith("executions 1  -/min  errors 0")


def test_without_workers_it_says_so() -> None:
    shown = drawn(frame(workers=[], firing=[FIRING]))
    assert shown.startswith("support-desk · no worker is running · last 5 minutes")
    assert "error rate: 12.5% (researcher)  -\n" in f"{shown}\n"  # nobody saw how long it fired


def test_nothing_that_ran_is_said_in_words() -> None:
    assert "nothing ran in this window" in drawn(frame(rows=[], overall=snapshot()))


def test_a_low_screen_shows_the_first_rows_and_counts_the_others() -> None:
    rows = [agent(f"agent-{number:02}", executions=1) for number in range(50)]
    shown = drawn(frame(rows=rows, firing=[FIRING]), height=16).split("\n")

    assert len(shown) <= 16
    assert [line.split()[0] for line in shown[5:11]] == [f"agent-{number:02}" for number in range(6)]
    assert shown[11] == "… and 44 more"
    assert "high_error_rate" in shown[14]


def test_more_alerts_than_there_is_room_for_are_counted_the_worst_first() -> None:
    many = [Firing(f"rule_{n}", "warning", "m", {}, NOW_NS - n * NS) for n in range(12)]
    shown = drawn(frame(firing=[*many, FIRING])).split("\n")

    at = shown.index("firing")
    assert shown[at + 1].startswith("critical  high_error_rate")
    assert shown[at + 2].startswith("warning   rule_11")
    assert shown[at + 9] == "… and 5 more"


def test_failures_of_telemetry_itself_are_told() -> None:
    assert "telemetry failed" not in drawn(frame())
    assert drawn(frame(failures=3)).endswith("telemetry failed 3 times; your calls were not affected")


def test_a_mistake_in_settings_is_no_failure_of_telemetry() -> None:
    shown = drawn(frame(mistakes=2))
    assert shown.endswith("mistakes in settings ignored 2 times; the log says which")
    assert "telemetry failed" not in shown


def test_names_cannot_steer_the_terminal() -> None:
    evil = "\x1b[2J\x07agent\u202e"
    firing = Firing(evil, "critical", evil, {}, NOW_NS)
    shown = drawn(frame(service=evil, rows=[agent(evil, executions=1)], firing=[firing]))

    assert all(character.isprintable() or character == "\n" for character in shown)


def test_what_asks_for_attention_is_coloured() -> None:
    of = frame(firing=[FIRING], budgets=[BUDGET], delivery=DELIVERY)
    table = {line.plain.split()[0]: line for line in lines(of, 100, UNICODE) if line.plain.strip()}

    def styles(name: str) -> set[str]:
        return {str(span.style) for span in table[name].spans}

    assert "red" in styles("researcher")
    assert "red" not in styles("writer")
    assert "bold red" in styles("critical")
    assert "yellow" in styles("desk_day")
    assert "bold red" in styles("telemetry")
    assert {str(line.style) for line in (table["critical"], table["telemetry"])} == {""}


def test_lists_are_columns_whatever_their_values() -> None:
    many = BudgetStanding("日本の予算", "", "", "monthly", START_NS, START_NS + 86_400 * NS, 54_321 * USD, 2 * USD, ())
    slow = FIRING._replace(type="slow", severity="warning", message="P95 latency: " + "9" * 80)
    shown = drawn(frame(firing=[FIRING, slow], budgets=[BUDGET, many], delivery=DELIVERY), width=90).splitlines()
    first, second = shown[shown.index("firing") + 1 :][:2]
    assert second.endswith("~  for 3m20s")
    assert (first.index("for 3m20s"), first.index("error rate:")) == (second.index("for 3m20s"), second.index("P95"))
    above, below = (cell_len(line[: line.index("% ")]) for line in shown[shown.index("budgets") + 1 :][:2])
    assert above == below
    above, below = (cell_len(line[: line.index(" of $")]) for line in shown[shown.index("budgets") + 1 :][:2])
    assert above == below
    logs, traces = (line for line in shown if " exported, " in line)
    assert (logs.index(" exported"), logs.index(" waiting")) == (traces.index(" exported"), traces.index(" waiting"))


@pytest.mark.parametrize(
    ("window_s", "said"),
    [(864_000, "10 days"), (86_400, "24 hours"), (5_400, "90 minutes"), (360_000, "4 days 4 hours")],
)
def test_the_window_is_said_as_people_do(window_s: float, said: str) -> None:
    assert f" last {said} " in drawn(frame(window_s=window_s)).splitlines()[0]
