"""The names that dashboards, alerts and other people's tools rely on."""

from __future__ import annotations

import importlib
from enum import Enum, StrEnum
from typing import TYPE_CHECKING

import pytest
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes as official

import kaizen_semconv
from kaizen_semconv import attributes, events, gen_ai, metrics, registry, spans
from kaizen_semconv.metrics import Instrument, MetricDefinition
from kaizen_semconv.spans import SpanDefinition

if TYPE_CHECKING:
    from types import ModuleType

CONTRACT = {
    "kaizen.agent.executions": ("{execution}", "observable_counter", {"agent_name", "model", "status"}),
    "kaizen.execution.duration": ("s", "histogram", {"agent_name", "model"}),
    "kaizen.tokens.consumed": ("{token}", "observable_counter", {"agent_name", "model", "token_type"}),
    "kaizen.cost.usd": ("{USD}", "observable_counter", {"agent_name", "model"}),
    "kaizen.active_agents": ("{agent}", "observable_gauge", {"environment"}),
    "kaizen.quality.score": ("1", "histogram", {"agent_name", "evaluation"}),
    "kaizen.usage.missing": ("{call}", "observable_counter", {"model", "reason"}),
    "kaizen.telemetry.disabled_observers": ("{observer}", "observable_gauge", {"observer"}),
    "kaizen.telemetry.dropped": ("{item}", "observable_counter", {"signal", "error.type"}),
    "kaizen.telemetry.failures": ("{failure}", "observable_counter", {"place", "error.type"}),
    "kaizen.telemetry.queue.limit": ("By", "observable_gauge", {"signal"}),
    "kaizen.telemetry.queue.usage": ("By", "observable_gauge", {"signal"}),
    "kaizen.telemetry.replayed": ("{item}", "observable_counter", {"signal"}),
    "kaizen.telemetry.retries": ("{request}", "observable_counter", {"signal"}),
    "kaizen.telemetry.spool.limit": ("By", "observable_gauge", {"signal"}),
    "kaizen.telemetry.spool.usage": ("By", "observable_gauge", {"signal"}),
    "kaizen.telemetry.spooled": ("{item}", "observable_counter", {"signal"}),
}


def _constants(module: ModuleType) -> dict[str, str]:
    return {name: value for name, value in vars(module).items() if name.isupper() and isinstance(value, str)}


@pytest.mark.parametrize("name", CONTRACT)
def test_our_metrics_have_the_units_kinds_and_labels_of_the_contract(name: str) -> None:
    (metric,) = (metric for metric in metrics.ALL if metric.name == name)
    assert (metric.unit, metric.instrument.value, set(metric.attributes)) == CONTRACT[name]
    assert metric.versions == (41, 42)


def test_there_are_no_other_metrics_of_ours() -> None:
    assert {metric.name for metric in metrics.ALL if metric.name.startswith("kaizen.")} == set(CONTRACT)


def test_duration_edges_are_floats_and_hold_the_limits_that_alerts_use() -> None:
    edges = metrics.KAIZEN_EXECUTION_DURATION.boundaries
    assert {0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300} <= set(edges)
    assert all(type(edge) is float for metric in metrics.ALL for edge in metric.boundaries)


def test_quality_edges_are_tenths() -> None:
    assert metrics.KAIZEN_QUALITY_SCORE.boundaries == pytest.approx(tuple(n / 10 for n in range(11)), abs=0)


def test_only_histograms_have_edges() -> None:
    for metric in metrics.ALL:
        assert bool(metric.boundaries) == (metric.instrument is Instrument.HISTOGRAM), metric.name


def test_a_constant_is_the_upper_snake_of_its_key() -> None:
    for module in (attributes, gen_ai, events):
        constants = _constants(module)
        assert constants
        for name, value in constants.items():
            assert name == value.replace(".", "_").upper()
    for metric in metrics.ALL:
        assert getattr(metrics, metric.name.replace(".", "_").upper()) is metric


def test_constants_are_exactly_the_registry_of_all_versions() -> None:
    known = {key for version in registry.versions() for key in registry.load(version).attributes}
    assert set(_constants(attributes).values()) | set(_constants(gen_ai).values()) == known
    names = {name for version in registry.versions() for name in registry.load(version).metrics}
    assert {metric.name for metric in metrics.ALL} == names
    assert {name for version in registry.versions() for name in registry.load(version).events} == set(
        _constants(events).values()
    )


def test_a_metric_is_emitted_in_the_versions_that_have_it() -> None:
    for metric in metrics.ALL:
        having = tuple(version for version in registry.versions() if metric.name in registry.load(version).metrics)
        assert metric.versions == having


