"""Each rule of the registry, broken once on a copy of it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from generate import main
from semconv_generator import checks

if TYPE_CHECKING:
    from collections.abc import Callable

    Edit = Callable[[str, str, str], None]

SEMCONV = Path(__file__).parents[2] / "semconv"
ATTRIBUTES = "registry/attributes.yaml"
METRICS = "registry/metrics.yaml"
SPANS = "registry/spans.yaml"
OFFICIAL = "official/v41/gen_ai.yaml"
SIGNALS = "official/v41/signals.yaml"
LATER = "official/v42.yaml"


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("semconv")
    for folder in ("registry", "official"):
        shutil.copytree(SEMCONV / folder, root / folder)
    assert main(["--root", str(root)]) == 0
    return root


@pytest.fixture
def copy(generated: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(generated, tmp_path / "semconv"))


@pytest.fixture
def edit(copy: Path) -> Edit:
    def replace(file: str, old: str, new: str) -> None:
        path = copy / file
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{file} has no {old!r} to break"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    return replace


def test_the_committed_registry_keeps_all_rules_and_its_output_is_fresh() -> None:
    assert main(["--check"]) == 0


BREACHES = {
    "two metrics with one name": (
        METRICS,
        "metric_name: kaizen.cost.usd",
        "metric_name: kaizen.tokens.consumed",
        "metric kaizen.tokens.consumed is there 2 times",
    ),
    "one of ours has the name of an official metric": (
        METRICS,
        "metric_name: kaizen.cost.usd",
        "metric_name: gen_ai.client.token.usage",
        "metric gen_ai.client.token.usage is there 2 times",
    ),
    "two events with one name": (
        SIGNALS,
        "name: gen_ai.client.inference.operation.details",
        "name: gen_ai.evaluation.result",
        "event gen_ai.evaluation.result is there 2 times",
    ),
    "two attributes with one key": (
        ATTRIBUTES,
        "id: kaizen.node.id",
        "id: kaizen.node.type",
        "attribute kaizen.node.type is there 2 times",
    ),
    "two groups with one id": (
        METRICS,
        "id: metric.kaizen.cost.usd",
        "id: metric.kaizen.tokens.consumed",
        "group metric.kaizen.tokens.consumed is there 2 times",
    ),
    "two keys that are one constant": (
        ATTRIBUTES,
        "id: kaizen.user_satisfaction",
        "id: kaizen.node_type",
        "constant KAIZEN_NODE_TYPE is there 2 times",
    ),
    "one attribute twice on a signal": (
        SPANS,
        "ref: kaizen.confidence,",
        "ref: kaizen.quality.score,",
        "span.kaizen.invoke_agent: ref kaizen.quality.score is there 2 times",
    ),
    "two spans of one operation": (
        SPANS,
        "operation: embeddings",
        "operation: chat",
        "span operation chat is there 2 times",
    ),
    "an attribute in the namespace of another": (
        ATTRIBUTES,
        "id: kaizen.quality.score",
        "id: kaizen.confidence.level",
        "attribute kaizen.confidence is a namespace: kaizen.confidence.level lies in it",
    ),
    "a metric in the namespace of another": (
        METRICS,
        "metric_name: kaizen.quality.score",
        "metric_name: kaizen.cost.usd.today",
        "metric kaizen.cost.usd is a namespace: kaizen.cost.usd.today lies in it",
    ),
    "a later metric in the namespace of an earlier one": (
        LATER,
        "metric_name: gen_ai.client.inference.duration",
        "metric_name: gen_ai.client.operation.duration.inference",
        "metric gen_ai.client.operation.duration is a namespace",
    ),
    "a name in camel case": (ATTRIBUTES, "id: kaizen.tags", "id: kaizen.Tags", "malformed name kaizen.Tags"),
    "renamed to nothing": (
        ATTRIBUTES,
        "brief: Class of the workflow node.",
        "brief: Gone.\n        deprecated: {reason: renamed, renamed_to: kaizen.nowhere}",
        "kaizen.node.type: renamed to unknown kaizen.nowhere",
    ),
    "an unknown type": (
        ATTRIBUTES,
        "id: kaizen.confidence\n        type: double",
        "id: kaizen.confidence\n        type: decimal",
        "kaizen.confidence: unknown type decimal",
    ),
    "an example that is an int where a double is declared": (
        ATTRIBUTES,
        "examples: [0.95]",
        "examples: [1]",
        "kaizen.confidence: examples are not a list of double",
    ),
    "an array example that is no list": (
        ATTRIBUTES,
        "- [beta, batch]",
        "- beta",
        "kaizen.tags: examples are not a list of string[]",
    ),
    "examples that are not a list": (
        ATTRIBUTES,
        'examples: ["summarize"]',
        "examples: summarize",
        "kaizen.node.id: examples are not a list of string",
    ),
    "a string without examples": (
        ATTRIBUTES,
        'examples: ["summarize"]',
        "",
        "kaizen.node.id: a string needs examples",
    ),
    "an example outside its range": (
        ATTRIBUTES,
        "examples: [0.95]",
        "examples: [1.95]",
        "kaizen.confidence: example 1.95 is outside its own limits",
    ),
    "an example that does not fit its pattern": (
        ATTRIBUTES,
        'examples: ["USD", "EUR"]',
        'examples: ["Dollar"]',
        "kaizen.usage.cost.currency: example Dollar is outside its own limits",
    ),
    "a range upside down": (
        METRICS,
        "range: {min: 0, max: 1}",
        "range: {min: 1, max: 0}",
        "range is not min below max",
    ),
    "a range with a third end": (METRICS, "range: {min: 0, max: 1}", "range: {low: 1}", "range is not min below max"),
    "two members with one id": (
        ATTRIBUTES,
        "{id: override, value: override",
        "{id: provider, value: override",
        "kaizen.usage.cost.source: member id provider is there 2 times",
    ),
    "two members with one value": (
        ATTRIBUTES,
        "{id: override, value: override",
        "{id: override, value: provider",
        "kaizen.usage.cost.source: member value provider is there 2 times",
    ),
    "a malformed member id": (
        ATTRIBUTES,
        "{id: genai_prices,",
        "{id: genai-prices,",
        "kaizen.usage.cost.source: malformed member id genai-prices",
    ),
    "an enum without members": (
        OFFICIAL,
        """type:
          members:
            - {id: input, value: input, stability: development, brief: Tokens of the input.}
            - {id: output, value: output, stability: development, brief: Tokens of the output.}""",
        "type: {members: []}",
        "gen_ai.token.type: no members",
    ),
    "a twin enum that differs": (
        ATTRIBUTES,
        "{id: cancelled, value: cancelled, stability: development, brief: The caller",
        "{id: stopped, value: stopped, stability: development, brief: The caller",
        "status: members differ from those of kaizen.execution.status",
    ),
    "a twin of nothing": (
        ATTRIBUTES,
        "same_values_as: kaizen.execution.status",
        "same_values_as: kaizen.nowhere",
        "status: same_values_as unknown kaizen.nowhere",
    ),
    "an attribute without a brief": (
        ATTRIBUTES,
        "brief: Class of the workflow node.",
        "",
        "kaizen.node.type: no brief",
    ),
    "a member without a brief": (
        ATTRIBUTES,
        ", brief: The agent answered.}",
        "}",
        "kaizen.execution.status: success: no brief",
    ),
    "a metric without a brief": (
        METRICS,
        "brief: Executions that ended.",
        "",
        "metric.kaizen.agent.executions: no brief",
    ),
    "an attribute without a stability": (
        ATTRIBUTES,
        "type: string[]\n        stability: development",
        "type: string[]",
        "kaizen.tags: no stability",
    ),
    "a metric without a stability": (
        METRICS,
        "stability: development\n    brief: Executions",
        "brief: Executions",
        "metric.kaizen.agent.executions: no stability",
    ),
    "a metric without a unit": (METRICS, 'unit: "{call}"', "", "unit '' is none of"),
    "a unit that is not UCUM": (METRICS, 'unit: "{call}"', "unit: calls", "unit 'calls' is none of"),
    "a duration in milliseconds": (
        METRICS,
        "instrument: histogram\n    unit: s",
        'instrument: histogram\n    unit: "1"',
        "a duration is in s, not 1",
    ),
    "an unknown instrument": (METRICS, "instrument: gauge", "instrument: meter", "unknown instrument meter"),
    "a metric whose value type is not said": (
        METRICS,
        "code_generation: {metric_value_type: double}",
        "code_generation: {}",
        "metric_value_type is neither int nor double",
    ),
    "edges that do not rise": (METRICS, "[0.05, 0.1,", "[0.1, 0.05,", "boundaries do not rise"),
    "a histogram without edges": (
        METRICS,
        "boundaries: [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]",
        "",
        "boundaries belong to histograms",
    ),
    "an unknown kind of span": (SPANS, "span_kind: internal", "span_kind: inside", "unknown span_kind inside"),
    "an operation that the conventions do not have": (
        SPANS,
        "operation: execute_tool",
        "operation: run_tool",
        "span.kaizen.execute_tool: needs a known operation or a marker",
    ),
    "a marker that the span does not have": (
        SPANS,
        "marker: kaizen.node.type",
        "marker: kaizen.tool.simulated",
        "span.kaizen.node: needs a known operation or a marker",
    ),
    "a span name made of an attribute it does not have": (
        SPANS,
        '"execute_tool {gen_ai.tool.name}"',
        '"execute_tool {gen_ai.workflow.name}"',
        "its name uses gen_ai.workflow.name, which it does not have",
    ),
    "a span without a name": (SPANS, '["node {kaizen.node.type}"]', "[]", "span.kaizen.node: no name"),
    "an unknown requirement level": (
        SPANS,
        "{ref: kaizen.node.id, requirement_level: recommended}",
        "{ref: kaizen.node.id, requirement_level: nice}",
        "kaizen.node.id: unknown requirement_level nice",
    ),
    "a condition that is not said": (
        SPANS,
        "requirement_level: {conditionally_required: The request has a seed.}",
        "requirement_level: conditionally_required",
        "gen_ai.request.seed: conditionally_required without its condition",
    ),
    "an attribute on no signal": (
        SPANS,
        "      - {ref: kaizen.confidence, requirement_level: recommended}\n",
        "",
        "no signal has kaizen.confidence",
    ),
    "a reference to nothing": (
        SPANS,
        "ref: kaizen.confidence",
        "ref: kaizen.trust",
        "refers to unknown attribute kaizen.trust",
    ),
    "an extends of nothing": (
        SPANS,
        "extends: attributes.kaizen.model_call",
        "extends: attributes.kaizen.nowhere",
        "extends unknown group attributes.kaizen.nowhere",
    ),
    "an addition to an event that does not exist": (
        "registry/additions.yaml",
        "adds_to: [gen_ai.evaluation.result]",
        "adds_to: [gen_ai.nowhere]",
        "adds to unknown event gen_ai.nowhere",
    ),
    "an unknown key of a group": (METRICS, "instrument: gauge", "instrumnt: gauge", "unknown key instrumnt"),
    "an unknown key of an attribute": (ATTRIBUTES, "note: No currency", "remark: No currency", "unknown key remark"),
    "an unknown key of a member": (ATTRIBUTES, "brief: The agent answered.", "breif: Yes.", "unknown key breif"),
    "an unknown key of a reference": (SPANS, "sampling_relevant: true", "sampled: true", "unknown key sampled"),
    "a manifest without a schema URL": (
        "registry/manifest.yaml",
        "schema_url: https://kaizen",
        "url: https://kaizen",
        "registry/manifest.yaml: no schema_url",
    ),
    "a later version that removes what is not there": (
        LATER,
        "gen_ai.token.type]",
        "gen_ai.token.type, gen_ai.nowhere]",
        "v42: removes unknown gen_ai.nowhere",
    ),
    "a later version that keeps what it removed on a span": (
        LATER,
        "removed: [gen_ai.usage.cache_creation.input_tokens]\n    added",
        "removed: []\n    added",
        "span.kaizen.chat still has the removed gen_ai.usage.cache_creation.input_tokens",
    ),
    "a later version that adds an unknown attribute": (
        LATER,
        "ref: gen_ai.usage.cache_write.input_tokens",
        "ref: gen_ai.usage.nowhere",
        "v42: adds unknown attribute gen_ai.usage.nowhere",
    ),
}


@pytest.mark.parametrize("breach", BREACHES.values(), ids=BREACHES)
def test_a_broken_rule_fails_the_check_and_says_where(
    breach: tuple[str, str, str, str], copy: Path, edit: Edit, capsys: pytest.CaptureFixture[str]
) -> None:
    file, old, new, message = breach
    edit(file, old, new)
    assert main(["--check", "--root", str(copy)]) == 1
    assert message in capsys.readouterr().err


def test_a_registry_with_a_breach_is_not_generated(copy: Path, edit: Edit) -> None:
    before = (copy / "kaizen_semconv/metrics.py").read_text(encoding="utf-8")
    edit(METRICS, 'unit: "{call}"', "unit: calls")
    assert main(["--root", str(copy)]) == 1
    assert (copy / "kaizen_semconv/metrics.py").read_text(encoding="utf-8") == before


def test_every_rule_is_broken_by_some_case(copy: Path) -> None:
    """A rule without a case above would be a rule that nobody has seen fail."""
    seen = {message for *_, message in BREACHES.values()}
    words = {
        checks.duplicate_names: "is there 2 times",
        checks.prefix_names: "is a namespace",
        checks.malformed_names: "malformed name",
        checks.renamed_to_unknown: "renamed to unknown",
        checks.types_and_examples: "examples are not",
        checks.limits: "outside its own limits",
        checks.enum_members: "no members",
        checks.briefs_and_stability: "no brief",
        checks.metrics: "is none of",
        checks.spans: "needs a known operation",
        checks.requirement_levels: "unknown requirement_level",
        checks.unused_attributes: "no signal has",
    }
    assert set(words) == set(checks.RULES)
    for word in words.values():
        assert any(word in message for message in seen)
    assert main(["--check", "--root", str(copy)]) == 0
