"""The caller's outcome is the one it would have without us: the same object, the same error, one call."""

from __future__ import annotations

import asyncio
import inspect
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import pytest

from kaizen_otel.patches.table import PATCHER
from kaizen_otel.testing import capture

if TYPE_CHECKING:
    from collections.abc import Callable

    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured


class Given:
    """What a scene's innermost call returns or raises, and how often it was asked."""

    def __init__(self, *, fail: bool = False) -> None:
        """Return an object, or raise an error."""
        self.result: Any = {"answer": "42", "result": object()}
        self.error = LookupError("the user's own")
        self._fail = fail
        self.calls = 0

    def __call__(self) -> Any:
        self.calls += 1
        if self._fail:
            raise self.error
        return self.result


def sync_node(given: Given) -> Any:
    from tests.kaizen_otel.surfaces import scenes

    class Mine(scenes.SyncProbe):
        def execute(self, **_: Any) -> Any:
            return given()

    return Mine().execute()


def async_node(given: Given) -> Any:
    from tests.kaizen_otel.surfaces import scenes

    class Mine(scenes.AsyncProbe):
        async def execute_async(self, **_: Any) -> Any:
            return given()

    return asyncio.run(Mine().execute_async())


def base_agent(given: Given) -> Any:
    from kaizen.strategies.single_shot import SingleShotStrategy

    from tests.kaizen_otel.surfaces import scenes

    class Mine(SingleShotStrategy):
        def execute(self, agent: Any, inputs: dict[str, Any]) -> Any:
            del agent, inputs
            return given()

    return scenes.base_agent(strategy=Mine(), error_handling_enabled=False).run(question="x")


def base_agent_async(given: Given) -> Any:
    from kaizen.strategies.async_single_shot import AsyncSingleShotStrategy

    from tests.kaizen_otel.surfaces import scenes

    class Mine(AsyncSingleShotStrategy):
        async def execute(self, agent: Any, inputs: dict[str, Any]) -> Any:
            del agent, inputs
            return given()

    agent = scenes.base_agent(strategy=Mine(), use_async_llm=True, error_handling_enabled=False)
    return asyncio.run(agent.run_async(question="x"))


def kaizen_agent(given: Given) -> Any:
    from tests.kaizen_otel.surfaces import scenes

    agent = scenes.kaizen_agent()
    agent._execute_direct_llm = lambda _inputs: given()
    return agent.execute(question="x")


def access_controlled_runtime(given: Given) -> Any:
    from kailash.access_control import UserContext
    from kailash.runtime.access_controlled import AccessControlledRuntime

    from tests.kaizen_otel.surfaces import scenes

    class Mine:
        def execute(self, *_: Any, **__: Any) -> Any:
            return given()

    user = UserContext(user_id="u", tenant_id="t", email="u@example.com", roles=[])
    return AccessControlledRuntime(user, base_runtime=Mine()).execute(scenes.workflow("SyncProbe"))


def create_agent(given: Given) -> Any:
    from kaizen.core.framework import Kaizen

    framework = Kaizen()
    framework.agent_manager.create_agent = lambda *_, **__: given()
    return framework.create_agent("qa", {"model": "gpt-4o"})


SCENES = [
    (sync_node, "node Mine"),
    (async_node, "node Mine"),
    (base_agent, "invoke_agent BaseAgent"),
    (base_agent_async, "invoke_agent BaseAgent"),
    (kaizen_agent, "create_agent qa\ninvoke_agent qa"),
    (access_controlled_runtime, "invoke_workflow"),
    (create_agent, "create_agent qa"),
]


