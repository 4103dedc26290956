"""Pending, firing, resolved: when an alert begins, is told, and is over."""

from __future__ import annotations

import pytest

from kaizen_processors.alerts.alert import ExecutionLink
from kaizen_processors.alerts.evaluator import Evaluator
from kaizen_processors.alerts.evaluator_options import EvaluatorOptions
from kaizen_processors.alerts.rules import DEFAULT_RULES, RuleError
from kaizen_processors.alerts.silences import Silence
from kaizen_processors.alerts.values import EVERYTHING, Group, WorstExecution
from kaizen_processors.fence import Fence
from tests.processors.alerts.support import START_NS, HandValues, RankedValues, Remembering, Scene, rule

FIRING = [("high_error_rate", "firing")]
RESOLVED = [("high_error_rate", "resolved")]
WRITER, EDITOR = Group("agent", "writer"), Group("agent", "editor")


def test_the_built_in_rules_give_the_alerts_of_the_documentation() -> None:
    scene = Scene(*DEFAULT_RULES)
    for name, value in (
        ("error_rate", 0.125),
        ("p95_latency", 12_500.0),
        ("cost_per_hour", 120.5),
        ("quality_average", 0.65),
    ):
        scene.values.set(name, value)
    scene.evaluator.tick()
    assert scene.evaluator.flush(10.0)
    five = ("type", "severity", "message", "value", "threshold")
    assert [tuple(alert.as_dict()[key] for key in five) for alert in scene.channel.seen] == [
        ("high_error_rate", "warning", "Error rate: 12.5%", 0.125, 0.1),
        ("high_latency", "critical", "P95 latency: 12500ms", 12_500.0, 10_000.0),
        ("high_cost", "warning", "Cost rate: $120.50/hour", 120.5, 100.0),
        ("low_quality", "warning", "Quality average: 65.0%", 0.65, 0.7),
    ]


@pytest.mark.parametrize(
    ("condition", "value", "message", "summary"),
    [
        ("daily_cost > 0.00001", 0.000027, "Cost of 24 hours: $0.000027", "$0.000027 of $0.00001"),
        ("cost_per_execution > 0", 0.000027, "Cost per execution: $0.000027", "$0.000027 of $0.00"),
        ("cost_per_hour > 1000", 1234.5, "Cost rate: $1,234.50/hour", "$1,234.50/hour of $1,000.00/hour"),
    ],
)
def test_money_is_written_as_everywhere(condition: str, value: float, message: str, summary: str) -> None:
    scene = Scene(rule(condition, annotations={"summary": "{value} of {threshold}"}))
    scene.values.set(condition.split(maxsplit=1)[0], value)
    (alert,) = scene.evaluator.tick()
    assert (alert.message, dict(alert.annotations)) == (message, {"summary": summary})


def test_without_data_nothing_fires() -> None:
    scene = Scene(*DEFAULT_RULES)
    assert scene.tick() == []
    assert scene.evaluator.alerts() == ()


def test_an_alert_begins_once_and_is_over_once() -> None:
    scene = Scene(rule())
    scene.values.set("error_rate", 0.5)
    assert [scene.tick(15.0) for _ in range(3)] == [FIRING, [], []]
    scene.values.set("error_rate", 0.05)
    assert [scene.tick(15.0) for _ in range(2)] == [RESOLVED, []]
    assert scene.channel.told == FIRING + RESOLVED
    began, over = scene.channel.seen
    assert began.id == over.id
    assert began.starts_at_ns == START_NS + 15 * 10**9
    assert over.ends_at_ns == START_NS + 60 * 10**9


def test_it_must_hold_as_long_as_the_rule_says() -> None:
    scene = Scene(rule(for_s=60.0))
    scene.values.set("error_rate", 0.5)
    assert [scene.tick(15.0) for _ in range(6)] == [[], [], [], [], FIRING, []]


def test_a_moment_without_it_begins_the_wait_anew() -> None:
    scene = Scene(rule(for_s=30.0))
    answers = []
    for value in (0.5, 0.5, 0.0, 0.5, 0.5, 0.5):
        scene.values.set("error_rate", value)
        answers.append(scene.tick(15.0))
    assert answers == [[], [], [], [], [], FIRING]
    assert scene.channel.told == FIRING


def test_missing_data_begins_the_wait_anew_and_resolves_what_fires() -> None:
    scene = Scene(rule(for_s=15.0))
    answers = []
    for value in (0.5, None, 0.5, 0.5, None):
        scene.values.set("error_rate", value)
        answers.append(scene.tick(15.0))
    assert answers == [[], [], [], FIRING, RESOLVED]


def test_a_flapping_alert_stays_up_as_long_as_the_rule_says() -> None:
    scene = Scene(rule(keep_firing_for_s=60.0))
    answers = []
    for value in (0.5, 0.0, 0.5, 0.0, None, 0.0, 0.0, 0.0):
        scene.values.set("error_rate", value)
        answers.append(scene.tick(15.0))
    assert answers == [FIRING, [], [], [], [], [], [], RESOLVED]
    assert scene.channel.told == FIRING + RESOLVED


