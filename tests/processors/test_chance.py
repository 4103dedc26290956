"""The application's random numbers are its own."""

from __future__ import annotations

import os
import random

from opentelemetry.sdk.trace import TracerProvider

import kaizen_otel
from kaizen_otel.testing import capture
from kaizen_otel.transparency import ExecutionTrace
from kaizen_processors.chance import CHANCE, OwnIdGenerator, random_id
from kaizen_processors.export.retry import Backoff
from kaizen_processors.quality.runner import RunnerOptions


def test_a_seeded_application_draws_the_same_numbers_with_us() -> None:
    random.seed(7)
    state = random.getstate()
    kaizen_otel.instrument(file=os.devnull)  # the console draws one number: rich does when it is imported
    try:
        with ExecutionTrace("work"):
            Backoff().next_s()
            RunnerOptions().random()
    finally:
        kaizen_otel.uninstrument()
    with capture(deterministic=False, tracer_provider=TracerProvider(id_generator=OwnIdGenerator())):
        random_id()
    assert random.getstate() == state


def test_a_forked_child_draws_numbers_of_its_own() -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, random_id().encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 32).decode() != random_id()
    os.close(reading)
    os.close(writing)


def test_ids_are_random_and_say_so() -> None:
    ids = OwnIdGenerator()
    assert ids.is_trace_id_random()
    assert len({ids.generate_trace_id() for _ in range(100)}) == 100
    assert len({ids.generate_span_id() for _ in range(100)}) == 100
    assert all(0 < ids.generate_span_id() < 1 << 64 for _ in range(100))
    assert CHANCE.random() != CHANCE.random()
