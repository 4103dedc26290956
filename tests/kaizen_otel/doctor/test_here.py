"""`kaizen-otel doctor` on variables, settings, versions and this machine; and how it prints."""

from __future__ import annotations

import os
import socket
import sqlite3
from contextlib import closing
from importlib import metadata
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from kaizen_otel.cli import app
from kaizen_otel.doctor.findings import Level
from kaizen_otel.doctor.variables import known_variables
from kaizen_otel.doctor.versions import check_versions
from kaizen_otel.worker_card import CARD, WorkerCard
from kaizen_processors.export.spool import Spool
from tests.kaizen_otel.doctor.examined import at, examined, run
from tests.processors.delivery.backend import Backend, Reply, unused_url
from tests.processors.store.host import Host

if TYPE_CHECKING:
    from pathlib import Path


def test_without_any_variable_only_the_lack_of_an_output_is_told() -> None:
    seen = examined()
    assert (seen.status, seen.report["errors"], seen.report["warnings"]) == (0, 0, 1)
    assert "nothing leaves the process" in seen.one("outputs")["message"]
    assert examined("--strict").status == 1


def test_slips_in_names_are_told_with_what_was_meant() -> None:
    seen = examined(OTEL_EXPORTER_OTLP_ENDPONT="http://x", KAIZEN_OTEL_CONSLE="true")
    theirs, ours = sorted(seen.findings("variables.unknown"), key=lambda found: str(found["level"]), reverse=True)
    assert (theirs["level"], theirs["remedy"]) == ("warning", "Did you mean OTEL_EXPORTER_OTLP_ENDPOINT?")
    assert (ours["level"], ours["remedy"]) == ("error", "Did you mean KAIZEN_OTEL_CONSOLE?")
    assert seen.status == 1


def test_an_exporter_that_there_is_not_is_told_with_what_was_meant() -> None:
    found = examined(OTEL_TRACES_EXPORTER="otpl,console").one("variables.exporter")
    assert (found["level"], found["message"]) == ("warning", "OTEL_TRACES_EXPORTER=otpl: there is no such exporter")
    assert str(found["remedy"]).startswith("Did you mean otlp? Known here: console,")


def test_a_name_that_is_like_nothing_is_told_too() -> None:
    assert examined(OTEL_COFFEE="black").one("variables.unknown")["remedy"].startswith("Remove it")


def test_every_variable_of_opentelemetry_is_known() -> None:
    seen = examined(**dict.fromkeys(known_variables(), "") | {"OTEL_PYTHON_FLASK_EXCLUDED_URLS": "health"})
    assert not seen.findings("variables.unknown")


def test_each_value_that_cannot_be_is_told_and_the_others_hold() -> None:
    seen = examined(KAIZEN_OTEL_CONSOLE="maybe", KAIZEN_OTEL_QUEUE_BYTES="3", KAIZEN_OTEL_CONSOLE_WIDTH="90")
    assert [found["message"].split(":")[0] for found in seen.findings("variables.value")] == [
        "KAIZEN_OTEL_CONSOLE",
        "KAIZEN_OTEL_QUEUE_BYTES",
    ]
    assert seen.report["settings"]["console_width"] == {
        "value": "90",
        "source": "environment variable KAIZEN_OTEL_CONSOLE_WIDTH",
    }


