"""An application that runs: agents of Kaizen, and a store.

    desk.py MODEL_SERVER STORE

Says its ledger's exact sums as a line of JSON when its agents have run, and again for each line that it is sent.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import kaizen_otel
from kaizen_otel.demo.loopback import lift_loopback_guard

RULES = """
rules:
  - name: somebody_ran
    condition: executions > 0
    severity: warning
budgets:
  - name: desk_day
    limit_usd: "0.0001"
"""

RUNS = {"Guide": ("gpt-4o", 3), "Poet": ("gpt-4o-mini", 2), "Lost": ("no-such-model", 1)}


def say() -> None:
    stats = kaizen_otel.stats()
    said = {
        "calls": [
            {"agent": agent, "model": model, **{name: str(one[name]) for name in one}}
            for (agent, model), one in stats["calls"].items()
        ],
        "executions": [[*key, count] for key, count in stats["executions"].items()],
        "failures": stats["failures"],
        "store": stats["store"],
    }
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


def main() -> None:
    _, url, store = sys.argv
    rules = Path(store).with_suffix(".yaml")
    rules.write_text(RULES, encoding="utf-8")
    with lift_loopback_guard(url):
        kaizen_otel.instrument(store=store, service_name="desk", alert_rules=rules)
        from kaizen.core.framework import Kaizen

        for name, (model, times) in RUNS.items():
            agent = Kaizen().create_agent(name, {"model": model, "provider": "openai"})
            for _ in range(times):
                agent.execute("Why is the sky blue?")
        say()
        for _ in sys.stdin:
            say()


if __name__ == "__main__":
    main()
