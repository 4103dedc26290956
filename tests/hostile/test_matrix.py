"""Every odd value in every place: the application's outcome is the same, and the next call is traced.

For each slot the runs without us come first, all of them, then we instrument and run each value again.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

from kaizen_otel.demo.loopback import lift_loopback_guard
from kaizen_otel.testing import capture
from tests.hostile import llm_slots
from tests.hostile.errors import ERRORS_THAT_HANG_ASYNCIO, ODD_ERRORS
from tests.hostile.slot import API
from tests.hostile.slots import FIRSTS, SLOTS
from tests.hostile.stage import Noise, Outcome, Stage, Watch, listening, play, unrecorded
from tests.hostile.values import ODD_VALUES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from kaizen_otel.testing import Captured
    from tests.hostile.slot import Slot, Takes

LARGE = {"huge_text", "huge_message"}
"""Values of 70 MB, and 2 MB of message: tried once on each surface, not in each place of it."""


TABLES: dict[Takes, Mapping[str, Callable[[], Any]]] = {
    "value": ODD_VALUES,
    "error": ODD_ERRORS,
    "error outside a loop": ODD_ERRORS | ERRORS_THAT_HANG_ASYNCIO,
}


def values_for(slot: Slot) -> dict[str, Callable[[], Any]]:
    found = TABLES[slot.takes]
    left_out = {*slot.without, *(() if slot.name in FIRSTS else LARGE)}
    return {name: make for name, make in found.items() if name not in left_out}


LOOKED_FOR = ("pandas", "numpy", "langchain", "langchain_openai", "langchain_anthropic")
"""Modules that Kailash looks for some 50 times in each run of an LLM node: where they are missing, say so at once."""


@pytest.fixture(scope="module")
def offline() -> Iterator[None]:
    """Kaizen with keys and URLs that lead nowhere, no garbage collection but ours, and Ctrl-C left to us.

    Garbage is collected at set moments, so that what it warns of does not wander from run to run. asyncio's own handler
    of interrupts is not installed over another one: putting it back fails where the repr of a task's exception raises.
    """
    import mcp.client.stdio  # noqa: F401 - keeps for good the stderr that it finds, which a stage's is not meant for

    import tests.hostile.fakes  # noqa: F401 - Kaizen is loaded before the heap is frozen

    handler = signal.signal(signal.SIGINT, _interrupt)
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        with lift_loopback_guard("http://localhost:9"), pytest.MonkeyPatch.context() as patch:
            patch.setattr(gc, "collect", lambda *_: 0)  # Kaizen collects the garbage of each failed run
            for name in LOOKED_FOR:
                if importlib.util.find_spec(name) is None:
                    patch.setitem(sys.modules, name, None)
            yield
    finally:
        gc.enable()
        gc.unfreeze()
        signal.signal(signal.SIGINT, handler)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def attribute(surface: str) -> tuple[Any, str]:
    """The object and the name that `module:Class.attribute` means."""
    module, _, path = surface.partition(":")
    owner: Any = importlib.import_module(module)
    *classes, name = path.split(".")
    for one in classes:
        owner = getattr(owner, one)
    return owner, name


def judge_by_text(given: Any) -> float:
    """An evaluator that reads what it is given."""
    return 1.0 if given.output_text else 0.0


EVERYTHING: dict[str, Any] = {
    "monitoring_level": "comprehensive",
    "content": "span",
    "evaluators": (judge_by_text,),
    "baggage": True,
    "stream_usage": True,
}
"""Settings with which we look at all that we can look at."""


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("name", SLOTS)
def test_odd_values_change_nothing_for_the_application(name: str) -> None:
    with unrecorded():
        problems = play_slot(SLOTS[name])
    assert problems == {}


def play_slot(slot: Slot) -> dict[str, Any]:
    """Run every value without us, then every value with us; give what is wrong, by value."""
    values = values_for(slot)
    watch = Watch()
    if slot.surface != API:
        watch.install(*attribute(slot.surface))
    garbage()
    try:
        alone = {value: play(slot.run, make(), watch) for value, make in values.items()}
        left_alone = garbage()
        with capture(**EVERYTHING) as captured:
            problems: dict[str, Any] = {
                value: found
                for value, make in values.items()
                if (found := problems_with(alone[value], play(slot.run, make(), watch), captured))
            }
            left = garbage()
            metrics = captured._reader.get_metrics_data()
            assert metrics is not None
            encode_metrics(metrics)
        for (owner, name), recorder in watch.installed.items():
            assert vars(owner)[name] is recorder
    finally:
        watch.remove()
    if left != left_alone:
        problems["garbage"] = (left_alone, left)
    return problems


COLLECT = gc.collect


def garbage() -> Noise:
    """What collecting the garbage of the runs so far lets out."""
    with listening() as noise:
        COLLECT()
    # A coroutine that was never awaited warns once for itself and may warn once for ours around it.
    noise.warned = sorted(set(noise.warned))
    return noise


def problems_with(alone: Outcome, watched: Outcome, captured: Captured) -> dict[str, Any]:
    """What differs from the run without us, and what it left behind."""
    found: dict[str, Any] = {}
    if not alone.reached or not watched.reached:
        found["never reached the surface"] = (alone.reached, watched.reached)
    for what in ("result", "error", "noise"):
        before, after = getattr(alone, what), getattr(watched, what)
        if before != after:
            found[what] = (before, after)
    if watched.context_leaks or alone.context_leaks:
        found["context leaked"] = (alone.context_leaks, watched.context_leaks)
    found |= unexportable(captured)
    healthy = healthy_call(captured)
    if healthy != HEALTHY_CALL:
        found["next call"] = healthy
    return found


def unexportable(captured: Captured) -> dict[str, str]:
    """What an OTLP exporter could not encode: it would lose the whole batch."""
    try:
        encode_spans([span.raw for span in captured.spans]).SerializeToString()
        encode_logs(captured._logs.get_finished_logs()).SerializeToString()
    except Exception as error:  # noqa: BLE001 - whatever the encoder says about an odd value
        return {"cannot be exported": repr(error)}
    return {}


HEALTHY_CALL = ("chat gpt-4o", [("none", 100, 20, None)])


def healthy_call(captured: Captured) -> Any:
    """How an ordinary call is traced and counted now."""
    captured.clear()
    llm_slots.complete(Stage(None))
    seen = (
        captured.tree(),
        [(c.agent_name, c.usage.input_tokens, c.usage.output_tokens, c.price.missing) for c in captured.calls],
    )
    captured.clear()
    return seen
