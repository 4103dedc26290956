"""The demo's application: a support desk of real Kaizen agents.

A supervisor reads a ticket and hands it to a desk. Orders: a clerk with a tool, then a writer who streams. Technical:
an agent run as a workflow, once more after a 429. Billing: an agent whose model fails in the offline demo. All that it
does for its telemetry is to say whose ticket it is working on.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kailash.runtime.local import LocalRuntime
from kaizen import Kaizen
from kaizen.core.base_agent import BaseAgent
from kaizen.core.config import BaseAgentConfig
from kaizen.llm import LlmClient, resolve_deployment_for
from kaizen.llm.errors import RateLimited
from kaizen.signatures import InputField, OutputField, Signature
from kaizen.strategies.async_single_shot import AsyncSingleShotStrategy

import kaizen_otel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PROVIDER: Final = "openai"
HANDED_OVER: Final = "Thank you for telling us. A colleague will come back to you within the hour."
ORDERS_SERVER: Final = {
    "name": "orders",
    "transport": "stdio",
    "command": sys.executable,
    "args": ["-m", "kaizen_otel.demo.mcp_tool"],
}
_ATTEMPTS: Final = 3


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a customer wrote, and who it was."""

    user_id: str
    session_id: str
    text: str


TICKETS: Final = (
    Ticket("ada", "web-1", "Where is my order A-1042? It should have been here yesterday."),
    Ticket("grace", "app-7", "The app crashes when I open the settings page."),
    Ticket("alan", "web-2", "You charged my card twice this month."),
)


@dataclass(frozen=True, slots=True)
class Models:
    """The models at work: a fast one for triage, a strong one for answers."""

    fast: str = "gpt-4o-mini"
    strong: str = "gpt-4o"

    @classmethod
    def from_environment(cls) -> Models:
        """`KAIZEN_DEMO_MODEL` for everything, when it is set."""
        model = os.environ.get("KAIZEN_DEMO_MODEL")
        return cls(model, model) if model else cls()


class Triage(Signature):
    """Read a customer's ticket and choose the desk that answers it: orders, technical or billing."""

    ticket: str = InputField(description="The customer's ticket")
    route: str = OutputField(description="orders, technical or billing")
    confidence: float = OutputField(description="How sure you are, from 0 to 1")


class OrderFacts(Signature):
    """Look up the order that a customer asks about, and say what is known about it."""

    ticket: str = InputField(description="The customer's ticket")
    facts: str = OutputField(description="What the order system says, in one sentence")
    confidence: float = OutputField(description="How sure you are, from 0 to 1")


class BillingAnswer(Signature):
    """Answer a customer's question about a payment."""

    ticket: str = InputField(description="The customer's ticket")
    answer: str = OutputField(description="The answer to the customer")
    confidence: float = OutputField(description="How sure you are, from 0 to 1")


class Letter(Signature):
    """Write a short and friendly answer to the customer from the facts."""

    ticket: str = InputField(description="The customer's ticket")
    facts: str = InputField(description="What we know")
    answer: str = OutputField(description="The answer to the customer")


class Supervisor(BaseAgent):
    """Reads tickets and hands each to a desk."""


class OrderClerk(BaseAgent):
    """Looks up orders with the tool of an MCP server."""


class Writer(BaseAgent):
    """Writes the answer, streaming."""


class BillingClerk(BaseAgent):
    """Answers questions about payments."""


class HandOver(AsyncSingleShotStrategy):
    """Asks the model for the desk, then lets that desk answer: its agents run below the supervisor's run."""

    def __init__(self, desks: Mapping[str, Callable[[str], str]]) -> None:
        """Know the desks by the name that the model gives them."""
        super().__init__()
        self._desks = desks

    async def execute(self, agent: Any, inputs: dict[str, Any], **options: Any) -> dict[str, Any]:
        """Choose the desk and wait for its answer."""
        choice: dict[str, Any] = await super().execute(agent, inputs, **options)
        desk = self._desks.get(choice.get("route", ""))
        if desk is None:
            return choice | {"answer": HANDED_OVER}
        return choice | {"answer": await asyncio.to_thread(desk, inputs["ticket"])}


class WithTools(AsyncSingleShotStrategy):
    """Leaves tool calls to the agent's MCP client; LLMAgentNode 2.46 would make their results up."""

    def build_workflow(self, agent: Any) -> Any:
        """Kaizen's workflow, with the node's own tool loop off and the choice left to the model."""
        workflow = super().build_workflow(agent)
        config = workflow.nodes["agent_exec"]["config"]
        config["auto_execute_tools"] = False
        config["generation_config"]["tool_choice"] = "auto"
        return workflow