@pytest.mark.parametrize(
    ("env", "check", "level", "says"),
    [
        ({"ENDPOINT": "http://127.0.0.1:4317"}, "variables.port", "warning", "the protocol is http/protobuf"),
        ({"ENDPOINT": "http://127.0.0.1:4318", "PROTOCOL": "grpc"}, "variables.port", "warning", "is grpc"),
        ({"ENDPOINT": "http://127.0.0.1:1/v1/traces"}, "variables.path", "warning", "the path of one signal"),
        ({"TRACES_ENDPOINT": "http://127.0.0.1:1"}, "variables.path", "warning", "has no path"),
        ({"ENDPOINT": "http://127.0.0.1:1/x", "PROTOCOL": "grpc"}, "variables.path", "warning", "does not use"),
        ({"ENDPOINT": "http://127.0.0.1:1", "CERTIFICATE": __file__}, "variables.plain", "warning", "is http://"),
        ({"ENDPOINT": "collector:4318"}, "variables.endpoint", "error", "no http(s) URL"),
        ({"ENDPOINT": "http://127.0.0.1:http"}, "variables.endpoint", "error", "no URL"),
        ({"PROTOCOL": "http/json"}, "variables.protocol", "warning", "taken as http/protobuf"),
        ({"COMPRESSION": "rar"}, "variables.compression", "warning", "unknown"),
        ({"TIMEOUT": "10000"}, "variables.timeout", "warning", "167 minutes"),
        ({"TIMEOUT": "soon"}, "variables.timeout", "error", "no time"),
        ({"CERTIFICATE": "/nowhere/ca.pem"}, "variables.file", "error", "there is no file /nowhere/ca.pem"),
        ({"HEADERS": "hunter2"}, "variables.headers", "error", "without “=”"),
        ({"HEADERS": "x=hunter2%0Ab", "ENDPOINT": "http://localhost:9"}, "variables.headers", "error", "header 'x'"),
        (
            {"HEADERS": "x=hunter2%E2%82%AC", "PROTOCOL": "grpc", "ENDPOINT": "http://localhost:9"},
            "variables.headers",
            "error",
            "(printable ASCII can)",
        ),
    ],
)
def test_contradictions_are_told_once(env: dict[str, str], check: str, level: str, says: str) -> None:
    seen = examined(**{f"OTEL_EXPORTER_OTLP_{name}": value for name, value in env.items()})
    found = seen.one(check)
    assert (found["level"], says in found["message"]) == (level, True)
    assert found["remedy"]
    assert "hunter2" not in seen.text
    run(**{f"OTEL_EXPORTER_OTLP_{name}": value for name, value in env.items()})  # for people, too: it ends in order


def test_a_name_of_grpcs_own_is_left_to_grpc() -> None:
    seen = examined(OTEL_EXPORTER_OTLP_ENDPOINT="unix:/run/otel.sock", OTEL_EXPORTER_OTLP_PROTOCOL="grpc")
    assert seen.one("variables.endpoint")["level"] == "info"
    assert not seen.findings("dns")
    assert not seen.findings("outputs")
    assert seen.status == 0


def test_otlp_that_is_switched_off_is_told() -> None:
    seen = examined(**at(unused_url(), KAIZEN_OTEL_OTLP="false"))
    assert seen.one("outputs")["message"] == "nothing leaves the process: OTLP is switched off"


