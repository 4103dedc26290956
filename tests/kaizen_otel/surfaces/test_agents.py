from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured


def test_agent_execute_is_one_execution_over_workflow_node_and_chat(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from kaizen.core.framework import Kaizen

    agent = Kaizen().create_agent("qa", {"model": "gpt-4o", "provider": "openai"})
    agent.execute(question="hi")

    assert kaizen_telemetry.tree() == (
        "create_agent qa\ninvoke_agent qa\n  invoke_workflow\n    node LLMAgentNode\n      chat gpt-4o"
    )
    (execution,) = kaizen_telemetry.executions
    assert (execution.agent_name, execution.model, execution.status) == ("qa", "gpt-4o", "success")
    assert len(kaizen_offline.requests) == 1