def test_each_agent_has_an_alert_of_its_own() -> None:
    scene = Scene(
        rule(group_by="agent", labels={"team": "ai"}, annotations={"summary": "{agent}: {value} > {threshold}"})
    )
    scene.values.set("error_rate", 0.5, WRITER)
    scene.values.set("error_rate", 0.2, EDITOR)
    scene.values.set("error_rate", 0.0, Group("agent", "reader"))
    assert scene.tick() == FIRING * 2
    writer, editor = scene.channel.seen
    assert writer.labels == {
        "alertname": "high_error_rate",
        "severity": "warning",
        "team": "ai",
        "agent_name": "writer",
    }
    assert writer.annotations == {"summary": "writer: 50.0% > 10.0%"}
    assert writer.message == "Error rate: 50.0% (writer)"
    assert writer.fingerprint != editor.fingerprint
    scene.values.set("error_rate", 0.0, WRITER)
    assert scene.tick() == RESOLVED
    assert [alert.labels["agent_name"] for alert in scene.evaluator.alerts()] == ["editor"]


def test_an_agent_that_is_no_longer_seen_is_resolved() -> None:
    scene = Scene(rule(group_by="agent"))
    scene.values.set("error_rate", 0.5, WRITER)
    scene.tick()
    scene.values.numbers.clear()
    assert scene.tick() == RESOLVED


def test_agents_over_the_limit_are_counted() -> None:
    scene = Scene(rule(group_by="agent"), max_groups=2)
    for number in range(5):
        scene.values.set("error_rate", 0.5, Group("agent", f"a{number}"))
    assert scene.tick() == FIRING * 2
    assert scene.evaluator.stats()["groups_over_limit"] == 3


def test_too_few_executions_are_as_good_as_no_data() -> None:
    scene = Scene(rule(min_executions=20))
    scene.values.set("error_rate", 0.5)
    assert scene.tick() == []
    scene.values.set("executions", 19.0)
    assert scene.tick() == []
    scene.values.set("executions", 20.0)
    assert scene.tick() == FIRING


def test_numbers_are_asked_for_over_the_rules_window_and_fixed_ones_over_their_own() -> None:
    scene = Scene(rule("daily_cost > 1 or active_agents > 2 or p95_latency > 3", window_s=600.0))
    scene.tick()
    assert scene.values.asked == [
        ("daily_cost", EVERYTHING, 86_400.0),
        ("active_agents", EVERYTHING, 300.0),
        ("p95_latency", EVERYTHING, 600.0),
    ]


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_none_is_missing(number: float) -> None:
    scene = Scene(rule("not error_rate > 5"))
    scene.values.set("error_rate", number)
    assert scene.tick() == []
    assert (scene.evaluator.stats()["firing"], scene.evaluator.pending()) == (0, ())


def test_when_numbers_cannot_be_read_everything_stays_as_it_is() -> None:
    fence = Fence()
    values = HandValues()
    channel = Remembering()
    evaluator = Evaluator([rule()], values, [channel], fence=fence)
    values.set("error_rate", 0.5)
    assert len(evaluator.tick()) == 1
    values.failing = True
    assert evaluator.tick() == ()
    assert len(evaluator.alerts()) == 1
    assert fence.counts() == {"alerts.values:RuntimeError": 1}


def test_an_alert_that_goes_on_is_told_again_after_the_repeat_interval() -> None:
    scene = Scene(rule(), repeat_interval_s=60.0)
    scene.values.set("error_rate", 0.5)
    for _ in range(9):
        scene.tick(15.0)
    assert scene.channel.told == FIRING * 3
    assert len({alert.id for alert in scene.channel.seen}) == 1


def test_the_message_follows_the_value() -> None:
    scene = Scene(rule(), repeat_interval_s=15.0)
    for value in (0.5, 0.75):
        scene.values.set("error_rate", value)
        scene.tick(15.0)
    assert [alert.message for alert in scene.channel.seen] == ["Error rate: 50.0%", "Error rate: 75.0%"]


def test_a_rule_chooses_its_channels() -> None:
    pager = Remembering("pager")
    scene = Scene(rule(channels=("pager",)), rule("p95_latency > 1", "slow"), channels=[pager])
    scene.values.set("error_rate", 0.5)
    scene.values.set("p95_latency", 5.0)
    scene.tick()
    assert pager.told == [*FIRING, ("slow", "firing")]
    assert scene.channel.told == [("slow", "firing")]


def test_a_channel_may_want_only_the_beginning() -> None:
    once = Remembering("once")
    once.sends_resolved = False
    scene = Scene(rule(), channels=[once])
    for value in (0.5, 0.0):
        scene.values.set("error_rate", value)
        scene.tick(15.0)
    assert once.told == FIRING
    assert scene.channel.told == FIRING + RESOLVED