def test_what_switches_telemetry_off_is_told() -> None:
    assert examined(OTEL_SDK_DISABLED="true").one("variables.disabled")["level"] == "warning"
    assert examined(OTEL_TRACES_SAMPLER="always_off").one("variables.sampler")["level"] == "warning"
    assert examined(OTEL_TRACES_SAMPLER="traceidratio", OTEL_TRACES_SAMPLER_ARG="50").one("variables.sampler")
    assert examined(KAIZEN_OTEL_MONITORING_LEVEL="off").one("settings.off")["level"] == "warning"
    env = {"OTEL_TRACES_EXPORTER": "console", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{unused_url()}/v1/traces"}
    assert examined(**env).one("variables.exporter")["level"] == "info"


def test_settings_of_a_file_are_told_with_their_line(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("console: true\nredact_patterns: [hunter2]\n")
    seen = examined("--file", str(file))
    told = {found["facts"]["setting"]: found["facts"] for found in seen.findings("settings.value")}
    assert told["console"] == {"setting": "console", "value": "true", "source": f"{file}:1"}
    assert told["redact_patterns"]["value"] == "<1 hidden>"
    assert "hunter2" not in seen.text


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("none.yaml", None, "--file: cannot read '{path}': No such file or directory"),
        ("bad.yaml", "console: [true", "{path}:1: expected ',' or ']', but got '<stream end>'"),
        ("bad.toml", "console = ", "{path}:1: Invalid value (at end of document)"),
        ("list.yaml", "- console", "{path}:1: not a table of settings"),
        ("settings.json", "{}", "--file: '{path}' is no settings file; allowed: .yaml, .yml, .toml"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path, name: str, text: str | None, said: str) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    result = CliRunner().invoke(app, ["doctor", "--file", str(path)])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"error: {said.replace('{path}', str(path))}\n"


def test_what_is_wrong_in_a_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("consle: true\n")
    seen = examined("--file", str(path))
    assert (seen.status, seen.one("settings")["level"]) == (1, "error")


# -- versions ---------------------------------------------------------------------------------------------------------


def levels(**versions: str | None) -> dict[str, Level]:
    """What is said of these versions, all others being as they are."""
    given = {name.replace("_", "-"): version for name, version in versions.items()}

    def version_of(name: str) -> str | None:
        if name in given:
            return given[name]
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            return None

    return {found.check: found.level for found in check_versions(version_of)}


def test_versions_that_fit_are_well() -> None:
    assert levels() == {
        "versions.python": Level.OK,
        "versions.opentelemetry": Level.OK,
        "versions.kaizen": Level.OK,
    }


def test_kaizen_may_be_missing_or_old() -> None:
    assert levels(kailash_kaizen=None)["versions.kaizen"] is Level.WARNING
    assert levels(kailash_kaizen="1.3.0")["versions.kaizen"] is Level.WARNING
    assert levels(kailash="2.0.0")["versions.kaizen"] is Level.WARNING


@pytest.mark.parametrize(
    ("name", "version"),
    [("opentelemetry_sdk", "1.20.0"), ("opentelemetry_api", "1.44.0"), ("urllib3", "1.26.0"), ("wrapt", None)],
)
def test_versions_that_do_not_fit_are_told(name: str, version: str | None) -> None:
    assert levels(**{name: version})["versions.unmet"] is Level.WARNING


# -- this machine -----------------------------------------------------------------------------------------------------


def test_what_running_processes_have_dropped_is_told(tmp_path: Path) -> None:
    host = Host(tmp_path, 2)
    for worker, failed in zip(host.workers, (3, 4), strict=True):
        card = WorkerCard("desk", {}, {"metrics": {"dropped": failed}, "traces": {"exported": 9, "dropped": 0}})
        worker.store.put_blob(CARD, card.pack())
    host.settle()
    seen = examined(KAIZEN_OTEL_STORE=str(host.path)).one("delivery")
    assert (seen["level"], seen["facts"]) == ("warning", {"metrics": 7})
    assert seen["message"] == "the processes that run have dropped telemetry: 7 metrics"


def test_the_store_is_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "store.db"
    assert "will be made" in examined(KAIZEN_OTEL_STORE=str(path)).one("store")["message"]
    host = Host(path.parent, 2)
    host.settle()
    seen = examined(KAIZEN_OTEL_STORE=str(path)).one("store")
    assert (seen["level"], seen["facts"]["workers"]) == ("ok", 2)
    assert f"process {os.getpid()} judges" in seen["message"]
    for worker in host.workers:
        worker.store.shutdown()
    assert "0 workers, nobody judges" in examined(KAIZEN_OTEL_STORE=str(path)).one("store")["message"]
    assert [file.name for file in path.parent.iterdir()] == ["store.db"]
    with closing(sqlite3.connect(path)) as newer:
        newer.execute("PRAGMA user_version = 99")
    newer_one = examined(KAIZEN_OTEL_STORE=str(path)).one("store")
    assert (newer_one["level"], newer_one["remedy"][:18]) == ("error", "Update kaizen-otel")
    path.write_bytes(path.read_bytes()[:5_000])
    broken = examined(KAIZEN_OTEL_STORE=str(path)).one("store")
    assert (broken["level"], "sets it aside" in broken["remedy"]) == ("error", True)
    for wrong in (path.parent, path / "below.db"):
        assert examined(KAIZEN_OTEL_STORE=str(wrong)).one("store")["level"] == "error"


@pytest.mark.parametrize("what", ["a text", "a database in WAL mode"])
def test_a_store_that_is_something_else_is_left_alone(tmp_path: Path, what: str) -> None:
    path = tmp_path / "other.db"
    if what == "a text":
        path.write_text("this is no database " * 100)
    else:
        with closing(sqlite3.connect(path)) as other:
            other.execute("PRAGMA journal_mode = WAL")
            other.execute("CREATE TABLE accounts (x)")
    before = path.read_bytes()
    found = examined(KAIZEN_OTEL_STORE=str(path)).one("store")
    assert (found["level"], found["facts"]["reason"]) == ("error", "not_ours")
    assert found["remedy"].startswith("Name another file")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("other.db", before)]


def test_the_spool_is_looked_at(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    with Backend() as backend:
        env = at(backend.url, KAIZEN_OTEL_SPOOL=str(folder), KAIZEN_OTEL_SPOOL_MAX_BYTES="1MiB")
        missing = examined(**env)
        assert "will be made" in missing.one("spool")["message"]
        assert not folder.exists()
        spool = Spool(folder, "traces")
        spool.append(b"payload", "", 3)
        spool.close()
        (folder / "logs-1.bad").write_bytes(b"x")
        seen = examined(**env)
    assert seen.one("spool")["level"] == "ok"
    assert seen.one("spool.waiting")["facts"]["segments"] == 1
    assert "logs-1.bad" in seen.one("spool.corrupt")["message"]
    assert not list(folder.glob(".probe*"))


def test_a_spool_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "occupied").write_text("")
    for folder in (tmp_path / "occupied", tmp_path / "occupied" / "spool"):
        seen = examined(KAIZEN_OTEL_SPOOL=str(folder))
        assert (seen.status, seen.one("spool")["level"]) == (1, "error")


def test_segments_of_another_user_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "traces-1.seg").write_bytes(b"KZSPOOL1")
    other = os.getuid() + 1
    monkeypatch.setattr("os.getuid", lambda: other)
    assert examined(KAIZEN_OTEL_SPOOL=str(tmp_path)).one("spool.foreign")["level"] == "warning"


