"""What the benchmarks run: a bare span, real Kaizen with a transport that answers at once, kaizen-otel around it."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kaizen.llm.client import LlmClient
from kaizen.llm.deployment import LlmDeployment
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from benchmarks.equal_work import (
    ANSWER,
    ATTRIBUTES,
    CHUNKS,
    MESSAGES,
    MODEL,
    PARAMETERS,
    Library,
    NullExporter,
    bare_spans,
    stream_lines,
)
from kaizen_otel.demo.loopback import lift_loopback_guard
from kaizen_otel.invocations.agent import AgentRequest
from kaizen_otel.invocations.call import CallRequest
from kaizen_otel.patches import switch
from kaizen_otel.patches.table import PATCHER
from kaizen_otel.settings import Settings
from kaizen_otel.telemetry import Telemetry
from kaizen_processors.usage import Usage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator

    from kaizen_otel.invocations.call import CallInvocation

    Work = Callable[[int], None]
    AsyncWork = Callable[[int], Coroutine[Any, Any, None]]


def tracer_provider(exporter: NullExporter | None = None, **options: Any) -> TracerProvider:
    """A provider with a batch processor, as in production, that sends nowhere."""
    provider = TracerProvider(**options)
    provider.add_span_processor(BatchSpanProcessor(exporter or NullExporter()))
    return provider


def bare_span() -> Work:
    """The yardstick: a span with 20 attributes, made by the SDK alone."""
    return bare_spans(tracer_provider().get_tracer("benchmark"))


def invocations(telemetry: Telemetry) -> Work:
    """Model calls as a patch makes them, with everything but the patch and the model."""
    usage = Usage(1200, 300, cache_read_tokens=200, reasoning_tokens=0)

    def describe() -> CallRequest:
        return CallRequest("chat", "openai", "gpt-4o", server_address="api.openai.com", server_port=443)

    def answer(call: CallInvocation) -> None:
        call.response_id, call.response_model = "chatcmpl-9dVqGhx3", "gpt-4o-2024-08-06"
        call.finish_reasons = ("stop",)
        call.usage = usage

    def run(count: int) -> None:
        for _ in range(count):
            with telemetry.call(describe) as call:
                call.observe(answer)

    return run


def make_telemetry(**options: Any) -> Telemetry:
    """A telemetry of its own providers: the SDK's spans and metrics, unless told otherwise."""
    options.setdefault("tracer_provider", tracer_provider())
    options.setdefault("meter_provider", MeterProvider([InMemoryMetricReader()]))
    return Telemetry(Settings(**options))


def watched_by(telemetry: Telemetry) -> Callable[[], Any]:
    """The patches on, inside an agent watched by this telemetry, for the length of a `with` block."""

    @contextmanager
    def watching() -> Iterator[None]:
        switch.turn_on(telemetry)
        PATCHER.turn_on(telemetry.fence)
        try:
            with telemetry.agent(lambda: AgentRequest("desk", None)):
                yield
        finally:
            PATCHER.turn_off()
            switch.turn_off()
            telemetry.flush()

    return watching


def left_behind(telemetry: Telemetry) -> Callable[[], Any]:
    """The patches on, nobody watching: what is left of us in a wrapper that somebody kept after `uninstrument()`."""

    @contextmanager
    def kept() -> Iterator[None]:
        with watched_by(telemetry)():
            switch.turn_off()
            yield

    return kept


# -- real Kaizen, no network --------------------------------------------------------------------------------------


class _Response:
    status_code = 200
    headers: dict[str, str] = {}  # noqa: RUF012 - never written
    text = ""

    @staticmethod
    def json() -> dict[str, Any]:
        return ANSWER


class InstantTransport:
    """What `LlmClient` takes for its HTTP client; the answer is there at once."""

    is_mock_transport = True

    def __init__(self, chunks: int = CHUNKS) -> None:
        self._response = _Response()
        self._lines = stream_lines(chunks)

    async def post(self, url: str, **_: Any) -> _Response:
        """Answer a chat."""
        del url
        return self._response

    async def stream_lines(self, method: str, url: str, **_: Any) -> AsyncIterator[str]:
        """Answer a streamed chat."""
        del method, url
        for line in self._lines:
            yield line


def make_client() -> Any:
    """A client of OpenAI's API. The address is a number: nothing is looked up, and nothing is connected to."""
    deployment = LlmDeployment.openai(api_key="sk-benchmark", model=MODEL, base_url="https://8.8.8.8/v1")
    return LlmClient.from_deployment(deployment)


def completions(client: Any, transport: InstantTransport) -> AsyncWork:
    """Chats, one after the other."""

    async def run(count: int) -> None:
        for _ in range(count):
            await client.complete(MESSAGES, http_client=transport, **PARAMETERS)

    return run


def completions_in_bare_spans(client: Any, transport: InstantTransport) -> AsyncWork:
    """The yardstick in the same surroundings: each chat in a span of the SDK alone."""
    tracer = tracer_provider().get_tracer("benchmark")

    async def run(count: int) -> None:
        for _ in range(count):
            with tracer.start_as_current_span("chat gpt-4o", attributes=ATTRIBUTES):
                await client.complete(MESSAGES, http_client=transport, **PARAMETERS)

    return run


def streams(client: Any, transport: InstantTransport) -> AsyncWork:
    """Streamed chats, read to their end."""

    async def run(count: int) -> None:
        for _ in range(count):
            async for _chunk in client.stream(MESSAGES, http_client=transport, **PARAMETERS):
                pass

    return run


def in_a_loop(work: AsyncWork) -> Work:
    """Run it in an event loop of its own."""

    def run(count: int) -> None:
        asyncio.run(work(count))

    return run


def ours() -> Library:
    """Us, on what other libraries are measured on: Kaizen's client in the place of the provider's."""
    client, transport = make_client(), InstantTransport()
    exporter = NullExporter()
    provider = tracer_provider(exporter)
    watching = watched_by(make_telemetry(tracer_provider=provider))
    chats, streamed = completions(client, transport), streams(client, transport)
    return Library(in_a_loop(chats), in_a_loop(streamed), watching, provider, exporter)


# -- a whole agent ------------------------------------------------------------------------------------------------


def make_agent() -> Any:
    """A `BaseAgent`, which runs a workflow of one LLM node on Kaizen's own `LocalRuntime`."""
    from kaizen.core.base_agent import BaseAgent
    from kaizen.core.config import BaseAgentConfig
    from kaizen.signatures import InputField, OutputField, Signature

    class Answer(Signature):
        question: str = InputField(desc="what to answer")
        answer: str = OutputField(desc="the answer")

    config = BaseAgentConfig(llm_provider="openai", model="gpt-4o")
    return BaseAgent(config=config, signature=Answer(), mcp_servers=[])


@contextmanager
def answering_at_once() -> Iterator[None]:
    """Every HTTP client of Kaizen's answers at once, and no name is looked up, for the length of a `with` block."""
    from kaizen.llm.http_client import LlmHttpClient

    transport = InstantTransport()

    async def post(_client: Any, url: str, **options: Any) -> _Response:
        return await transport.post(url, **options)

    real = LlmHttpClient.post
    with lift_loopback_guard("http://localhost:9"):
        LlmHttpClient.post = post
        try:
            yield
        finally:
            LlmHttpClient.post = real


def agent_runs(agent: Any) -> Work:
    """Runs of an agent, one after the other."""

    def run(count: int) -> None:
        for _ in range(count):
            agent.run(question="Where is my order?")

    return run
