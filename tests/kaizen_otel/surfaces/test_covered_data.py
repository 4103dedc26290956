"""What `docs/coverage.md` says of kaizen_agents' agents of databases, and of research that it makes up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.kaizen_otel.surfaces import scenes
from tests.kaizen_otel.surfaces.covered import well_and_refused
from tests.versions.capabilities import needs

if TYPE_CHECKING:
    from collections.abc import Callable

    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured

# As in test_patterns.
pytestmark = [
    needs("delegate"),
    pytest.mark.usefixtures("forgotten_clients", "no_own_mcp_servers"),
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:.* is deprecated since v0.9.0:DeprecationWarning"),  # their own agents, in 0.13
]

DATAFLOW = "kaizen_agents.integrations.dataflow"
ROWS = [{"age": 36, "name": "Ada"}]


class Tables:
    """The application's database, as far as these agents ask it: what `kailash-dataflow` would be."""

    def list_tables(self) -> list[str]:
        return ["users"]

    def get_table_schema(self, _: str) -> dict[str, Any]:
        return {"columns": {"age": "int"}}

    def query(self, _: str, **__: Any) -> list[dict[str, Any]]:
        return ROWS


def agent(module: str, name: str) -> Any:
    from importlib import import_module

    from kaizen.core.config import BaseAgentConfig
    from kaizen_agents.integrations.dataflow.connection import DataFlowConnection

    made = getattr(import_module(f"{DATAFLOW}.{module}"), name)(BaseAgentConfig(llm_provider="openai", model="gpt-4o"))
    made.db_connection = DataFlowConnection(Tables())
    return made


def ask(module: str, name: str, method: str, *args: Any) -> Callable[[], Any]:
    return lambda: getattr(agent(module, name), method)(*args)


OPERATIONS, DRIVEN = "ai_enhanced_ops", "db_driven_ai"

AGENTS: dict[str, Callable[[], Any]] = {
    "kaizen_agents.integrations.dataflow.ai_enhanced_ops:NLToSQLAgent.query": ask(
        OPERATIONS, "NLToSQLAgent", "query", "who is of age?"
    ),
    "kaizen_agents.integrations.dataflow.ai_enhanced_ops:DataTransformAgent.transform_data": ask(
        OPERATIONS, "DataTransformAgent", "transform_data", ROWS, "users"
    ),
    "kaizen_agents.integrations.dataflow.ai_enhanced_ops:DataQualityAgent.assess_quality": ask(
        OPERATIONS, "DataQualityAgent", "assess_quality", ROWS, {}
    ),
    "kaizen_agents.integrations.dataflow.ai_enhanced_ops:SemanticSearchAgent.search": ask(
        OPERATIONS, "SemanticSearchAgent", "search", "who is of age?"
    ),
    "kaizen_agents.integrations.dataflow.db_driven_ai:DBTrainingPipeline.train_from_database": ask(
        DRIVEN, "DBTrainingPipeline", "train_from_database", "users", "guess the age"
    ),
    "kaizen_agents.integrations.dataflow.db_driven_ai:InferencePipeline.infer_with_db_context": ask(
        DRIVEN, "InferencePipeline", "infer_with_db_context", "m1", {"user_id": 1}
    ),
    "kaizen_agents.integrations.dataflow.db_driven_ai:PipelineOrchestrator.create_pipeline": ask(
        DRIVEN, "PipelineOrchestrator", "create_pipeline", "p", ["users"], "guess the age"
    ),
}
ANSWER = {
    **dict.fromkeys(("target_table", "explanation", "target_column", "prediction"), "users"),
    **dict.fromkeys(
        ("filter_dict", "transformation_rules", "suggested_fixes", "search_strategy", "combined_query"), "{}"
    ),
    **dict.fromkeys(("projection_fields", "data_quality_issues", "issues_found", "cleaned_sample"), "[]"),
    **dict.fromkeys(("confidence_score", "quality_score", "confidence"), 0.5),
    **dict.fromkeys(("feature_columns", "preprocessing_steps", "execution_plan", "monitoring_metrics"), ()),
    "model_config": {},
    "resource_requirements": {},
    "relevant_tables": '["users"]',
}
"""What every one of them understands."""


@pytest.mark.covers_each("method", "tokens", "cost", "error", "context")
@pytest.mark.parametrize("method", AGENTS)
def test_an_agent_of_a_database(method: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    well_and_refused(AGENTS[method], kaizen_offline, kaizen_telemetry, **ANSWER)

    executions = kaizen_telemetry.spans_named("invoke_agent")
    assert [span.status for span in executions] == ["UNSET", "ERROR"]


def test_research_patterns_are_made_up(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    from kaizen.research.parser import ResearchPaper
    from kaizen.research.validator import ValidationResult
    from kaizen_agents.research_patterns.advanced_patterns import AdvancedPatternBuilder
    from kaizen_agents.research_patterns.experimental import ExperimentalFeature
    from kaizen_agents.research_patterns.intelligent_optimizer import IntelligentOptimizer

    def everything() -> None:
        builder = AdvancedPatternBuilder()
        for made in (
            *(builder.compose(["a", "b"], strategy) for strategy in ("sequential", "parallel", "ensemble")),
            builder.hierarchical([["a"], ["b"]]),
            builder.adaptive(["a"], "fault_tolerant"),
            builder.meta_learning(["a"], "gradient"),
        ):
            assert made.execute({"question": "x"})
        assert IntelligentOptimizer("bayesian").optimize("f", {"x": (0, 1)}, 1)["best_params"]
        feature = ExperimentalFeature(
            "f",
            ResearchPaper("", "x", [], "", ""),
            ValidationResult(True, 1.0),
            scenes.Answer,
            "1",
            "stable",
            {},
            {},
            {},
        )
        feature.enable()
        with pytest.raises(AttributeError, match="has no attribute 'execute'"):  # a signature runs nothing
            feature.execute(question="x")

    scenes.play_under_caller(kaizen_telemetry, everything)

    assert [span.name for span in kaizen_telemetry.spans] == ["caller"]
    assert kaizen_offline.requests == []