def test_a_spool_without_otlp_is_told(tmp_path: Path) -> None:
    assert examined(KAIZEN_OTEL_SPOOL=str(tmp_path)).one("spool.unused")["level"] == "warning"


def test_the_port_for_prometheus_is_looked_at() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        env = {"KAIZEN_OTEL_PROMETHEUS_HOST": "127.0.0.1", "KAIZEN_OTEL_PROMETHEUS_PORT": str(taken.getsockname()[1])}
        assert examined(**env).one("prometheus")["level"] == "warning"
    assert examined(**env).one("prometheus")["level"] == "ok"


def test_the_file_is_looked_at(tmp_path: Path) -> None:
    assert examined(KAIZEN_OTEL_FILE=str(tmp_path / "runs.jsonl")).one("file")["level"] == "ok"
    assert examined(KAIZEN_OTEL_FILE=str(tmp_path / "none" / "runs.jsonl")).one("file")["level"] == "error"
    assert examined(KAIZEN_OTEL_FILE=str(tmp_path)).one("file")["level"] == "error"


# -- how it prints ----------------------------------------------------------------------------------------------------


def test_the_page_fits_its_columns_and_says_once_what_to_do_about_several() -> None:
    with Backend(default=Reply(401)) as backend:
        status, out = run(**at(backend.url, OTEL_SERVICE_NAME="desk"))
    assert status == 1
    assert max(len(line) for line in out.splitlines()) <= 80
    assert out.count("Set OTEL_EXPORTER_OTLP_HEADERS") == 1
    assert out.splitlines()[-1] == "3 errors. What to do stands below each."
    titles = [line for line in out.splitlines() if line and not line.startswith(" ")][:-1]
    assert titles == ["Variables", "Settings", "Versions", "Outputs", f"OTLP (http/protobuf) to {backend.url}"]


def test_where_all_is_well_the_last_line_says_so() -> None:
    with Backend() as backend:
        status, out = run(**at(backend.url))
    assert (status, out.splitlines()[-1]) == (0, "All is well.")
    assert "✓ traces: a test span was taken" in out
