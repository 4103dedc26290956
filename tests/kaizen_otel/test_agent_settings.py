from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

import kaizen_otel
from kaizen_otel.testing import capture

if TYPE_CHECKING:
    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured


def _agent(name: str, **config: Any) -> Any:
    from kaizen.core.framework import Kaizen

    return Kaizen().create_agent(name, {"model": "gpt-4o", "provider": "openai", **config})


def test_an_agents_own_level_leaves_its_nodes_out(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    _agent("quiet", transparency={"monitoring_level": "basic"}).execute(question="hi")
    _agent("usual").execute(question="hi")

    assert len(kaizen_offline.requests) == 2
    assert len(kaizen_telemetry.spans_named("node")) == 1
    assert len(kaizen_telemetry.spans_named("chat")) == 2


def test_an_agent_that_is_off_runs_as_if_nobody_watched(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    agent = _agent("silent", transparency=False)
    kaizen_telemetry.clear()
    agent.execute(question="hi")

    assert len(kaizen_offline.requests) == 1
    assert kaizen_telemetry.spans == []
    assert kaizen_telemetry.executions == []


@pytest.mark.telemetry_fails
def test_a_mistake_in_an_agents_dictionary_is_told_counted_and_changes_nothing(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured, caplog: pytest.LogCaptureFixture
) -> None:
    agent = _agent("odd", transparency={"monitoring_levle": "basic"})
    agent.execute(question="hi")

    assert len(kaizen_offline.requests) == 1
    assert len(kaizen_telemetry.executions) == 1
    assert kaizen_otel.stats()["failures"] == {"settings:SettingsError": 1}
    (said,) = [record.getMessage() for record in caplog.records if record.name == "kaizen_otel"]
    assert said.startswith(
        "kaizen-otel ignores this: create_agent(…)['transparency']: unknown key 'monitoring_levle'. Did"
    )
    assert re.search(r"\(agent 'odd', at .*test_agent_settings\.py:\d+\)$", said)
    _agent("odd", transparency={"monitoring_levle": "basic"})
    _agent("even", transparency={"monitoring_levle": "basic"})  # the same line of the application
    assert len([record for record in caplog.records if record.name == "kaizen_otel"]) == 1


@pytest.mark.telemetry_fails
def test_one_refused_key_leaves_the_others_of_an_agents_dictionary(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = {"monitoring_level": "basic", "decision_tracing": True, "performance_profiling": True}
    agent = _agent("quiet", transparency=wanted)
    agent.execute(question="hi")

    assert len(kaizen_offline.requests) == 1
    assert kaizen_telemetry.spans_named("node") == []
    assert kaizen_telemetry.executions[0].memory_usage_mb is not None
    assert kaizen_otel.stats()["failures"] == {"settings:SettingsError": 1}
    assert "not available in kaizen-otel 0.1: transparency.decision_tracing" in caplog.text


def test_an_agent_that_is_profiled_says_what_its_executions_used(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    agent = _agent("profiled", transparency={"performance_profiling": True})
    agent.execute(question="hi")
    _agent("usual").execute(question="hi")

    profile = agent.get_transparency_interface().get_performance_profile()
    assert profile["overall"]["total_executions"] == profile["resources"]["executions"] == 1
    assert profile["resources"]["memory_usage_mb"] > 10
    usual = kaizen_otel.get_transparency_interface().agent("usual").get_performance_profile()
    assert (usual["overall"]["total_executions"], usual["resources"]["executions"]) == (1, 0)
    assert kaizen_telemetry.span("invoke_agent profiled")["kaizen.execution.resources.memory_usage_mb"] > 10
    assert len(kaizen_offline.requests) == 2


def test_an_agent_may_be_left_unmeasured_where_all_others_are(kaizen_offline: ModelServer) -> None:
    with capture(monitoring_level="comprehensive") as captured:
        _agent("light", transparency={"performance_profiling": False}).execute(question="hi")
        _agent("usual").execute(question="hi")
    assert [one.memory_usage_mb is not None for one in captured.executions] == [False, True]
    assert len(kaizen_offline.requests) == 2


def test_the_monitoring_keys_of_kaizens_config_take_effect(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from kaizen.core.framework import Kaizen

    kaizen = Kaizen(config={"performance_tracking": False, "transparency_enabled": True})
    kaizen.create_agent("qa", {"model": "gpt-4o", "provider": "openai"}).execute(question="hi")

    assert len(kaizen_offline.requests) == 1
    assert "kaizen.execution.duration" not in kaizen_telemetry.metrics()
    assert "kaizen.cost.usd" in kaizen_telemetry.metrics()


def test_another_agents_workflow_inside_a_run_is_an_execution_of_its_own(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from kailash.runtime.local import LocalRuntime
    from kaizen.core.base_agent import BaseAgent
    from kaizen.core.config import BaseAgentConfig
    from kaizen.signatures import InputField, OutputField, Signature

    helper = _agent("helper")
    kaizen_telemetry.clear()

    class Sign(Signature):
        question: str = InputField(desc="q")
        answer: str = OutputField(desc="a")

    class Delegating:
        def execute(self, agent: Any, inputs: dict[str, Any]) -> dict[str, Any]:
            del agent
            with LocalRuntime(enable_monitoring=False) as runtime:
                messages = [{"role": "user", "content": inputs["question"]}]
                runtime.execute(helper.workflow.build(), parameters={"helper": {"messages": messages}})
            return {"answer": "done"}

    class Outer(BaseAgent):
        pass

    Outer(
        config=BaseAgentConfig(llm_provider="openai", model="gpt-4o"),
        signature=Sign(),
        strategy=Delegating(),
        mcp_servers=[],
    ).run(question="hi")

    assert len(kaizen_offline.requests) == 1
    assert [e.agent_name for e in kaizen_telemetry.executions] == ["helper", "Outer"]
    helper_run, outer = kaizen_telemetry.executions
    assert helper_run.tokens_total > 0 == outer.tokens_total
    assert kaizen_telemetry.span("invoke_agent Outer")["kaizen.execution.total.input_tokens"] == helper_run.tokens_input
    assert kaizen_telemetry.span("invoke_agent helper")["gen_ai.provider.name"] == "openai"
