# ruff: noqa: T201 - the example prints
"""The production example of the transparency interface, with no change but what docs/transparency.md lists."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import datetime
from typing import Any

from kailash.runtime.local import LocalRuntime
from kaizen import Kaizen

from kaizen_otel import ExecutionMetrics, KaizenTransparencyInterface


def create_production_transparency_system() -> tuple[Any, KaizenTransparencyInterface]:
    """Create production-ready transparency system."""
    # Initialize Kaizen with monitoring
    kaizen = Kaizen(
        config={
            "transparency_enabled": True,
            "performance_monitoring": True,
            "metrics_retention": "7d",
        }
    )

    # Create transparency interface
    transparency = KaizenTransparencyInterface(kaizen)

    # Register alert handlers
    def slack_alert_handler(alert: dict[str, Any]) -> None:
        print(f"🚨 SLACK ALERT: {alert['message']}")

    def email_alert_handler(alert: dict[str, Any]) -> None:
        if alert["severity"] == "critical":
            print(f"📧 EMAIL ALERT: {alert['message']}")

    transparency.register_alert_handler(slack_alert_handler)
    transparency.register_alert_handler(email_alert_handler)

    # Start monitoring
    transparency.start_monitoring()

    return kaizen, transparency


async def monitored_agent_example() -> Any:
    """Example of monitored agent execution."""
    kaizen, transparency = create_production_transparency_system()

    # Create monitored agent
    agent = kaizen.create_agent(
        "monitored_processor",
        {
            "provider": "openai",
            "model": "gpt-4",
            "temperature": 0.7,
            "system_prompt": "You are a helpful assistant.",
        },
    )

    # Create workflow monitor
    monitor = transparency.create_workflow_monitor()

    # Execute with monitoring
    with monitor.trace("customer_query_processing") as trace, LocalRuntime() as runtime:
        trace.add_event("query_received", "Customer query received")

        start_time = time.time()

        try:
            results, run_id = runtime.execute(agent.workflow.build())
            trace.add_event("execution_completed", f"Agent executed successfully: {run_id}")

            # Record detailed metrics
            execution_time = (time.time() - start_time) * 1000
            detailed_metrics = ExecutionMetrics(
                execution_id=trace.execution_id,
                agent_name=agent.name,
                model=agent.config.get("model", "unknown"),
                timestamp=datetime.now(),  # noqa: DTZ005 - the example's own
                duration_ms=execution_time,
                tokens_input=150,  # Example values
                tokens_output=75,
                tokens_total=225,
                cost_usd=0.004,
                success=True,
                error_message=None,
                confidence=0.95,
                quality_score=0.88,
                user_id="user123",
                session_id="session456",
                metadata={
                    "run_id": run_id,
                    "query_type": "customer_service",
                    "processing_time": execution_time,
                },
            )

            transparency.record_execution_metrics(detailed_metrics)

        except Exception as e:
            trace.add_event("execution_failed", f"Agent execution failed: {e}")
            raise

    # Get real-time dashboard
    dashboard = transparency.get_real_time_dashboard()
    print("📊 Real-time Dashboard:")
    print(json.dumps(dashboard, indent=2, default=str))

    # Get performance summary
    summary = transparency.get_performance_summary("1h")
    print("📈 Performance Summary:")
    print(json.dumps(summary, indent=2, default=str))

    return results


if __name__ == "__main__":
    asyncio.run(monitored_agent_example())
