"""Webhook, Alertmanager, OpenTelemetry events: what is sent, and what an answer means."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from kaizen_processors.alerts.alert import Alert, ExecutionLink
from kaizen_processors.alerts.channels import channels_from
from kaizen_processors.alerts.channels.alertmanager import AlertmanagerChannel
from kaizen_processors.alerts.channels.channel import DeliveryError
from kaizen_processors.alerts.channels.dispatch import Dispatcher, RetryPolicy
from kaizen_processors.alerts.channels.webhook import WebhookChannel
from kaizen_processors.alerts.rules import RuleError
from kaizen_processors.alerts.standing import alert_of_record, alert_record
from tests.processors.alerts.json_server import JsonServer, json_server
from tests.processors.alerts.support import START_NS, HandClock, Scene, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

TRACE = "0af7651916cd43dd8448eb211c80319c"
ALERT = Alert(
    type="high_error_rate",
    severity="warning",
    measure="error_rate",
    message="Error rate: 50.0% (writer)",
    value=0.5,
    threshold=0.1,
    status="firing",
    labels={"alertname": "high_error_rate", "severity": "warning", "agent_name": "writer"},
    annotations={"summary": "ü\ud800"},
    starts_at_ns=START_NS,
    executions=(
        ExecutionLink("e1", "writer", "error", 9.0, TRACE, f"http://jaeger/trace/{TRACE}"),
        ExecutionLink("e2", "writer", "error", None, cost_complete=False),
    ),
)


@pytest.fixture
def server() -> Iterator[JsonServer]:
    with json_server() as one:
        yield one


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_webhook_gets_the_alert_as_json(server: JsonServer) -> None:
    channel = WebhookChannel("hook", f"{server.url}/alerts", headers={"Authorization": "Bearer secret"})
    channel.send(ALERT)
    channel.send(ALERT.resolved(START_NS + 10**9))
    began, over = server.bodies
    assert began == ALERT.as_dict()
    assert [one["value"] for one in began["executions"]] == [9.0, None]
    assert began["executions"][0]["url"] == f"http://jaeger/trace/{TRACE}"
    assert (began["status"], began["starts_at"], began["ends_at"]) == ("firing", "2026-01-01T00:00:00.000Z", None)
    assert (over["status"], over["ends_at"]) == ("resolved", "2026-01-01T00:00:01.000Z")
    assert server.paths == ["/alerts", "/alerts"]
    assert server.headers[0]["authorization"] == "Bearer secret"
    assert [h["idempotency-key"] for h in server.headers] == [f"{ALERT.id}-firing", f"{ALERT.id}-resolved"]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_passing_refusal_is_to_be_tried_again_when_the_server_says(server: JsonServer, status: int) -> None:
    server.script = [(status, {"retry-after": "7"})]
    with pytest.raises(DeliveryError) as caught:
        WebhookChannel("hook", server.url).send(ALERT)
    assert (caught.value.retry, caught.value.after_s, caught.value.reason) == (True, 7.0, f"http_{status}")


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 413])
def test_a_lasting_refusal_is_not(server: JsonServer, status: int) -> None:
    server.script = [(status, {"location": f"{server.url}/elsewhere", "retry-after": "7"})]
    with pytest.raises(DeliveryError) as caught:
        WebhookChannel("hook", server.url).send(ALERT)
    assert (caught.value.retry, caught.value.after_s) == (False, None)
    assert server.paths == ["/"]


def test_nobody_there_is_to_be_tried_again() -> None:
    with pytest.raises(DeliveryError, match="unreachable") as caught:
        WebhookChannel("hook", f"http://127.0.0.1:{closed_port()}").send(ALERT)
    assert caught.value.retry


def test_an_outage_of_the_webhook_delays_the_alert_and_loses_nothing(server: JsonServer) -> None:
    server.script = [(503, {}), (503, {}), (429, {})]
    scene = Scene(
        rule(), channels=[WebhookChannel("hook", server.url)], retry=RetryPolicy(first_s=0.001, longest_s=0.002)
    )
    for value in (0.5, 0.0):
        scene.values.set("error_rate", value)
        scene.tick(15.0)
    assert [body["status"] for body in server.bodies] == ["firing"] * 4 + ["resolved"]
    assert len({headers["idempotency-key"] for headers in server.headers[:4]}) == 1


def test_an_address_is_not_in_what_is_raised() -> None:
    with pytest.raises(DeliveryError) as caught:
        WebhookChannel("hook", f"http://127.0.0.1:{closed_port()}/secret-token").send(ALERT)
    assert "secret-token" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"url": "slack"}, r"allowed: http\(s\)://host"),
        ({"url": "ftp://host"}, "allowed"),
        ({"url": "http://"}, "allowed"),
        ({"url": "http://host/\n"}, "allowed"),
        ({"url": "http://host", "headers": {"a b": "c"}}, "is no header"),
        ({"url": "http://host", "headers": {"a": "b\r\nc: d"}}, "is no header"),
        ({"url": "http://host", "timeout_s": 0}, "more than 0, up to 300"),
    ],
)
def test_what_no_webhook_can_be_is_refused_at_the_start(arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        WebhookChannel("hook", **arguments)


def test_alertmanager_gets_labels_times_and_links(server: JsonServer) -> None:
    clock = HandClock()
    channel = AlertmanagerChannel("am", server.url + "/", resend_s=30.0, clock=clock)
    clock.advance(10.0)
    channel.send(ALERT)
    channel.send(ALERT.resolved(START_NS + 20 * 10**9))
    assert server.paths == ["/api/v2/alerts"] * 2
    assert server.bodies[0] == [
        {
            "labels": {"alertname": "high_error_rate", "severity": "warning", "agent_name": "writer"},
            "annotations": {
                "message": "Error rate: 50.0% (writer)",
                "executions": f"http://jaeger/trace/{TRACE}\ne2",
                "summary": "ü\ud800",
            },
            "startsAt": "2026-01-01T00:00:00.000Z",
            "endsAt": "2026-01-01T00:02:10.000Z",  # four times the interval from now
            "generatorURL": f"http://jaeger/trace/{TRACE}",
        }
    ]
    assert server.bodies[1][0]["endsAt"] == "2026-01-01T00:00:20.000Z"


def test_one_alertmanager_of_a_cluster_is_enough(server: JsonServer) -> None:
    down = f"http://127.0.0.1:{closed_port()}"
    AlertmanagerChannel("am", [down, server.url]).send(ALERT)
    assert len(server.bodies) == 1
    with pytest.raises(DeliveryError, match="unreachable"):
        AlertmanagerChannel("am", [down, down]).send(ALERT)


def test_it_hears_again_of_what_goes_on_and_people_do_not(server: JsonServer) -> None:
    scene = Scene(rule(), channels=[AlertmanagerChannel("am", server.url, resend_s=30.0)])
    scene.values.set("error_rate", 0.5)
    for _ in range(5):
        scene.tick(15.0)
    assert len(server.bodies) == 3
    assert scene.channel.told == [("high_error_rate", "firing")]


def test_channels_can_be_described_by_a_dictionary(server: JsonServer) -> None:
    ops, alertmanager = channels_from(
        {"ops": {"type": "webhook", "url": server.url}, "alertmanager": {"urls": [server.url], "resend_s": 15}}
    )
    assert isinstance(ops, WebhookChannel)
    assert isinstance(alertmanager, AlertmanagerChannel)
    dispatcher = Dispatcher([ops, alertmanager])
    for name in ("ops", "alertmanager"):
        dispatcher.tell(name, ALERT)
    assert dispatcher.flush(10.0)
    assert sorted(server.paths) == ["/", "/api/v2/alerts"]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"ops": {"type": "pigeon"}}, r"channels\.ops: type 'pigeon' is unknown; allowed: webhook, alertmanager"),
        ({"ops": {"type": "webhook"}}, "`url` is missing"),
        (
            {"ops": {"type": "webhook", "uri": "http://host"}},
            r"unknown key 'uri' \(did you mean url\?\); allowed: type, url, headers",
        ),
        ({"ops": "http://host"}, "must be a mapping"),
        ({"my ops": {"type": "webhook"}}, "names are letters"),
        ({"ops": {"type": "alertmanager", "urls": []}}, "urls is empty"),
        ({"ops": {"type": "alertmanager", "urls": "http://host", "resend_s": 0}}, "allowed: 1 to 3600"),
    ],
)
def test_a_channel_that_cannot_be_made_says_why(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(RuleError, match=problem):
        channels_from(given)


def test_an_alert_that_was_kept_reads_as_it_was() -> None:
    alert = replace(ALERT, annotations={"summary": "fails"})
    assert alert_of_record(json.loads(json.dumps(alert_record(alert)))) == alert
