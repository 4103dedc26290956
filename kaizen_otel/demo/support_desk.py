"""The demo's application: a support desk of real Kaizen agents.

A supervisor reads a ticket and hands it to a desk. Orders: a clerk with a tool, then a writer who streams. Technical:
an agent that waits and asks again when it is refused with 429. Billing: an agent whose model fails in the offline demo.
At the end of the shift one more agent, run as a workflow, sums up. All that the desk does for its telemetry is to say
whose ticket it is working on.
"""

from __future__ import annotations

import asyncio
import os
import sys
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
    from collections.abc import Callable, Mapping, Sequence

PROVIDER: Final = "openai"
HANDED_OVER: Final = "Thank you for telling us. A colleague will come back to you within the hour."
ORDERS_SERVER: Final = {
    "name": "orders",
    "transport": "stdio",
    "command": sys.executable,
    "args": ["-m", "kaizen_otel.demo.mcp_tool"],
}
_ATTEMPTS: Final = 3
_MAX_TOKENS: Final = 200


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


class TechnicalAnswer(Signature):
    """Help a customer of our app, in one sentence."""

    ticket: str = InputField(description="The customer's ticket")
    answer: str = OutputField(description="The answer to the customer")


class Supervisor(BaseAgent):
    """Reads tickets and hands each to a desk."""


class OrderClerk(BaseAgent):
    """Looks up orders with the tool of an MCP server."""


class Writer(BaseAgent):
    """Writes the answer, streaming."""


class Technician(BaseAgent):
    """Helps with the app, patiently."""


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
            return choice
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
        facts = f"{inputs['ticket']}\n\nWhat we know: {inputs['facts']}"
        pieces = []
        async for chunk in client_of(agent).stream(messages_for(agent, facts), max_tokens=_MAX_TOKENS):
            pieces.append(chunk["text"])
            self._emit(chunk["text"])
        return {"answer": "".join(pieces)}


class Patient:
    """Asks the model, and again after the time that the provider asks for when it refuses with 429."""

    async def execute(self, agent: Any, inputs: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Get one answer."""
        attempts = 0
        while True:
            attempts += 1
            try:
                answer = await client_of(agent).complete(messages_for(agent, inputs["ticket"]), max_tokens=_MAX_TOKENS)
            except RateLimited as refused:
                if attempts == _ATTEMPTS:
                    raise
                await asyncio.sleep(refused.retry_after or 1)
            else:
                return {"answer": answer["text"]}


def client_of(agent: Any) -> Any:
    """A client for the agent's model."""
    return LlmClient.from_deployment_sync(resolve_deployment_for(PROVIDER, agent.config.model))


def messages_for(agent: Any, text: str) -> list[dict[str, str]]:
    """The signature's instructions, and the text that they are about."""
    return [{"role": "system", "content": str(type(agent.signature).__doc__)}, {"role": "user", "content": text}]


class SupportDesk:
    """The agents and how they work together."""

    def __init__(self, models: Models, emit: Callable[[str], None]) -> None:
        """Engage the agents; `emit` shows text to the customer as it is written."""
        self._emit = emit
        desks = {"orders": self._orders, "technical": self._technical, "billing": self._billing}
        fast, strong = _config(models.fast), _config(models.strong)
        self._supervisor = Supervisor(fast, signature=Triage(), strategy=HandOver(desks), mcp_servers=[])
        self._clerk = OrderClerk(strong, signature=OrderFacts(), strategy=WithTools(), mcp_servers=[ORDERS_SERVER])
        self._writer = Writer(strong, signature=Letter(), strategy=Streaming(emit), mcp_servers=[])
        self._technician = Technician(strong, signature=TechnicalAnswer(), strategy=Patient(), mcp_servers=[])
        self._billing_clerk = BillingClerk(strong, signature=BillingAnswer(), mcp_servers=[])
        self._reporter = Kaizen().create_agent(
            "ShiftReport",
            {"provider": PROVIDER, "model": models.fast, "max_tokens": 24, "system_prompt": "Sum up the shift."},
        )

    def open(self) -> None:
        """Find the tools of the clerk before the first customer comes."""
        asyncio.run(self._clerk.discover_mcp_tools())

    def answer(self, ticket: Ticket) -> str:
        """Answer one ticket."""
        with kaizen_otel.attributes(user_id=ticket.user_id, session_id=ticket.session_id, tags=("demo",)):
            outcome = self._supervisor.run(ticket=ticket.text)
        return str(outcome["answer"]) if "answer" in outcome else self._say(HANDED_OVER)

    def report(self, answers: Sequence[str]) -> str:
        """Sum up the shift: an agent without a signature, run as a workflow."""
        parameters = {"ShiftReport": {"messages": [{"role": "user", "content": "\n".join(answers)}]}}
        with LocalRuntime(enable_monitoring=False) as runtime:
            results, _ = runtime.execute(self._reporter.workflow.build(), parameters=parameters)
        response = results["ShiftReport"].get("response") or {}
        return self._say(str(response.get("content", "There is no report today.")))

    def _orders(self, ticket: str) -> str:
        found = self._clerk.run(ticket=ticket)
        if "facts" not in found:
            return self._say(HANDED_OVER)
        letter = self._writer.run(ticket=ticket, facts=found["facts"])
        return str(letter["answer"]) if "answer" in letter else self._say(HANDED_OVER)

    def _technical(self, ticket: str) -> str:
        outcome = self._technician.run(ticket=ticket)
        return self._say(str(outcome.get("answer", HANDED_OVER)))

    def _billing(self, ticket: str) -> str:
        outcome = self._billing_clerk.run(ticket=ticket)
        return self._say(str(outcome.get("answer", HANDED_OVER)))

    def _say(self, text: str) -> str:
        self._emit(text)
        return text


def _config(model: str) -> Any:
    return BaseAgentConfig(llm_provider=PROVIDER, model=model, response_format={"type": "json_object"})