def test_definitions_and_resolved_model_agree() -> None:
    for metric in metrics.ALL:
        model = registry.load(metric.versions[-1]).metrics[metric.name]
        assert (metric.unit, metric.boundaries, metric.value_type) == (model.unit, model.boundaries, model.value_type)
        assert metric.instrument.value.removeprefix("observable_") == model.instrument
        assert set(metric.attributes) == set(model.attributes)
    definitions = {value.id: value for value in vars(spans).values() if isinstance(value, SpanDefinition)}
    models = registry.load().spans
    assert definitions.keys() == models.keys()
    for name, definition in definitions.items():
        model_ = models[name]
        assert (definition.kind, definition.names) == (model_.kind, model_.names)
        assert (definition.operation, definition.marker) == (model_.operation, model_.marker)


def test_labels_share_their_values_with_the_span_attributes_they_mirror() -> None:
    assert attributes.Status is attributes.KaizenExecutionStatus
    assert attributes.Reason is attributes.KaizenUsageMissingReason


def test_enum_members_compare_as_the_strings_they_are() -> None:
    source: str = attributes.KaizenUsageCostSource.GENAI_PRICES
    assert source == "genai-prices"
    assert issubclass(gen_ai.GenAiOperationName, StrEnum)


def test_definitions_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        metrics.KAIZEN_COST_USD.unit = "USD"  # type: ignore[misc]
    with pytest.raises(TypeError):
        kaizen_semconv.GEN_AI_SCHEMA_URLS[43] = ""  # type: ignore[index]


def test_an_unknown_version_is_refused() -> None:
    with pytest.raises(KeyError):
        registry.load(7)


def test_gen_ai_keys_of_the_tagged_set_are_those_of_the_installed_conventions() -> None:
    theirs = {value for name, value in vars(official).items() if name.isupper()}
    ours = {key for key in registry.load(41).attributes if key.startswith("gen_ai.")}
    assert ours
    assert ours <= theirs


@pytest.mark.parametrize("name", ["GenAiOperationName", "GenAiProviderName", "GenAiTokenType", "GenAiOutputType"])
def test_gen_ai_values_of_the_tagged_set_are_those_of_the_installed_conventions(name: str) -> None:
    theirs: type[Enum] = getattr(official, f"{name}Values")
    ours: type[StrEnum] = getattr(gen_ai, name)
    assert {member.value for member in ours} == {member.value for member in theirs}


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("opentelemetry.semconv.attributes.error_attributes", "ERROR_TYPE"),
        ("opentelemetry.semconv.attributes.server_attributes", "SERVER_ADDRESS"),
        ("opentelemetry.semconv.attributes.server_attributes", "SERVER_PORT"),
        ("opentelemetry.semconv.attributes.http_attributes", "HTTP_RESPONSE_STATUS_CODE"),
        ("opentelemetry.semconv._incubating.attributes.user_attributes", "USER_ID"),
        ("opentelemetry.semconv._incubating.attributes.session_attributes", "SESSION_ID"),
        ("opentelemetry.semconv._incubating.attributes.deployment_attributes", "DEPLOYMENT_ENVIRONMENT_NAME"),
    ],
)
def test_general_keys_are_those_of_the_installed_conventions(module: str, name: str) -> None:
    assert getattr(gen_ai, name) == getattr(importlib.import_module(module), name)


def test_gen_ai_metrics_of_the_tagged_set_have_the_units_of_the_installed_conventions() -> None:
    theirs = importlib.import_module("opentelemetry.semconv._incubating.metrics.gen_ai_metrics")
    assert metrics.GEN_AI_CLIENT_OPERATION_DURATION.name == theirs.GEN_AI_CLIENT_OPERATION_DURATION
    assert metrics.GEN_AI_CLIENT_TOKEN_USAGE.name == theirs.GEN_AI_CLIENT_TOKEN_USAGE


def test_version_42_differs_from_41_where_the_snapshot_does() -> None:
    before, after = registry.load(41), registry.load(42)
    assert (before.attributes["gen_ai.request.top_k"].type, after.attributes["gen_ai.request.top_k"].type) == (
        "double",
        "int",
    )
    chat = "span.kaizen.chat"
    assert before.spans[chat].attributes.keys() - after.spans[chat].attributes.keys() == {
        "gen_ai.usage.cache_creation.input_tokens"
    }
    assert after.spans[chat].attributes.keys() - before.spans[chat].attributes.keys() == {
        "gen_ai.usage.cache_write.input_tokens"
    }
    assert "gen_ai.client.token.usage" not in after.metrics
    assert isinstance(metrics.GEN_AI_CLIENT_INFERENCE_DURATION, MetricDefinition)
    assert metrics.GEN_AI_CLIENT_INFERENCE_DURATION.versions == (42,)
