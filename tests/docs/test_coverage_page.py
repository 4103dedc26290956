"""docs/coverage.md against the code: what Kaizen can run, what we patch, and the tests that show it."""

from __future__ import annotations

import importlib
import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import pytest

from kaizen_otel.patches.table import PATCHER, SURFACES
from tests.docs import coverage
from tests.docs.methods import running_methods
from tests.docs.pages import ROOT
from tests.versions.capabilities import absent_modules

if TYPE_CHECKING:
    from kaizen_otel.testing import Captured

TEXT = coverage.PAGE.read_text(encoding="utf-8")
ROWS = coverage.rows(TEXT)


def without_a_row(methods: frozenset[str]) -> list[str]:
    return sorted(method for method in methods if not any(row.covers(method) for row in ROWS))


def test_every_public_method_that_runs_something_has_a_row() -> None:
    methods = running_methods()
    assert len(methods) > 1_000
    assert without_a_row(methods) == []
    assert without_a_row(methods | {"kaizen.new.module:Agent.run"}) == ["kaizen.new.module:Agent.run"]


def test_a_method_runs_something_by_its_name_because_it_is_awaited_or_by_what_it_calls() -> None:
    methods = running_methods()
    assert {
        "kaizen.memory.short_term:ShortTermMemory.search",
        "kaizen_agents.patterns.registry:AgentRegistry.list_agents",
        "kaizen_agents.patterns.pipeline:Pipeline.to_agent",
        "kaizen.judges._judge:LLMJudge.__call__",
    } <= methods
    assert methods.isdisjoint(
        {
            "kaizen.memory.short_term:ShortTermMemory.get_recent",  # waits for nothing, asks nobody
            "kaizen.nodes.ai.llm_agent:LLMAgentNode.run",  # `Node.execute` is what is called
            "kaizen.orchestration.runtime:OrchestrationRuntime.__init__",
            "kaizen_agents.orchestration.adapters:StructuredLLMAdapter.complete",  # a protocol's
        }
    )


def test_a_method_that_kaizen_adds_to_a_class_makes_the_page_stale() -> None:
    methods, claimed = running_methods(), coverage.claims()
    assert coverage.rendered(TEXT, claimed, methods) == TEXT

    def cells(added: str) -> dict[str, str]:
        rows = coverage.rows(coverage.rendered(TEXT, claimed, methods | {added}))
        return next(row for row in rows if row.covers(added)).cells

    assert set(cells("kaizen.core.agents:Agent.execute").values()) == {"yes"}
    assert set(cells("kaizen.core.agents:Agent.execute_again").values()) == {"untested"}
    assert coverage.rendered(TEXT, claimed, methods | {"kaizen.trust.store:PostgresTrustStore.run"}) != TEXT


def test_each_yes_is_a_claim() -> None:
    claimed = coverage.claims()
    without = {method: cells for method, cells in claimed.items() if method != "kaizen.llm.client:LlmClient.stream"}
    changed = coverage.rows(coverage.rendered(TEXT, without, running_methods()))
    stream = next(row for row in changed if row.covers("kaizen.llm.client:LlmClient.stream"))
    assert set(stream.cells.values()) == {"untested"}


@pytest.mark.kaizen_otel(stream_usage=True)
def test_everything_that_is_patched_has_a_row_and_no_pattern_is_about_nothing(kaizen_telemetry: Captured) -> None:
    from kailash.nodes.base import Node

    del kaizen_telemetry
    for module in {surface.module for surface in SURFACES} - absent_modules():
        importlib.import_module(module)
    patched = frozenset(
        f"{owner.__module__}:{owner.__name__}.{name}" if isinstance(owner, type) else f"{owner.__name__}:{name}"
        for owner, name in PATCHER.patched()
        if not (isinstance(owner, type) and issubclass(owner, Node) and owner is not Node)
    )
    assert without_a_row(patched) == []
    first = {one: next(row for row in ROWS if row.covers(one)) for one in patched}
    assert sorted(one for one, row in first.items() if row.cells.get("traced") == "no") == []

    known = running_methods() | coverage.claims().keys() | patched
    patterns = [pattern for row in ROWS for pattern in row.patterns]
    assert [pattern for pattern in patterns if not any(fnmatchcase(one, pattern) for one in known)] == []


def test_each_row_says_what_shows_it_or_why_it_is_not_watched() -> None:
    for row in ROWS:
        assert row.patterns, row
        assert set(row.cells.values()) <= coverage.WORDS, row
        tests = re.findall(r"`(tests/[^`]+)`", row.reason)
        assert tests or len(row.reason.split()) > 2, row
        assert tests or not {"yes", "below"} & set(row.cells.values()), row
        for test in tests:
            path, _, name = test.partition("::")
            assert (ROOT / path).exists(), test
            assert f"def {name}" in (ROOT / path).read_text(encoding="utf-8"), test
