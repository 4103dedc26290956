"""Coverage of the registry, and what the plugin makes of it at the end of a session."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kaizen_semconv import registry
from tests.conformance.plugin import report
from tests.conformance.samples import AGENT, CHAT, NODE, collect, evaluation, scope, span
from tests.conformance.session import NEVER_EMITTED, ConformanceSession

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter

ROOT = Path(__file__).parents[2]


def _gauge(meter: Meter) -> None:
    meter.create_gauge("kaizen.active_agents", "{agent}", "Agents.").set(1, {"environment": "test"})


def _tokens(meter: Meter) -> None:
    labels = {"agent_name": "desk", "model": "gpt-4o", "token_type": "input"}
    meter.create_counter("kaizen.tokens.consumed", "{token}", "Tokens.").add(1, labels)


def test_a_new_session_has_seen_nothing_and_blames_nothing() -> None:
    session = ConformanceSession()
    unseen = session.unseen()
    assert ("span", "span.kaizen.chat") in unseen
    assert ("metric", "gen_ai.client.inference.duration") in unseen
    assert ("attribute", "gen_ai.usage.cache_write.input_tokens") in unseen
    assert ("event", "gen_ai.evaluation.result") in unseen
    models = [registry.load(version) for version in registry.versions()]
    assert {name for kind, name in unseen if kind == "metric"} == {name for model in models for name in model.metrics}
    assert session.breaches == {}


def test_what_was_emitted_is_no_longer_missed() -> None:
    session = ConformanceSession()
    before = set(session.unseen())
    session.observe_span(span(NODE))
    session.observe_log(evaluation())
    session.observe_metrics(collect(_gauge))
    assert before - set(session.unseen()) == {
        ("span", "span.kaizen.node"),
        ("attribute", "kaizen.node.type"),
        ("attribute", "kaizen.node.id"),
        ("event", "gen_ai.evaluation.result"),
        ("attribute", "gen_ai.evaluation.name"),
        ("attribute", "gen_ai.evaluation.score.value"),
        ("metric", "kaizen.active_agents"),
        ("attribute", "environment"),
    }


def test_what_others_emit_counts_for_nothing() -> None:
    session = ConformanceSession()
    before = session.unseen()
    session.observe_span(span(CHAT, instrumentation_scope=scope(name="other")))
    session.observe_metrics(collect(_gauge, name="other"))
    assert session.unseen() == before
    assert session.breaches == {}


def test_members_of_our_enums_are_counted() -> None:
    session = ConformanceSession()
    assert ("kaizen.execution.status", "success") in session.unseen_members()
    session.observe_span(span(AGENT))
    assert ("kaizen.execution.status", "success") not in session.unseen_members()
    assert ("kaizen.execution.status", "cancelled") in session.unseen_members()
    assert not any(key.startswith("gen_ai.") for key, _ in session.unseen_members())


def test_values_of_labels_are_counted_too() -> None:
    session = ConformanceSession()
    assert ("token_type", "input") in session.unseen_members()
    session.observe_metrics(collect(_tokens))
    assert ("token_type", "input") not in session.unseen_members()
    assert ("token_type", "output") in session.unseen_members()


def test_what_is_missed_is_told_once_at_the_widest() -> None:
    session = ConformanceSession()
    missed = session.missed()
    assert "span span.kaizen.chat" in missed
    assert "attribute kaizen.execution.status" in missed
    assert not [line for line in missed if line.startswith("value ") or " on " in line]
    session.observe_span(span(AGENT))
    session.observe_span(span(CHAT | {"user.id": "u"}))
    missed = session.missed()
    assert "span span.kaizen.chat" not in missed
    assert "value 'cancelled' of kaizen.execution.status" in missed
    assert "value 'success' of kaizen.execution.status" not in missed
    assert "user.id on span span.kaizen.invoke_agent" in missed
    assert "user.id on span span.kaizen.chat" not in missed


def test_what_no_test_can_bring_about_is_not_missed() -> None:
    session = ConformanceSession()
    session.observe_log(evaluation(**{"gen_ai.response.id": "x"}))
    for use in NEVER_EMITTED:
        assert use not in session.missed()


def test_a_use_that_is_said_to_be_never_emitted_must_not_be() -> None:
    session = ConformanceSession()
    assert session.outdated() == []
    session.observe_log(evaluation(**{"gen_ai.response.id": "x"}))
    assert session.outdated() == ["gen_ai.response.id on event gen_ai.evaluation.result"]
    assert [line for line in report(session, whole=True) if "NEVER_EMITTED" in line] == [
        "emitted, or unknown, though NEVER_EMITTED names it: gen_ai.response.id on event gen_ai.evaluation.result"
    ]


def test_an_attribute_seen_elsewhere_is_still_missed_where_it_belongs() -> None:
    session = ConformanceSession()
    session.observe_span(span(AGENT | {"user.id": "u"}))
    assert "user.id on span span.kaizen.chat" in session.unseen_uses()
    assert "user.id on span span.kaizen.invoke_agent" not in session.unseen_uses()
    assert ("attribute", "user.id") not in session.unseen()


def test_a_breach_is_told_once_with_the_place_that_showed_it_first() -> None:
    session = ConformanceSession()
    wrong = span(CHAT | {"kaizen.nowhere": 1})
    session.observe_span(wrong, "tests/a.py::test_a")
    session.observe_span(wrong, "tests/b.py::test_b")
    assert list(report(session, whole=False)) == [
        "not conformant: span 'chat gpt-4o': unknown attribute kaizen.nowhere   [tests/a.py::test_a]"
    ]


def test_only_a_whole_session_is_asked_for_every_entry() -> None:
    session = ConformanceSession()
    assert list(report(session, whole=False)) == []
    assert "never emitted: span span.kaizen.chat" in list(report(session, whole=True))


CONFTEST = """
from tests.conformance.plugin import (
    pytest_addoption,
    pytest_report_to_serializable,
    pytest_sessionfinish,
    pytest_terminal_summary,
    pytest_testnodedown,
)
"""
GOOD = """
from tests.conformance.plugin import observe_span
from tests.conformance.samples import NODE, span