def test_nobody_hears_of_a_silenced_alert_until_the_silence_is_over() -> None:
    scene = Scene(rule())
    scene.evaluator.silence(Silence.of(['alertname=~"high_.*"'], ends_at="2026-01-01T00:01:00Z"))
    scene.values.set("error_rate", 0.5)
    assert scene.tick(15.0) == FIRING
    assert scene.channel.told == []
    scene.tick(44.0)
    assert scene.channel.told == []
    scene.tick(1.0)
    assert scene.channel.told == FIRING
    assert scene.evaluator.silences() == ()


def test_what_began_and_ended_under_a_silence_is_never_told() -> None:
    scene = Scene(rule())
    silence_id = scene.evaluator.silence(Silence.of(['severity="warning"'], ends_at="2027-01-01"))
    for value in (0.5, 0.0):
        scene.values.set("error_rate", value)
        scene.tick(15.0)
    assert scene.channel.told == []
    assert scene.evaluator.unsilence(silence_id)
    assert not scene.evaluator.unsilence(silence_id)
    scene.values.set("error_rate", 0.5)
    scene.tick(15.0)
    assert scene.channel.told == FIRING


def test_the_end_of_an_alert_that_was_told_is_told_under_a_silence_too() -> None:
    scene = Scene(rule())
    scene.values.set("error_rate", 0.5)
    scene.tick()
    scene.evaluator.silence(Silence.of(['severity="warning"'], ends_at="2027-01-01"))
    scene.values.set("error_rate", 0.0)
    scene.tick()
    assert scene.channel.told == FIRING + RESOLVED


def test_an_alert_names_its_worst_executions_with_links() -> None:
    worst = [WorstExecution(f"e{n}", f"{n:032x}" if n else "", "writer", 9.0 - n, "error") for n in range(4)]
    values = RankedValues(worst)
    scene = Scene(rule(group_by="agent"), values=values, trace_url_template="http://jaeger:16686/trace/{trace_id}")
    values.set("error_rate", 0.5, WRITER)
    scene.tick()
    (alert,) = scene.channel.seen
    assert alert.executions == (
        ExecutionLink("e0", "writer", "error", 9.0),
        ExecutionLink("e1", "writer", "error", 8.0, f"{1:032x}", f"http://jaeger:16686/trace/{1:032x}"),
        ExecutionLink("e2", "writer", "error", 7.0, f"{2:032x}", f"http://jaeger:16686/trace/{2:032x}"),
    )
    assert values.ranked == [("error_rate", WRITER, 300.0, 3)]
    assert alert.as_dict()["executions"][1]["url"] == f"http://jaeger:16686/trace/{1:032x}"


def test_rules_can_be_replaced_while_alerts_stand() -> None:
    scene = Scene(rule(), rule("p95_latency > 1", "slow"))
    scene.values.set("error_rate", 0.5)
    scene.values.set("p95_latency", 5.0)
    scene.tick()
    scene.evaluator.replace_rules([rule("error_rate > 0.2"), rule("p95_latency > 1", "slow", severity="critical")])
    assert scene.tick() == [("slow", "firing")]
    assert scene.channel.told == [*FIRING, ("slow", "firing"), ("slow", "resolved"), ("slow", "firing")]
    with pytest.raises(RuleError, match="two rules named"):
        scene.evaluator.replace_rules([rule(), rule()])


def test_what_cannot_be_meant_is_refused_at_the_start() -> None:
    with pytest.raises(RuleError, match="two rules named 'high_error_rate'"):
        Scene(rule(), rule())
    with pytest.raises(RuleError, match=r"rule 'high_error_rate': channels: 'pagr' is unknown; allowed: memory"):
        Scene(rule(channels=("pagr",)))
    with pytest.raises(RuleError, match="two channels named 'memory'"):
        Scene(rule(), channels=[Remembering()])


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"repeat_interval_s": 0.0}, "1 s to 31 days"),
        ({"trace_url_template": "http://jaeger/trace"}, "with {trace_id} in it"),
        ({"trace_url_template": "javascript:{trace_id}"}, "http"),
        ({"max_groups": 0}, "1 or more"),
    ],
)
def test_options_say_what_is_allowed(options: dict[str, float | str | int], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        EvaluatorOptions(**options)  # type: ignore[arg-type]  # what is wrong is the point


def test_a_channel_may_come_and_go_while_alerts_stand() -> None:
    scene = Scene(rule())
    scene.values.set("error_rate", 0.5)
    scene.tick()
    late = Remembering("late")
    scene.evaluator.add_channel(late)
    scene.tick()
    assert late.told == FIRING
    assert scene.channel.told == FIRING
    with pytest.raises(RuleError, match="two channels named 'late'"):
        scene.evaluator.add_channel(Remembering("late"))
    assert scene.evaluator.remove_channel("late")
    assert not scene.evaluator.remove_channel("late")
    scene.values.set("error_rate", 0.0)
    scene.tick()
    assert late.told == FIRING
    assert scene.channel.told == FIRING + RESOLVED


def test_pending_rules_can_be_seen() -> None:
    scene = Scene(rule(for_s=60.0, group_by="agent"))
    scene.values.set("error_rate", 0.5, WRITER)
    scene.tick()
    assert scene.evaluator.pending() == (("high_error_rate", WRITER),)
