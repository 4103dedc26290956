"""`kaizen-otel top` and `report` as a user runs them, on an application that they did not start."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import signal
import sqlite3
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Self

import pytest

from kaizen_otel.demo.example_answers import answer
from kaizen_otel.demo.model_server import ModelServer
from kaizen_processors.store import StoreError, StoreReader
from tests.examples.programs import environment
from tests.kaizen_otel.top.desk import RUNS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[3]
COMMAND = [sys.executable, "-c", "from kaizen_otel.cli import main; main()"]
DEADLINE_S = 90.0
EXECUTIONS = sum(times for _, times in RUNS.values())


class Desk(NamedTuple):
    """The application."""

    pid: int
    store: Path
    home: Path
    ledger: dict[str, Any]
    stdin: IO[str]
    stdout: IO[str]

    def environment(self, **extra: str) -> dict[str, str]:
        return environment(self.home, PYTHONPATH=str(ROOT), XDG_RUNTIME_DIR=str(self.home), TZ="UTC", **extra)

    def run(self, *arguments: object, **extra: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - our own command
            [*COMMAND, *map(str, arguments)],
            env=self.environment(**extra),
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=60,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def say(self) -> dict[str, Any]:
        """What the application says of itself now."""
        self.stdin.write("\n")
        self.stdin.flush()
        said: dict[str, Any] = json.loads(self.stdout.readline())
        return said

    @property
    def cost(self) -> Decimal:
        return sum((Decimal(one["cost"]) for one in self.ledger["calls"]), Decimal(0))


def wait_for(what: str, condition: Callable[[], Any]) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline_s, f"never {what}"
        time.sleep(0.1)


def is_written(store: Path) -> bool:
    """Whether everything is in the store: what was done, what fires, what was spent."""
    try:
        with StoreReader(store) as reader:
            done = reader.window(window_s=600.0).sums.executions == EXECUTIONS
            return bool(done and reader.alerts() and reader.budgets() and reader.blobs("card")[0])
    except (FileNotFoundError, StoreError):  # not there yet, or being made
        return False


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    home = tmp_path_factory.mktemp("home", numbered=True)
    home.chmod(0o700)
    store = home / "desk.db"
    with ModelServer() as server:
        server.script(answer)
        process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "tests.kaizen_otel.top.desk", server.url, str(store)],
            env=environment(home, PYTHONPATH=str(ROOT), XDG_RUNTIME_DIR=str(home)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        with process:
            try:
                ledger = json.loads(process.stdout.readline())
                wait_for("was it written", lambda: is_written(store))
                yield Desk(process.pid, store, home, ledger, process.stdin, process.stdout)
            finally:
                process.kill()


def test_it_shows_the_one_application_that_runs(desk: Desk) -> None:
    shown = desk.run("top", "--window", "1h")

    assert (shown.returncode, shown.stderr) == (0, "")
    header, overall, _, headings, _, *rows = shown.stdout.splitlines()
    assert header.startswith(f"desk · 1 worker (pid {desk.pid}) · up ")
    assert overall.startswith(f"executions {EXECUTIONS}  ")
    assert headings.split()[:4] == ["agent", "executions", "/min", "errors"]
    assert [row.split()[:2] for row in rows[:3]] == [["Guide", "3"], ["Poet", "2"], ["Lost", "1"]]
    assert any(row.startswith("warning   somebody_ran") for row in rows)
    assert any(row.startswith("desk_day") and "of $0.0001 daily" in row for row in rows)


@pytest.mark.parametrize("which", ["pid", "store"])
def test_a_pid_or_a_file_names_it(which: str, desk: Desk) -> None:
    shown = desk.run("top", desk.pid if which == "pid" else desk.store)

    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith(f"desk · 1 worker (pid {desk.pid})")


def test_the_figures_are_the_ledgers(desk: Desk) -> None:
    frame = json.loads(desk.run("top", "--json", "--window", "1h").stdout)

    agents = {one["agent_name"]: one for one in frame["agents"]}
    for one in desk.ledger["calls"]:
        row = agents[one["agent"]]
        assert row["tokens_input"] == int(one["input_tokens"])
        assert row["tokens_output"] == int(one["output_tokens"])
        assert row["model_calls"] == int(one["model_calls"])
        if one["model"] != "no-such-model":
            assert row["cost_usd"] == float(Decimal(one["cost"]))
    assert frame["overall"]["total_executions"] == EXECUTIONS
    assert frame["overall"]["failed_executions"] == 1
    assert frame["overall"]["active_agents"] == len(RUNS)
    assert {one["type"] for one in frame["firing"]} == {"somebody_ran", "desk_day"}
    (budget,) = frame["budgets"]
    assert budget["spent_usd"] == float(desk.cost)


def test_by_model_and_in_another_order(desk: Desk) -> None:
    shown = desk.run("top", "--by", "model", "--sort", "name", "--window", "1h").stdout.splitlines()

    assert [line.split()[0] for line in shown[5:8]] == ["gpt-4o", "gpt-4o-mini", "no-such-model"]


class Screen:
    """`kaizen-otel top` on a terminal."""

    def __init__(self, desk: Desk, *arguments: object) -> None:
        self.seen = b""
        self._screen, terminal = pty.openpty()
        self.process = subprocess.Popen(  # noqa: S603 - our own command
            [*COMMAND, "top", *map(str, arguments), "--interval", "200ms", "--window", "1h"],
            env={**desk.environment(LINES="30"), "NO_COLOR": "", "TERM": "xterm"},
            stdin=terminal,
            stdout=terminal,
            stderr=subprocess.PIPE,
        )
        os.close(terminal)

    def count(self, text: str) -> int:
        """How often a text was drawn so far."""
        with contextlib.suppress(OSError):  # that is how Linux says that nobody writes any more
            while select.select([self._screen], [], [], 0)[0]:
                self.seen += os.read(self._screen, 65_536)
        return self.seen.count(text.encode())

    def stop(self) -> tuple[int, bytes]:
        """Press Ctrl+C; the exit status, and what was complained of."""
        self.process.send_signal(signal.SIGINT)
        _, complaints = self.process.communicate(timeout=30)
        self.count("")
        return self.process.returncode, complaints

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._screen)


def test_it_draws_frame_after_frame_on_a_terminal_until_it_is_told_to_stop(desk: Desk) -> None:
    with Screen(desk, desk.pid) as screen:
        wait_for("were three frames drawn", lambda: screen.count(f"(pid {desk.pid})") >= 3)
        assert screen.stop() == (0, b"")

    assert b"\x1b[?1049h" in screen.seen  # a screen of its own …
    assert screen.seen.rstrip().endswith((b"\x1b[?1049l", b"\x1b[?25h"))  # … and the user's again
    assert b"Guide" in screen.seen


def test_a_store_that_cannot_be_read_for_a_while_leaves_the_last_frame(desk: Desk, tmp_path: Path) -> None:
    store = tmp_path / "copy.db"
    with contextlib.closing(sqlite3.connect(desk.store)) as source, contextlib.closing(sqlite3.connect(store)) as copy:
        source.backup(copy)
    whole = store.read_bytes()
    with Screen(desk, store) as screen:
        wait_for("was a frame drawn", lambda: screen.count("Guide"))
        store.write_bytes(b"noise " * 1_000)
        wait_for("was it said", lambda: screen.count("not new:"))
        frames = screen.count("Guide")
        wait_for("did the figures stay", lambda: screen.count("Guide") > frames)
        store.write_bytes(whole)
        said = screen.count("not new:")
        wait_for("did it go on", lambda: screen.count("Guide") > frames + 5)
        assert screen.stop() == (0, b"")

    assert screen.seen.count(b"not new:") <= said + 1


def test_the_application_does_not_notice(desk: Desk) -> None:
    before = desk.say()
    for _ in range(3):
        assert desk.run("top", desk.pid).returncode == 0
        assert desk.run("report", desk.store).returncode == 0
    after = desk.say()

    assert after["failures"] == {}
    assert after["store"]["failures"] == {}
    assert after["executions"] == before["executions"]


@pytest.mark.parametrize("command", ["top", "report"])
@pytest.mark.parametrize(
    ("which", "said"),
    [
        ("4194399", "there is no process 4194399"),
        ("1", "process 1 has no store, or is another user's; switch it on there: kaizen_otel.instrument(store=True)"),
        ("none.db", "none.db: there is no such file"),
        (__file__, "it is something else's"),
    ],
    ids=["no process", "no store", "no file", "no database"],
)
def test_what_has_no_store_is_told_how_to_switch_it_on(command: str, which: str, said: str, desk: Desk) -> None:
    shown = desk.run(command, which)

    assert shown.returncode == 2
    assert shown.stdout == ""
    assert shown.stderr.startswith("error: ")
    assert said in shown.stderr


def test_with_nothing_running_it_says_how_to_begin(desk: Desk, tmp_path: Path) -> None:
    shown = _elsewhere(desk, tmp_path)

    assert shown.returncode == 2
    assert shown.stderr.startswith("error: no application of yours that keeps a store is running; name a file")


def _elsewhere(desk: Desk, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own command
        [*COMMAND, "top"],
        env={**desk.environment(), "XDG_RUNTIME_DIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--window", "soon"], "--window cannot be 'soon'; allowed: a duration from 1s to"),
        (["--interval", "1ms"], "--interval cannot be '1ms'"),
    ],
)
def test_options_that_are_not_allowed(options: list[str], said: str, desk: Desk) -> None:
    shown = desk.run("top", desk.pid, *options)

    assert shown.returncode == 2
    assert said in shown.stderr


def test_a_report_says_what_the_ledger_says(desk: Desk) -> None:
    report = json.loads(desk.run("report", desk.pid, "--since", "1h", "--format", "json").stdout)

    totals = report["totals"]
    assert (totals["executions"], totals["errors"]) == (EXECUTIONS, 1)
    assert totals["cost_usd"] == float(desk.cost)
    assert totals["cost_complete"] is False  # of the model that does not exist nothing is known
    for figure in ("input_tokens", "output_tokens", "model_calls"):
        assert totals[figure] == sum(int(one[figure]) for one in desk.ledger["calls"])
        assert sum(one[figure] for one in report["lines"]) == totals[figure]
        assert sum(one[figure] for one in report["trend"]) == totals[figure]
    assert [one["agent"] for one in report["lines"]] == ["Guide", "Poet", "Lost"]
    assert {one["type"] for one in report["firing"]} == {"somebody_ran", "desk_day"}
    assert report["before"] is None


def test_a_report_of_a_time_in_which_nothing_happened_has_a_status_of_its_own(desk: Desk) -> None:
    shown = desk.run("report", desk.store, "--since", "2020-01-01", "--until", "2020-01-08")

    assert shown.returncode == 1
    assert shown.stdout.startswith("desk: 2020-01-01 00:00 to 2020-01-08 00:00 (UTC)")
