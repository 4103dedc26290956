"""What outlives the process: nothing is told twice, nothing undelivered is lost, windows may fill first."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from kaizen_processors.alerts.channels.channel import Channel, DeliveryError
from kaizen_processors.alerts.channels.dispatch import RetryPolicy
from kaizen_processors.alerts.silences import Silence
from kaizen_processors.alerts.state_file import StateFile, StateInUseError
from tests.processors.alerts.support import HandClock, Remembering, Scene, rule

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kaizen_processors.alerts.alert import Alert
    from kaizen_processors.alerts.rules import Rule

FIRING = [("high_error_rate", "firing")]
RESOLVED = [("high_error_rate", "resolved")]


class Process:
    """A scene whose state outlives it. The clock of the wall goes on; the monotonic one begins anew."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._wall = HandClock()
        self.told: list[tuple[str, str]] = []
        self._scene: Scene | None = None

    def start(self, *rules: Rule, after_s: float = 5.0, **options: Any) -> Scene:
        self._wall.advance(after_s)
        clock = HandClock(self._wall.wall_ns, monotonic_ns=7)
        self._scene = Scene(*rules, state=StateFile(self._path), clock=clock, **options)
        self._wall = clock
        return self._scene

    def kill(self) -> list[tuple[str, str]]:
        """End it without a word; what it was heard to say."""
        assert self._scene is not None
        scene, self._scene = self._scene, None
        state = scene.evaluator._keeper.state
        assert state is not None
        state.close()  # what the kernel does
        return scene.channel.told


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    yield (one := Process(tmp_path / "alerts.json"))
    if one._scene is not None:
        one.kill()


def test_a_restart_raises_nothing_twice(process: Process) -> None:
    scene = process.start(rule())
    scene.values.set("error_rate", 0.5)
    scene.tick()
    assert process.kill() == FIRING
    scene = process.start(rule())
    scene.values.set("error_rate", 0.5)
    scene.tick(15.0)
    assert scene.channel.told == []
    (alert,) = scene.evaluator.alerts()
    scene.values.set("error_rate", 0.0)
    scene.tick(15.0)
    assert scene.channel.told == RESOLVED
    assert scene.channel.seen[0].id == alert.id


def test_empty_windows_after_a_restart_resolve_nothing_until_they_could_have_filled(process: Process) -> None:
    scene = process.start(rule(window_s=300.0))
    scene.values.set("error_rate", 0.5)
    scene.tick()
    process.kill()
    scene = process.start(rule(window_s=300.0))
    assert [scene.tick(100.0) for _ in range(2)] == [[], []]
    assert len(scene.evaluator.alerts()) == 1
    assert scene.tick(100.0) == RESOLVED


def test_what_is_false_after_a_restart_is_over_at_once(process: Process) -> None:
    scene = process.start(rule())
    scene.values.set("error_rate", 0.5)
    scene.tick()
    process.kill()
    scene = process.start(rule())
    scene.values.set("error_rate", 0.0)
    assert scene.tick(10.0) == RESOLVED


def test_once_there_are_data_again_missing_ones_resolve_as_always(process: Process) -> None:
    scene = process.start(rule())
    scene.values.set("error_rate", 0.5)
    scene.tick()
    process.kill()
    scene = process.start(rule())
    scene.values.set("error_rate", 0.5)
    scene.tick(15.0)
    scene.values.set("error_rate", None)
    assert scene.tick(15.0) == RESOLVED


def test_the_repeat_interval_goes_on_through_a_restart(process: Process) -> None:
    scene = process.start(rule(), repeat_interval_s=600.0)
    scene.values.set("error_rate", 0.5)
    scene.tick()
    process.kill()
    scene = process.start(rule(), after_s=300.0, repeat_interval_s=600.0)
    scene.values.set("error_rate", 0.5)
    scene.tick(15.0)
    assert scene.channel.told == []
    scene.tick(300.0)
    assert scene.channel.told == FIRING


def test_a_pending_rule_goes_on_waiting_where_it_was(process: Process) -> None:
    scene = process.start(rule(for_s=120.0))
    scene.values.set("error_rate", 0.5)
    for _ in range(5):
        scene.tick(15.0)
    process.kill()
    scene = process.start(rule(for_s=120.0), after_s=3_600.0)
    assert scene.tick(30.0) == []  # no data yet: this time does not count
    scene.values.set("error_rate", 0.5)
    answers = [scene.tick(15.0) for _ in range(8)]
    # 60 s of 120 s had been waited when it was killed.
    assert answers.index(FIRING) == 3
    assert process.kill() == FIRING


