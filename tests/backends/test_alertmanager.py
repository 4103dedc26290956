"""Our alerts in a real Alertmanager: told once, updated while they fire, over when they are over."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from kaizen_processors.alerts.channels.alertmanager import AlertmanagerChannel
from kaizen_processors.alerts.evaluator import Evaluator
from kaizen_processors.alerts.evaluator_options import EvaluatorOptions
from kaizen_processors.alerts.silences import Matcher
from kaizen_processors.alerts.values import Group, WorstExecution
from tests.backends.alertmanager import Alertmanager, running_alertmanager
from tests.backends.processes import wait_for
from tests.processors.alerts.json_server import JsonServer, json_server
from tests.processors.alerts.support import RankedValues, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kaizen_processors.alerts.rules import Rule

TRACE = "0af7651916cd43dd8448eb211c80319c"
WRITER = Group("agent", "writer \u00fc\"'\\{}")


@pytest.fixture(scope="module")
def hook() -> Iterator[JsonServer]:
    with json_server() as server:
        yield server


@pytest.fixture(scope="module")
def alertmanager(hook: JsonServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alertmanager]:
    with running_alertmanager(tmp_path_factory.mktemp("alertmanager"), f"{hook.url}/hook") as one:
        yield one


class Scene:
    """An evaluator on the real clock whose only channel is Alertmanager."""

    def __init__(self, alertmanager: Alertmanager, one: Rule) -> None:
        self.values = RankedValues([WorstExecution("e1", TRACE, "writer", 1.0, "error")])
        self.evaluator = Evaluator(
            [one],
            self.values,
            [AlertmanagerChannel("am", alertmanager.url, resend_s=1.0)],
            options=EvaluatorOptions(trace_url_template="http://jaeger:16686/trace/{trace_id}"),
        )

    def judge(self, value: float) -> None:
        self.values.set("error_rate", value, WRITER)
        self.evaluator.tick()
        assert self.evaluator.flush(10.0)
        assert self.evaluator.stats()["channels"]["am"]["dropped"] == {}


def told(hook: JsonServer, name: str) -> list[tuple[str, dict[str, Any]]]:
    return [
        (alert["status"], alert)
        for body in hook.bodies
        for alert in body["alerts"]
        if alert["labels"]["alertname"] == name
    ]


def test_an_alert_is_told_once_with_its_labels_and_links_and_over_once(
    alertmanager: Alertmanager, hook: JsonServer
) -> None:
    scene = Scene(alertmanager, rule(name="told_once", group_by="agent", labels={"team": "ai"}))
    scene.judge(0.5)
    (there,) = alertmanager.alerts('alertname="told_once"')
    assert there["labels"] == {
        "alertname": "told_once",
        "severity": "warning",
        "team": "ai",
        "agent_name": WRITER.key,
    }
    assert there["annotations"] == {
        "message": f"Error rate: 50.0% ({WRITER.key})",
        "executions": f"http://jaeger:16686/trace/{TRACE}",
    }
    assert there["generatorURL"] == f"http://jaeger:16686/trace/{TRACE}"
    assert there["status"]["state"] in {"active", "unprocessed"}
    assert hook.wait_for(lambda: bool(told(hook, "told_once")))

    def heard_again() -> dict[str, Any] | None:
        scene.judge(0.75)
        (now,) = alertmanager.alerts('alertname="told_once"')
        return now if datetime.fromisoformat(now["endsAt"]) > datetime.fromisoformat(there["endsAt"]) else None

    # It goes on: Alertmanager hears so after the interval, people do not.
    later = wait_for(heard_again, what="the alert to be sent again", timeout_s=10.0)
    assert later["startsAt"] == there["startsAt"]
    assert later["annotations"]["message"].startswith("Error rate: 75.0%")

    scene.judge(0.0)
    assert hook.wait_for(lambda: [status for status, _ in told(hook, "told_once")][-1] == "resolved")
    assert [status for status, _ in told(hook, "told_once")] == ["firing", "resolved"]
    assert told(hook, "told_once")[0][1]["generatorURL"] == f"http://jaeger:16686/trace/{TRACE}"


def test_an_alert_of_a_process_that_died_ends_by_itself(alertmanager: Alertmanager, hook: JsonServer) -> None:
    Scene(alertmanager, rule(name="left_alone", group_by="agent")).judge(0.5)
    assert hook.wait_for(lambda: bool(told(hook, "left_alone")))
    assert hook.wait_for(lambda: [status for status, _ in told(hook, "left_alone")][-1] == "resolved")


@pytest.mark.parametrize(
    "text",
    [
        str(Matcher("agent_name", "=", WRITER.key)),
        'agent_name=~"writer.*"',
        'agent_name!="editor"',
        'agent_name!~"edit.*"',
        'model=""',
    ],
)
def test_a_matcher_of_ours_selects_there_what_it_selects_here(alertmanager: Alertmanager, text: str) -> None:
    scene = Scene(alertmanager, rule(name="matched", group_by="agent"))
    scene.judge(0.5)
    (ours,) = scene.evaluator.alerts()
    assert Matcher.parse(text).matches(ours.labels)
    wait_for(
        lambda: alertmanager.alerts('alertname="matched"', str(Matcher.parse(text))),
        what=f"{text} to select it",
        timeout_s=10.0,
    )
    opposite = {"=": "!=", "!=": "=", "=~": "!~", "!~": "=~"}
    matcher = Matcher.parse(text)
    other = Matcher.parse(f"{matcher.name}{opposite[matcher.operator]}{str(matcher).split(matcher.operator, 1)[1]}")
    assert not other.matches(ours.labels)
    assert alertmanager.alerts('alertname="matched"', str(other)) == []
