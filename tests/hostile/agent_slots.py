"""Slots of the agents: `Agent`, `AgentLoop` (every `BaseAgent`), and `Kaizen`, which makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.hostile.slot import Slots

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.hostile.stage import Stage

SLOTS = Slots()


NOT_HANDLED = ("cancelled", "base_exception", "keyboard_interrupt", "system_exit", "generator_exit")
"""Errors that no `except Exception` sees."""

AGENT = "kaizen.core.agents:Agent."
LOOP = "kaizen.core.agent_loop:AgentLoop.run_sync"
LOOP_ASYNC = "kaizen.core.agent_loop:AgentLoop.run_async"
HANDLE_ERROR = "kaizen.core.base_agent:BaseAgent._handle_error"
INIT = "kaizen.core.framework:Kaizen.__init__"
CREATE = "kaizen.core.framework:Kaizen.create_agent"


# -- kaizen.core.agents.Agent -------------------------------------------------------------------------------------


def _agent(call: Callable[[Any], Any], *, http: Any = None, **config: Any) -> Any:
    from tests.hostile import fakes

    agent = fakes.agent(**config)
    with fakes.http_of(http or fakes.Http()):
        return call(agent)


@SLOTS.add(AGENT + "execute")
def agent_question(stage: Stage) -> Any:
    return _agent(lambda agent: agent.execute(question=stage.value))


@SLOTS.add(AGENT + "execute")
def agent_workflow(stage: Stage) -> Any:
    return _agent(lambda agent: agent.execute(stage.value))


@SLOTS.add(AGENT + "execute")
def agent_answer(stage: Stage) -> Any:
    from tests.hostile import fakes

    def answer() -> Any:
        message = {"content": stage.give(), "tool_calls": stage.value}
        return {**fakes.HEALTHY, "choices": [{"message": message, "finish_reason": stage.value}]}

    return _agent(lambda agent: agent.execute(question="x"), http=fakes.Http(answer))


def _with(stage: Stage, **attributes: Any) -> Any:
    """Run an agent of which these attributes are odd."""
    from tests.hostile import fakes

    agent = fakes.agent()
    vars(agent).update(attributes)
    stage.reached = True  # it is the agent's own: no argument shows it
    with fakes.http_of(fakes.Http()):
        return agent.execute(question="x")


@SLOTS.add(AGENT + "execute")
def agent_id(stage: Stage) -> Any:
    return _with(stage, agent_id=stage.value, name=stage.value)


@SLOTS.add(AGENT + "execute")
def agent_signature(stage: Stage) -> Any:
    return _with(stage, signature=stage.value)


@SLOTS.add(AGENT + "execute")
def agent_signature_fields(stage: Stage) -> Any:
    signature = type("OddSignature", (), {"output_fields": stage.value, "input_fields": stage.value})()
    return _with(stage, signature=signature)


@SLOTS.add(AGENT + "execute", takes="error")
def agent_raises(stage: Stage) -> Any:
    from tests.hostile import fakes

    return _agent(lambda agent: agent.execute(question="x"), http=fakes.Http(refuse=stage.throw))


@SLOTS.add(AGENT + "execute_workflow")
def agent_execute_workflow_inputs(stage: Stage) -> Any:
    return _agent(lambda agent: agent.execute_workflow(stage.value))


@SLOTS.add(AGENT + "execute_multi_round")
def agent_multi_round_inputs(stage: Stage) -> Any:
    return _agent(lambda agent: agent.execute_multi_round(stage.value, rounds=1))


@SLOTS.add(AGENT + "execute_cot")
def agent_cot_inputs(stage: Stage) -> Any:
    return _agent(lambda agent: agent.execute_cot(question=stage.value))


@SLOTS.add(AGENT + "execute_react")
def agent_react_inputs(stage: Stage) -> Any:
    return _agent(lambda agent: agent.execute_react(question=stage.value))


@SLOTS.add(AGENT + "communicate_with")
def agent_message(stage: Stage) -> Any:
    from tests.hostile import fakes

    return _agent(lambda agent: agent.communicate_with(fakes.agent("other"), stage.value))


@SLOTS.add(AGENT + "communicate_with")
def agent_target(stage: Stage) -> Any:
    return _agent(lambda agent: agent.communicate_with(stage.value, "hello"))


# -- AgentLoop ----------------------------------------------------------------------------------------------------


def _fine() -> Any:
    return {"answer": "fine"}


def _run(answer: Callable[[], Any], inputs: dict[str, Any] | None = None, **attributes: Any) -> Any:
    from tests.hostile import fakes

    agent = fakes.base_agent(answer)
    vars(agent).update(attributes)
    return agent.run(**({"question": "x"} if inputs is None else inputs))


@SLOTS.add(LOOP)
def loop_input(stage: Stage) -> Any:
    return _run(_fine, {"question": stage.value})


@SLOTS.add(LOOP)
def loop_session_id(stage: Stage) -> Any:
    return _run(_fine, {"question": "x", "session_id": stage.value})


@SLOTS.add(LOOP)
def loop_result(stage: Stage) -> Any:
    return _run(stage.give)


@SLOTS.add(LOOP)
def loop_answer(stage: Stage) -> Any:
    return _run(lambda: {"answer": stage.give(), "confidence": stage.value})


@SLOTS.add(LOOP)
def loop_failure(stage: Stage) -> Any:
    return _run(lambda: {"success": False, "error": stage.give(), "type": "x", "answer": stage.value})


@SLOTS.add(LOOP)
def loop_failure_type(stage: Stage) -> Any:
    return _run(lambda: {"success": stage.give(), "error": stage.value, "type": stage.value})


@SLOTS.add(LOOP)
def loop_agent_id(stage: Stage) -> Any:
    stage.reached = True
    return _run(_fine, agent_id=stage.value)


@SLOTS.add(LOOP)
def loop_signature(stage: Stage) -> Any:
    stage.reached = True
    return _run(_fine, signature=stage.value)


@SLOTS.add(LOOP)
def loop_agent(stage: Stage) -> Any:
    from kaizen.core.agent_loop import AgentLoop

    return AgentLoop.run_sync(stage.value, question="x")


@SLOTS.add(LOOP, takes="error")
def loop_raises(stage: Stage) -> Any:
    return _run(stage.throw)


@SLOTS.add(HANDLE_ERROR, takes="error", without=NOT_HANDLED)
def handled_error(stage: Stage) -> Any:
    return _run(stage.throw)


def _run_async(stage: Stage, answer: Callable[[], Any]) -> Any:
    from tests.hostile import fakes

    return stage.run(fakes.base_agent(answer).run_async(question="x"))


@SLOTS.add(LOOP_ASYNC)
def loop_async_result(stage: Stage) -> Any:
    return _run_async(stage, stage.give)


@SLOTS.add(LOOP_ASYNC)
def loop_async_input(stage: Stage) -> Any:
    from tests.hostile import fakes

    return stage.run(fakes.base_agent(_fine).run_async(question=stage.value, session_id=stage.value))


@SLOTS.add(LOOP_ASYNC, takes="error", without=("stop_iteration",))  # a future refuses it: its task never ends
def loop_async_raises(stage: Stage) -> Any:
    return _run_async(stage, stage.throw)


# -- Kaizen -------------------------------------------------------------------------------------------------------


@SLOTS.add(INIT)
def kaizen_config(stage: Stage) -> Any:
    from kaizen.core.framework import Kaizen

    return Kaizen(config=stage.value)


@SLOTS.add(INIT)
def kaizen_monitoring_keys(stage: Stage) -> Any:
    from kaizen.core.framework import Kaizen

    keys = ("performance_tracking", "transparency", "transparency_enabled", "metrics_collection", "metrics_retention")
    return Kaizen(config=dict.fromkeys((*keys, "monitoring_level", "no_such_key"), stage.value))


def _create(*args: Any, **given: Any) -> Any:
    from kaizen.core.framework import Kaizen

    return Kaizen().create_agent(*args, **given)


@SLOTS.add(CREATE)
def create_agent_id(stage: Stage) -> Any:
    return _create(stage.value, {"model": "gpt-4o"})


@SLOTS.add(CREATE)
def create_agent_config(stage: Stage) -> Any:
    return _create("qa", stage.value)


@SLOTS.add(CREATE)
def create_agent_model(stage: Stage) -> Any:
    return _create("qa", {"model": stage.value, "provider": stage.value})


@SLOTS.add(CREATE)
def create_agent_transparency(stage: Stage) -> Any:
    return _create("qa", {"model": "gpt-4o", "transparency": stage.value})


@SLOTS.add(CREATE)
def create_agent_signature(stage: Stage) -> Any:
    return _create("qa", {"model": "gpt-4o"}, signature=stage.value)
