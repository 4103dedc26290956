"""Two evaluators of your own: a rule, and a model as judge. They run after the answer, off its path."""

from __future__ import annotations

from typing import Any

from kaizen import Kaizen
from kaizen.llm import LlmClient, resolve_deployment_for
from opentelemetry.sdk._logs import LoggerProvider  # its package is still private in OpenTelemetry
from opentelemetry.sdk._logs.export import ConsoleLogRecordExporter, SimpleLogRecordProcessor

import kaizen_otel
from kaizen_otel import Evaluation, EvaluationInput
from kaizen_processors.quality import evaluator

MODEL = "gpt-4o-mini"


@evaluator
def concise(given: EvaluationInput) -> bool:
    return len(given.output_text or "") < 200


@evaluator(sample_rate=1.0, timeout_s=20)
async def childlike(given: EvaluationInput) -> Evaluation:
    judge = LlmClient.from_deployment_sync(resolve_deployment_for("openai", MODEL))
    question = f"Would a child understand this? Answer yes or no, then why. {given.output_text}"
    verdict = (await judge.complete([{"role": "user", "content": question}]))["text"]
    score = 1.0 if verdict.lower().startswith("yes") else 0.0
    return Evaluation("childlike", score, explanation=verdict)


def line(event: Any) -> str:
    said = event.log_record.attributes
    return f"{said['gen_ai.evaluation.name']} {said['gen_ai.evaluation.score.value']}\n"


def main() -> None:
    logs = LoggerProvider()
    logs.add_log_record_processor(SimpleLogRecordProcessor(ConsoleLogRecordExporter(formatter=line)))
    kaizen_otel.instrument(evaluators=[concise, childlike], logger_provider=logs)

    agent = Kaizen().create_agent("Guide", {"provider": "openai", "model": MODEL})
    answer = agent.execute("Why is the sky blue?")["answer"]
    kaizen_otel.flush()  # a program that ends here must wait for the judge; a server need not

    print(answer)
    for (name, model), sums in sorted(kaizen_otel.stats()["calls"].items()):
        print(f"{name}: {sums['model_calls']} call of {model}")


if __name__ == "__main__":
    main()