@pytest.mark.parametrize(("scene", "tree"), SCENES)
def test_the_caller_gets_the_very_object(
    scene: Callable[[Given], Any], tree: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    del kaizen_offline
    given = Given()

    assert scene(given) is given.result
    assert given.calls == 1
    assert kaizen_telemetry.tree() == tree


@pytest.mark.parametrize(("scene", "tree"), SCENES)
def test_the_caller_gets_the_very_error(
    scene: Callable[[Given], Any], tree: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    del kaizen_offline
    given = Given(fail=True)

    with pytest.raises(LookupError) as caught:
        scene(given)

    assert caught.value is given.error
    assert given.calls == 1
    assert kaizen_telemetry.tree() == f"{tree}!"


def test_a_chat_returns_the_very_dictionary_that_kaizen_made(
    kaizen_offline: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kaizen.llm.wire_protocols import openai_chat

    from tests.kaizen_otel.surfaces import scenes

    made: list[Any] = []
    parse = openai_chat.parse_response

    def remember(payload: Any) -> Any:
        made.append(parse(payload))
        return made[-1]

    monkeypatch.setattr(openai_chat, "parse_response", remember)
    with capture() as captured:
        answer = asyncio.run(scenes.llm_client().complete(scenes.MESSAGES))
        assert captured.tree() == "chat gpt-4o"

    assert len(made) == len(kaizen_offline.requests) == 1
    assert answer is made[0]


@pytest.mark.filterwarnings("ignore:'asyncio.iscoroutinefunction':DeprecationWarning")
def test_patched_functions_are_what_they_were(kaizen_offline: ModelServer) -> None:
    from tests.kaizen_otel.surfaces import scenes

    del kaizen_offline, scenes
    kinds: tuple[Callable[[Any], object], ...] = (
        inspect.iscoroutinefunction,
        asyncio.iscoroutinefunction,
        inspect.isasyncgenfunction,
        inspect.isgeneratorfunction,
        inspect.isfunction,
        callable,
        lambda function: str(inspect.signature(function)),
        lambda function: (function.__name__, function.__qualname__, function.__module__, function.__doc__),
    )
    with capture():
        patched = list(PATCHER.patched())
        while_on = {(owner, name): [kind(getattr(owner, name)) for kind in kinds] for owner, name in patched}
    assert len(patched) > 40
    for (owner, name), seen in while_on.items():
        assert seen == [kind(getattr(owner, name)) for kind in kinds], f"{owner.__name__}.{name}"


def _wrong_calls(stack: ExitStack) -> dict[str, Callable[[], Any]]:
    from kailash.runtime import AsyncLocalRuntime
    from kailash.runtime.local import LocalRuntime
    from kailash.runtime.parallel import ParallelRuntime
    from kailash_mcp.client import MCPClient
    from kaizen.core.agent_loop import AgentLoop
    from kaizen.core.framework import Kaizen
    from kaizen.llm.client import LlmClient

    from tests.kaizen_otel.surfaces import scenes

    def on(runtime_class: Any) -> Any:
        return stack.enter_context(closing(runtime_class()))

    return {
        "complete without messages": lambda: scenes.llm_client().complete(),
        "complete with a wrong name": lambda: scenes.llm_client().complete(scenes.MESSAGES, modell="x"),
        "complete without self": LlmClient.complete,
        "stream with a wrong name": lambda: scenes.llm_client().stream(scenes.MESSAGES, modell="x"),
        "embed without texts": lambda: scenes.llm_client().embed(),
        "local execute_async without workflow": lambda: on(LocalRuntime).execute_async(),
        "async local without workflow": lambda: on(AsyncLocalRuntime).execute_workflow_async(),
        "parallel without workflow": lambda: ParallelRuntime().execute(),
        "node with a position": lambda: scenes.SyncProbe().execute(1),
        "async node with a position": lambda: scenes.AsyncProbe().execute_async(1),
        "agent loop without agent": AgentLoop.run_sync,
        "agent loop async without agent": AgentLoop.run_async,
        "agent with two positions": lambda: scenes.kaizen_agent().execute("x", "y"),
        "create_agent with nonsense": lambda: Kaizen().create_agent(object(), object()),
        "mcp without arguments": lambda: MCPClient().call_tool(),
        "local with no workflow": lambda: on(LocalRuntime).execute(None),
    }


WRONG_CALLS = 16


@pytest.mark.parametrize("index", range(WRONG_CALLS))
def test_wrong_arguments_are_refused_at_the_call_with_the_same_words(index: int, kaizen_offline: ModelServer) -> None:
    def refusal() -> tuple[type, str]:
        with ExitStack() as stack:
            calls = list(_wrong_calls(stack).values())
            assert len(calls) == WRONG_CALLS
            with pytest.raises(Exception) as caught:  # noqa: PT011 - compared below
                calls[index]()
        return caught.type, str(caught.value)

    unwatched = refusal()
    with capture():
        watched = refusal()

    assert watched == unwatched
    assert kaizen_offline.requests == []


@pytest.mark.parametrize("surface", ["complete", "embed", "execute_async", "run_async"])
def test_a_coroutine_that_is_never_started_leaves_nothing_behind(
    surface: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from kailash.runtime import AsyncLocalRuntime

    from tests.kaizen_otel.surfaces import scenes

    async def scene() -> None:
        async with AsyncLocalRuntime() as runtime:
            coroutine = {
                "complete": lambda: scenes.llm_client().complete(scenes.MESSAGES),
                "embed": lambda: scenes.llm_client().embed(["x"]),
                "execute_async": lambda: runtime.execute_async(scenes.workflow("SyncProbe")),
                "run_async": lambda: scenes.base_agent(use_async_llm=True).run_async(question="x"),
            }[surface]()
            assert inspect.iscoroutine(coroutine)
            coroutine.close()

    asyncio.run(scene())

    assert kaizen_offline.requests == []
    assert kaizen_telemetry.spans == []


def test_a_sync_call_that_hands_back_a_coroutine_is_not_awaited_for_the_caller(kaizen_telemetry: Captured) -> None:
    from tests.kaizen_otel.surfaces import scenes

    async def answer() -> str:
        return "late"

    given = answer()

    class Mine(scenes.SyncProbe):
        def execute(self, **_: Any) -> Any:
            return given

    assert Mine().execute() is given
    assert asyncio.run(given) == "late"
    assert kaizen_telemetry.tree() == "node Mine"