def test_good():
    observe_span(span(NODE))

def test_other():
    pass
"""
BAD = """
from tests.conformance.plugin import observe_span
from tests.conformance.samples import NODE, span

def test_bad():
    observe_span(span(NODE | {"kaizen.nowhere": 1}))
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A project of its own, with the hooks in its conftest."""
    (tmp_path / "pytest.ini").write_text("[pytest]\ntestpaths = suite\n", "utf-8")
    (tmp_path / "suite").mkdir()
    (tmp_path / "suite/conftest.py").write_text(CONFTEST, "utf-8")
    (tmp_path / "suite/test_good.py").write_text(GOOD, "utf-8")
    return tmp_path


def _run(suite: Path, *arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore", *arguments]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    done = subprocess.run(  # noqa: S603  our own interpreter, on a folder of this test
        command, cwd=suite, env=environment, check=False, capture_output=True, text=True
    )
    return done.returncode, done.stdout + done.stderr


def test_a_whole_session_that_never_emitted_an_entry_fails_and_lists_it(suite: Path) -> None:
    status, output = _run(suite)
    assert status == 1, output
    assert "never emitted: span span.kaizen.chat" in output
    assert "never emitted: span span.kaizen.node" not in output
    assert "2 passed" in output


@pytest.mark.parametrize(
    "selection",
    [("-k", "good"), ("suite/test_good.py",), ("suite/test_good.py::test_good",), ("--conformance=partial",)],
)
def test_a_selection_of_conformant_tests_passes(suite: Path, selection: tuple[str, ...]) -> None:
    status, output = _run(suite, *selection)
    assert status == 0, output
    assert "never emitted" not in output


def test_a_selection_can_be_declared_whole(suite: Path) -> None:
    status, output = _run(suite, "-k", "good", "--conformance=whole")
    assert status == 1, output
    assert "never emitted: span span.kaizen.chat" in output


def test_naming_the_folder_of_all_tests_is_the_whole_session(suite: Path) -> None:
    status, output = _run(suite, "suite")
    assert status == 1, output
    assert "never emitted" in output


def test_a_breach_fails_any_session_and_names_its_test(suite: Path) -> None:
    (suite / "suite/test_bad.py").write_text(BAD, "utf-8")
    status, output = _run(suite, "-k", "bad")
    assert status == 1, output
    assert "1 passed" in output
    assert "not conformant: span 'node PythonCodeNode': unknown attribute kaizen.nowhere" in output
    assert "[suite/test_bad.py::test_bad]" in output


def test_a_failed_session_does_not_miss_what_its_failed_tests_may_emit(suite: Path) -> None:
    (suite / "suite/test_fails.py").write_text("def test_fails():\n    assert False\n", "utf-8")
    status, output = _run(suite)
    assert status == 1, output
    assert "never emitted" not in output


ODD = """
import pytest

def test_odd(request):
    request.node.add_report_section("call", "log", "\\ud800 is no character")
"""


def test_what_workers_emitted_comes_together(suite: Path) -> None:
    (suite / "suite/test_bad.py").write_text(BAD, "utf-8")
    (suite / "suite/test_odd.py").write_text(ODD, "utf-8")
    status, output = _run(suite, "-p", "xdist", "-n", "2", "--dist", "loadfile", "--conformance=whole")
    assert status == 1, output
    assert "4 passed" in output
    assert "never emitted: span span.kaizen.chat" in output
    assert "never emitted: span span.kaizen.node" not in output
    assert "[suite/test_bad.py::test_bad]" in output


def test_what_one_session_packs_another_has_seen() -> None:
    there, here = ConformanceSession(), ConformanceSession()
    there.observe_span(span(AGENT | {"user.id": "u", "kaizen.nowhere": "\ud800"}), "tests/a.py::test_a")
    there.observe_metrics(collect(_tokens))
    here.merge(there.packed())
    assert here.missed() == there.missed()
    assert here.breaches == there.breaches
    assert "value 'success' of kaizen.execution.status" not in here.missed()
