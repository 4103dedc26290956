"""`kaizen-otel doctor` on rules, prices and the Alertmanager: never green where `instrument()` raises."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

import kaizen_otel
from tests.kaizen_otel.doctor.examined import examined
from tests.processors.delivery.backend import unused_url

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RULES = "rules:\n  - name: many_errors\n    condition: {condition}\n    channels: [{channel}]\n"


def written(path: Path, text: str | None) -> str:
    if text is not None:
        path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("variable", "text", "check", "says"),
    [
        ("KAIZEN_OTEL_ALERT_RULES", None, "rules", "cannot be read: No such file"),
        (
            "KAIZEN_OTEL_ALERT_RULES",
            RULES.format(condition="eror_rate > 1", channel="events"),
            "rules",
            "did you mean `error_rate`? allowed:",
        ),
        ("KAIZEN_OTEL_ALERT_RULES", "rulez: []", "rules", "rulez"),
        ("KAIZEN_OTEL_PRICE_FILE", None, "prices", "cannot be read: No such file"),
        ("KAIZEN_OTEL_PRICE_FILE", "prizes: []", "prices", "prizes"),
    ],
)
def test_what_instrument_refuses_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, text: str | None, check: str, says: str
) -> None:
    given = written(tmp_path / "file.yaml", text)
    seen = examined(**{variable: given})
    found = seen.one(check)
    assert (seen.status, found["level"]) == (1, "error")
    assert says in found["message"]
    assert "instrument() raises" in found["remedy"]
    monkeypatch.setenv(variable, given)
    with pytest.raises(ValueError, match=r"file\.yaml"):
        kaizen_otel.instrument()


def test_files_that_can_be_used_are_well(tmp_path: Path) -> None:
    rules = written(tmp_path / "rules.yaml", RULES.format(condition="error_rate > 0.1", channel="events"))
    seen = examined(KAIZEN_OTEL_ALERT_RULES=rules)
    assert (seen.status, seen.levels("rules"), seen.one("rules")["facts"]) == (0, ["ok"], {"count": 1})
    assert not seen.findings("rules.channels")
    assert not seen.findings("prices")


def test_rules_that_nobody_judges_are_not_read(tmp_path: Path) -> None:
    seen = examined(KAIZEN_OTEL_ALERT_RULES=str(tmp_path / "none.yaml"), KAIZEN_OTEL_ALERTING="false")
    assert (seen.status, seen.findings("rules")) == (0, [])


def test_a_channel_that_may_be_a_handler_is_a_warning(tmp_path: Path) -> None:
    rules = written(tmp_path / "rules.yaml", RULES.format(condition="error_rate > 0.1", channel="slack"))
    seen = examined(KAIZEN_OTEL_ALERT_RULES=rules)
    found = seen.one("rules.channels")
    assert (seen.status, found["level"]) == (0, "warning")
    assert "slack" in found["message"]
    assert "register_alert_handler()" in found["remedy"]


@contextmanager
def server(answers: dict[str, tuple[int, str]]) -> Iterator[str]:
    """Answers each path as told, and all others with 404."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers.get(self.path, (404, "not found"))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        listening.daemon_threads = True
        threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_address[1]}"
        listening.shutdown()


STATUS = json.dumps({"cluster": {"status": "ready"}, "versionInfo": {"version": "0.28.0"}})


def test_an_alertmanager_that_answers_is_well() -> None:
    with server({"/under/api/v2/status": (200, STATUS)}) as url:
        found = examined(KAIZEN_OTEL_ALERTMANAGER_URL=f"{url}/under/").one("alertmanager")
    assert (found["level"], found["facts"]) == ("ok", {"status": 200, "version": "0.28.0"})


@pytest.mark.parametrize(
    ("status", "body", "says", "remedy"),
    [
        (200, "<html>", "no Alertmanager", "another server"),
        (200, "[]", "no Alertmanager", "another server"),
        (404, "", "nothing at", "with its path"),
        (401, "", "wants a login", "notification_channels"),
        (503, "", "not ready", "log"),
    ],
)
def test_one_that_takes_no_alerts_is_an_error_that_says_how_to_mend(
    status: int, body: str, says: str, remedy: str
) -> None:
    with server({"/api/v2/status": (status, body)}) as url:
        seen = examined(KAIZEN_OTEL_ALERTMANAGER_URL=url)
    found = seen.one("alertmanager")
    assert (seen.status, found["level"]) == (1, "error")
    assert says in found["message"]
    assert remedy in found["remedy"]


def test_one_that_is_not_there_is_an_error_and_its_password_is_not_shown() -> None:
    address = unused_url().replace("http://", "http://me:hush-hush@")
    seen = examined(KAIZEN_OTEL_ALERTMANAGER_URL=address)
    found = seen.one("alertmanager")
    assert (seen.status, found["level"]) == (1, "error")
    assert "refused" in found["message"]
    assert "KAIZEN_OTEL_ALERTMANAGER_URL" in found["remedy"]
    assert "hush-hush" not in seen.text