class Streaming:
    """Streams the answer from the model, each piece as it comes."""

    def __init__(self, emit: Callable[[str], None]) -> None:
        """Show the pieces with `emit`."""
        self._emit = emit

    async def execute(self, agent: Any, inputs: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Stream one answer."""
        client = LlmClient.from_deployment_sync(resolve_deployment_for(PROVIDER, agent.config.model))
        facts = f"{inputs['ticket']}\n\nWhat we know: {inputs['facts']}"
        messages = [{"role": "system", "content": str(Letter.__doc__)}, {"role": "user", "content": facts}]
        pieces = []
        async for chunk in client.stream(messages, max_tokens=200):
            pieces.append(chunk["text"])
            self._emit(chunk["text"])
        return {"answer": "".join(pieces)}


class SupportDesk:
    """The agents and how they work together."""

    def __init__(self, models: Models, emit: Callable[[str], None]) -> None:
        """Engage the agents; `emit` shows text to the customer as it is written."""
        self._emit = emit
        as_json = {"llm_provider": PROVIDER, "response_format": {"type": "json_object"}}
        strong = BaseAgentConfig(model=models.strong, **as_json)
        desks = {"orders": self._orders, "technical": self._technical, "billing": self._billing}
        self._supervisor = Supervisor(
            BaseAgentConfig(model=models.fast, **as_json),
            signature=Triage(),
            strategy=HandOver(desks),
            mcp_servers=[],
        )
        self._clerk = OrderClerk(strong, signature=OrderFacts(), strategy=WithTools(), mcp_servers=[ORDERS_SERVER])
        self._writer = Writer(
            BaseAgentConfig(llm_provider=PROVIDER, model=models.strong),
            signature=Letter(),
            strategy=Streaming(emit),
            mcp_servers=[],
        )
        self._billing_clerk = BillingClerk(strong, signature=BillingAnswer(), mcp_servers=[])
        config = {"provider": PROVIDER, "model": models.strong, "max_tokens": 200}
        self._technician = Kaizen().create_agent(
            "Technician", config | {"system_prompt": "Help a customer of our app. Answer in one sentence."}
        )

    def open(self) -> None:
        """Find the tools of the clerk before the first customer comes."""
        asyncio.run(self._clerk.discover_mcp_tools())

    def answer(self, ticket: Ticket) -> str:
        """Answer one ticket."""
        with kaizen_otel.attributes(user_id=ticket.user_id, session_id=ticket.session_id, tags=("demo",)):
            outcome = self._supervisor.run(ticket=ticket.text)
        return str(outcome.get("answer", HANDED_OVER))

    def _orders(self, ticket: str) -> str:
        found = self._clerk.run(ticket=ticket)
        if "facts" not in found:
            return self._say(HANDED_OVER)
        letter = self._writer.run(ticket=ticket, facts=found["facts"])
        return str(letter.get("answer", ""))

    def _technical(self, ticket: str) -> str:
        """Run the technician as a workflow, and wait and run it again when the provider asks for that."""
        parameters = {"Technician": {"messages": [{"role": "user", "content": ticket}]}}
        for attempt in range(1, _ATTEMPTS + 1):
            with LocalRuntime(enable_monitoring=False) as runtime:
                results, _ = runtime.execute(self._technician.workflow.build(), parameters=parameters)
            outcome = results["Technician"]
            if not outcome.get("failed"):
                return self._say(str(outcome["response"]["content"]))
            wait_s = asked_to_wait_s(outcome.get("_exception"))
            if wait_s is None or attempt == _ATTEMPTS:
                break
            time.sleep(wait_s)
        return self._say(HANDED_OVER)

    def _billing(self, ticket: str) -> str:
        outcome = self._billing_clerk.run(ticket=ticket)
        return self._say(str(outcome.get("answer", HANDED_OVER)))

    def _say(self, text: str) -> str:
        self._emit(text)
        return text


def asked_to_wait_s(error: BaseException | None) -> float | None:
    """Seconds that a rate-limited provider asked to wait, 1 when it named none; None when that was not the trouble."""
    while error is not None:
        if isinstance(error, RateLimited):
            return float(error.retry_after or 1)
        error = error.__cause__ or error.__context__
    return None
