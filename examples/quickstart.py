"""One agent, one question, its trace on the terminal: `OPENAI_API_KEY=sk-… python examples/quickstart.py`."""

from kaizen import Kaizen

import kaizen_otel

kaizen_otel.instrument(console=True)

agent = Kaizen().create_agent("Guide", {"provider": "openai", "model": "gpt-4o-mini"})
print(agent.execute("Why is the sky blue?")["answer"])