def test_a_rule_that_is_gone_has_no_alert_any_more(process: Process) -> None:
    scene = process.start(rule())
    scene.values.set("error_rate", 0.5)
    scene.tick()
    process.kill()
    scene = process.start(rule("p95_latency > 1", "slow"))
    scene.tick()
    assert scene.channel.told == RESOLVED
    assert scene.evaluator.alerts() == ()


def test_silences_outlive_a_restart(process: Process) -> None:
    scene = process.start(rule())
    scene.evaluator.silence(Silence.of(['alertname="high_error_rate"'], ends_at="2026-01-02", comment="drill"))
    process.kill()
    scene = process.start(rule())
    assert [silence.comment for silence in scene.evaluator.silences()] == ["drill"]
    scene.values.set("error_rate", 0.5)
    scene.tick()
    assert scene.channel.told == []


def test_a_silence_of_a_file_is_gone_when_the_file_does_not_say_it_again(process: Process) -> None:
    scene = process.start(rule())
    scene.evaluator.silence(Silence.of(['alertname="high_error_rate"'], ends_at="2026-01-02"), keep=False)
    process.kill()
    assert process.start(rule()).evaluator.silences() == ()


class Down(Channel):
    """Not reachable."""

    def send(self, alert: Alert) -> None:
        raise DeliveryError("unreachable", alert.type, retry=True)


def test_what_was_not_delivered_is_delivered_by_the_next_process(process: Process) -> None:
    down = Down("pager")
    scene = process.start(rule(channels=("pager",)), channels=[down], retry=RetryPolicy(first_s=60.0))
    scene.values.set("error_rate", 0.5)
    scene.clock.advance(15.0)
    assert len(scene.evaluator.tick()) == 1
    assert scene.evaluator.stats()["channels"]["pager"]["sent"] == 0
    process.kill()
    pager = type(scene.channel)("pager")
    scene = process.start(rule(channels=("pager",)), channels=[pager])
    assert scene.evaluator.flush(10.0)
    assert pager.told == FIRING
    scene.values.set("error_rate", 0.5)
    scene.tick(15.0)
    assert pager.told == FIRING


class Once(Channel):
    """Takes one alert when it may, and is down afterwards."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.entered = threading.Event()
        self.open = threading.Event()
        self.taken = 0

    def send(self, alert: Alert) -> None:
        self.entered.set()
        if not self.open.wait(30.0) or self.taken:
            raise DeliveryError("unreachable", alert.type, retry=True)
        self.taken += 1


def test_newer_news_is_not_struck_out_with_the_older(process: Process, tmp_path: Path) -> None:
    once = Once("pager")
    scene = process.start(
        rule(channels=("pager",)), channels=[once], retry=RetryPolicy(first_s=60.0), repeat_interval_s=10.0
    )
    for value in (0.5, 0.75):
        scene.values.set("error_rate", value)
        scene.clock.advance(15.0)
        scene.evaluator.tick()
        assert once.entered.wait(10.0)
    once.entered.clear()
    once.open.set()
    assert once.entered.wait(10.0)  # the older was taken and struck out, the newer is tried
    (waiting,) = json.loads((tmp_path / "alerts.json").read_text(encoding="utf-8"))["alerts"]["outbox"]
    assert waiting["alert"]["value"] == 0.75


def test_a_file_that_cannot_be_read_is_put_aside(process: Process, tmp_path: Path) -> None:
    begun = '{"kaizen_otel":"alert state","version":1,"alerts":{"sta'
    (tmp_path / "alerts.json").write_text(begun, encoding="utf-8")
    (tmp_path / "alerts.json.corrupt").write_text("an earlier one", encoding="utf-8")
    scene = process.start(rule())
    assert (tmp_path / "alerts.json.corrupt").read_text(encoding="utf-8") == "an earlier one"
    assert (tmp_path / "alerts.json.corrupt.2").read_text(encoding="utf-8") == begun
    scene.values.set("error_rate", 0.5)
    scene.tick()
    assert scene.channel.told == FIRING


@pytest.mark.parametrize(
    "standing",
    [
        [{}],
        [None],
        5,
        [
            {
                "rule": "high_error_rate",
                "group": ["none", ""],
                "phase": "firing",
                "age_ns": 1,
                "told_ages_ns": {},
                "alert": None,
            }
        ],
        [
            {
                "rule": "high_error_rate",
                "group": ["none", ""],
                "phase": "up",
                "age_ns": 1,
                "told_ages_ns": {},
                "alert": None,
            }
        ],
        [
            {
                "rule": "high_error_rate",
                "group": ["none", ""],
                "phase": "firing",
                "age_ns": 1,
                "told_ages_ns": {},
                "alert": {},
            }
        ],
    ],
)
def test_records_that_mean_nothing_are_left_out(process: Process, tmp_path: Path, standing: object) -> None:
    section = {"saved_at_ns": 0, "standing": standing, "outbox": [{}], "silences": [{"matchers": []}]}
    whole = json.dumps({"kaizen_otel": "alert state", "version": 1, "alerts": section}, separators=(",", ":"))
    (tmp_path / "alerts.json").write_text(whole, encoding="utf-8")
    scene = process.start(rule())
    assert scene.tick() == []
    assert scene.evaluator._fence.counts()


def test_two_processes_do_not_share_a_file(process: Process, tmp_path: Path) -> None:
    process.start(rule())
    with pytest.raises(StateInUseError, match="give each its own"):
        StateFile(tmp_path / "alerts.json")


def test_a_full_disk_costs_the_state_and_not_the_alert(process: Process, tmp_path: Path) -> None:
    scene = process.start(rule())
    (tmp_path / "alerts.json.unfinished").mkdir()  # nothing can be written there, whoever we are
    scene.values.set("error_rate", 0.5)
    assert scene.tick() == FIRING
    assert scene.channel.told == FIRING
    assert scene.evaluator._fence.counts() == {"alerts.state:IsADirectoryError": 2}


PROGRAM = """
import sys, time
from kaizen_processors.alerts.channels.callback import CallbackChannel
from kaizen_processors.alerts.evaluator import Evaluator
from kaizen_processors.alerts.rules import DEFAULT_RULES
from kaizen_processors.alerts.state_file import StateFile

