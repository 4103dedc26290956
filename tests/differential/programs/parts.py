"""Tools, memories, routes and nodes by themselves, each used as its docstring does."""

from __future__ import annotations

from typing import Any

from kaizen.core.base_agent import BaseAgent
from kaizen.core.config import BaseAgentConfig
from kaizen.core.structured_output import create_structured_output_config
from kaizen.llm.routing.fallback import FallbackRouter
from kaizen.memory.buffer import BufferMemory
from kaizen.memory.knowledge_graph import KnowledgeGraphMemory
from kaizen.memory.providers.buffer_adapter import BufferMemoryAdapter
from kaizen.memory.shared_memory import SharedMemoryPool
from kaizen.memory.summary import SummaryMemory
from kaizen.memory.vector import VectorMemory
from kaizen.nodes.ai.a2a import A2AAgentNode, SharedMemoryPoolNode
from kaizen.nodes.ai.iterative_llm_agent import IterativeLLMAgentNode
from kaizen.nodes.ai.llm_agent import LLMAgentNode
from kaizen.nodes.ai.self_organizing import AgentPoolManagerNode
from kaizen.signatures import InputField, OutputField, Signature
from kaizen.strategies.streaming import StreamingStrategy
from kaizen.tools.native.registry import KaizenToolRegistry
from kaizen.tools.native.todo_tool import TodoWriteTool

HELLO = [{"role": "user", "content": "Hello!"}]


class Answered(Signature):
    question: str = InputField(desc="what to answer")
    answer: str = OutputField(desc="the answer")
    confidence: float = OutputField(desc="how sure, 0 to 1")


def _agent(**config: Any) -> Any:
    given = BaseAgentConfig(llm_provider="openai", model="gpt-4o", **config)
    return BaseAgent(given, Answered(), agent_id="a", mcp_servers=[])


def an_answer_in_a_schema() -> Any:
    return _agent(response_format=create_structured_output_config(Answered(), strict=True)).run(question="x")


async def tokens_one_by_one() -> Any:
    return [token async for token in StreamingStrategy().stream(_agent(), {"question": "x"})]


async def a_route_with_a_fallback() -> Any:
    tried: list[str] = []

    async def execute(model: str) -> str:
        tried.append(model)
        if len(tried) == 1:
            raise RuntimeError("overloaded")
        return f"{model} answers"

    models = ["gpt-4", "claude-3-opus"]
    router = FallbackRouter(available_models=models, fallback_chain=models)
    result = await router.route_with_fallback(task="Complex reasoning task", execute_fn=execute)
    return result.success, result.model_used, tried


async def native_tools() -> Any:
    registry = KaizenToolRegistry()
    registry.register_defaults()
    found = await registry.execute("read_file", {"path": "not-a-file.txt"})
    todos = await TodoWriteTool().execute(todos=[{"content": "Run", "status": "in_progress", "activeForm": "Running"}])
    return [(one.success, one.error if not one.success else None) for one in (found, todos)]


def memories() -> Any:
    turn = {"user": "My name is Ann.", "agent": "Hello Ann."}
    made: tuple[Any, ...] = (
        BufferMemory(),
        SummaryMemory(),
        VectorMemory(embedding_fn=lambda _: [1.0, 0.0]),
        KnowledgeGraphMemory(),
    )
    for memory in made:
        memory.save_turn("s1", turn)
    return [memory.load_context("s1") for memory in made]


async def a_provider_of_memory() -> Any:
    adapter = BufferMemoryAdapter()
    context = await adapter.build_context(query="hello", session_id="s1", max_tokens=100)
    return context.is_empty


def what_agents_share() -> Any:
    pool = SharedMemoryPool()
    pool.write_insight({"agent_id": "a", "content": "c", "tags": ["t"], "importance": 0.9, "segment": "s"})
    return [one["content"] for one in pool.read_relevant(tags=["t"], exclude_own=False, agent_id="b")]


def a_node_of_a_model() -> Any:
    answer = LLMAgentNode().execute(provider="openai", model="gpt-4o", messages=HELLO)
    return answer["success"], answer["response"]["content"]


def a_node_that_goes_round() -> Any:
    node = IterativeLLMAgentNode()
    answer = node.execute(provider="openai", model="gpt-4o", messages=HELLO, max_iterations=1, mcp_servers=[])
    return answer["success"]


def nodes_of_a_team() -> Any:
    pool = SharedMemoryPoolNode()
    written = pool.execute(action="write", agent_id="a", content="Found it.", tags=["t"], importance=0.9, segment="s")
    read = pool.execute(action="read", agent_id="b", attention_filter={"tags": ["t"], "window_size": 5})
    asked = A2AAgentNode().execute(agent_id="b", provider="openai", model="gpt-4o", messages=HELLO, memory_pool=pool)
    crowd = AgentPoolManagerNode().execute(action="register", agent_id="a", capabilities=["look"], metadata={})
    return written["success"], read["success"], asked["success"], crowd["success"]