class Numbers:
    def value(self, condition, group, window_s):
        return 0.5 if condition == "error_rate" else None
    def groups(self, by, window_s):
        return ()

def heard(alert):
    with open(sys.argv[2], "a") as file:
        file.write(alert["id"] + "\\n")

evaluator = Evaluator(DEFAULT_RULES, Numbers(), [CallbackChannel("file", heard)], state=StateFile(sys.argv[1]))
while True:
    evaluator.tick()
    evaluator.flush(10.0)
    print("ticked", flush=True)
    sys.stdin.readline()
"""


def test_kill_9_and_a_restart_raise_nothing_twice(tmp_path: Path) -> None:
    state, heard = tmp_path / "alerts.json", tmp_path / "heard"
    for _ in range(3):
        process = subprocess.Popen(  # noqa: S603 - this file's own program
            [sys.executable, "-c", PROGRAM, str(state), str(heard)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdin is not None
        assert process.stdout is not None
        with process:
            for _ in range(2):
                assert process.stdout.readline() == b"ticked\n"
                process.stdin.write(b"\n")
                process.stdin.flush()
            process.send_signal(signal.SIGKILL)
    assert len(heard.read_text(encoding="utf-8").splitlines()) == 1


def test_a_forked_child_leaves_the_parents_alerts_alone(process: Process, tmp_path: Path) -> None:
    scene = process.start(rule())
    scene.values.set("error_rate", 0.5)
    scene.tick()
    before = (tmp_path / "alerts.json").read_bytes()
    child = os.fork()
    if not child:
        standing = scene.evaluator.alerts()
        scene.values.set("error_rate", 0.0)
        scene.tick()
        os._exit(0 if not standing else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (tmp_path / "alerts.json").read_bytes() == before
    with pytest.raises(StateInUseError):
        StateFile(tmp_path / "alerts.json")


def test_news_waits_for_a_channel_that_is_added_later(process: Process) -> None:
    down = Down("pager")
    scene = process.start(rule(), channels=[down], retry=RetryPolicy(first_s=60.0))
    scene.values.set("error_rate", 0.5)
    assert len(scene.evaluator.tick()) == 1
    process.kill()
    scene = process.start(rule())
    scene.values.set("error_rate", 0.5)
    pager = Remembering("pager")
    scene.evaluator.add_channel(pager)
    scene.tick(15.0)
    assert pager.told == FIRING
    process.kill()
    scene = process.start(rule())
    scene.values.set("error_rate", 0.5)
    again = Remembering("pager")
    scene.evaluator.add_channel(again)
    scene.tick(15.0)
    assert again.told == []


def test_a_forked_child_keeps_the_silences_of_its_rules(process: Process) -> None:
    scene = process.start(rule())
    scene.evaluator.silence(Silence.of(['alertname="slow"'], ends_at="2100-01-01T00:00:00Z"), keep=False)
    scene.evaluator.silence(Silence.of(['alertname="other"'], ends_at="2100-01-01T00:00:00Z"))
    child = os.fork()
    if not child:
        os._exit(0 if [str(*one.matchers) for one in scene.evaluator.silences()] == ['alertname="slow"'] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
