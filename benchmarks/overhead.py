"""What watching costs: each part and the whole, in one run with a bare SDK span, and other libraries on equal work.

Run from the repository: python -m benchmarks.overhead [--rounds 40] [--clock wall] [--peers] [--write] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kaizen.llm.client import LlmClient
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NoOpTracerProvider

from benchmarks import equal_work, parts, peers, scenes, sdk_parts
from benchmarks.harness import CLOCKS, Case, Line, Table, Timings, measure, write_between_markers

if TYPE_CHECKING:
    from kaizen_otel.telemetry import Telemetry

DOCUMENT = Path(__file__).parent.parent / "docs" / "performance.md"

BUDGETED_SPAN_US = 20
"""What the bare span took where the budgets in microseconds were set."""

BARE_SPAN = Line("a bare SDK span with 20 attributes", "bare span")
BARE_SPAN_IN_PLACE = Line("a bare SDK span with 20 attributes around the same chat", "chat in a bare span", "chat")

VARIANTS: list[tuple[str, float | None, dict[str, Any]]] = [
    ("everything: span, tokens, cost, roll-up, pipeline, histograms recorded at once", 3.0, {}),
    ("… histograms deferred", 1.4, {"deferred_histograms": True}),
    ("… without metrics", None, {"metrics": False}),
    ("not sampled, still counted, histograms recorded at once", None, {"sampler": ALWAYS_OFF}),
    ("not sampled, still counted, without metrics", 0.5, {"sampler": ALWAYS_OFF, "metrics": False}),
    ("no-op provider, still counted, without metrics", 0.2, {"sampler": None, "metrics": False}),
]


def make_variant(options: dict[str, Any]) -> Telemetry:
    """A telemetry with a tracer provider of its own; `sampler` None stands for the API's no-op provider."""
    settings = {key: value for key, value in options.items() if key != "sampler"}
    if "sampler" not in options:
        return scenes.make_telemetry(**settings)
    sampler = options["sampler"]
    provider = NoOpTracerProvider() if sampler is None else scenes.tracer_provider(sampler=sampler)
    return scenes.make_telemetry(tracer_provider=provider, **settings)


def of_model_calls() -> tuple[list[Case], list[Table]]:
    """One model call: the invocation alone, and through the patched client."""
    client, transport = scenes.make_client(), scenes.InstantTransport()
    chats = scenes.completions(client, transport)
    cases = [
        *sdk_parts.cases(),
        Case(BARE_SPAN.case, scenes.bare_span()),
        Case("chat", scenes.in_a_loop(chats)),
        Case(BARE_SPAN_IN_PLACE.case, scenes.in_a_loop(scenes.completions_in_bare_spans(client, transport))),
    ]
    alone, in_place = [BARE_SPAN], [BARE_SPAN_IN_PLACE]
    for what, budget, options in VARIANTS:
        telemetry = make_variant(options)
        cases.append(Case(f"{what} (alone)", scenes.invocations(telemetry), scenes.watched_by(telemetry)))
        alone.append(Line(what, f"{what} (alone)", budget=budget))
        cases.append(Case(what, scenes.in_a_loop(chats), scenes.watched_by(telemetry)))
        in_place.append(Line(what, what, "chat", budget))
    cases.append(Case("left behind", scenes.in_a_loop(chats), scenes.left_behind(scenes.make_telemetry())))
    in_place.append(Line("a wrapper that somebody kept, after `uninstrument()`", "left behind", "chat"))
    return cases, [
        Table("A model call: the invocation", [*alone, *sdk_parts.LINES], BARE_SPAN),
        Table("A model call: through `LlmClient.complete`", in_place, BARE_SPAN_IN_PLACE),
    ]


def of_parts() -> tuple[list[Case], list[Table]]:
    """A streamed chunk, an agent's whole tree, and the parts that have budgets of their own."""
    client, telemetry = scenes.make_client(), scenes.make_telemetry()
    watched = scenes.watched_by(telemetry)
    many = scenes.streams(client, scenes.InstantTransport())
    two = scenes.streams(client, scenes.InstantTransport(2))
    runs = scenes.agent_runs(scenes.make_agent())
    cases = [
        Case("stream", scenes.in_a_loop(many)),
        Case("watched stream", scenes.in_a_loop(many), watched),
        Case("short stream", scenes.in_a_loop(two)),
        Case("watched short stream", scenes.in_a_loop(two), watched),
        Case("agent", runs, count=2, clock="threads"),
        Case("watched agent", runs, watched, count=2, clock="threads"),
        *parts.cases(),
    ]
    of_two = Line("a stream of two chunks, as a whole", "watched short stream", "short stream")
    lines = [
        Line("a streamed chunk: what a stream of 52 costs, by chunk", "watched stream", "stream", 3, equal_work.CHUNKS),
        of_two,
        Line("each of the other 50 chunks", "watched stream", "stream", per=equal_work.CHUNKS - 2, beyond=of_two),
        *parts.LINES,
    ]
    whole = [
        Line("a run of a `BaseAgent` on `LocalRuntime`, unwatched (all threads)", "agent"),
        Line("what watching adds to it: spans of agent, workflow, node and chat", "watched agent", "agent"),
    ]
    return cases, [Table("Parts", lines, BARE_SPAN, BUDGETED_SPAN_US), Table("A whole run", whole, BARE_SPAN)]


def run(rounds: int, clock: str) -> tuple[list[Table], Timings]:
    """Measure everything of ours in one run."""
    original = vars(LlmClient)["complete"]
    with scenes.answering_at_once():
        (calls, call_tables), (others, other_tables) = of_model_calls(), of_parts()
        timings = measure([*calls, *others], rounds, clock)
    if vars(LlmClient)["complete"] is not original:
        raise RuntimeError("what was patched is not as it was")
    return [*call_tables, *other_tables], timings


def surroundings(rounds: int, clock: str) -> str:
    """Where and how it was measured."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("opentelemetry-sdk", "kailash-kaizen", "wrapt"))
    load = os.getloadavg()[0]
    return (
        f"CPython {platform.python_version()}, {versions}; {os.cpu_count()} shared cores, load {load:.1f} at the end; "
        f"{rounds} rounds, {'processor time of the thread' if clock == 'cpu' else 'wall clock'}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40, help="turns of each case")
    parser.add_argument("--clock", choices=CLOCKS, default="cpu", help="what is measured")
    parser.add_argument(
        "--peers", action="store_true", help="measure other libraries as well (installs them in a cache)"
    )
    parser.add_argument("--write", action="store_true", help=f"put the tables into {DOCUMENT.name}")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    logging.disable(logging.ERROR)
    warnings.simplefilter("ignore")

    tables, timings = run(options.rounds, options.clock)
    text = "\n\n".join(table.markdown(timings) for table in tables)
    text += "\n\n" + surroundings(options.rounds, options.clock)
    print(text)
    figures: dict[str, Any] = {table.title: table.results(timings) for table in tables}
    if options.write:
        write_between_markers(DOCUMENT, "overhead", text)
    if options.peers:
        figures["peers"] = peers.measure_all(options.rounds)
        table = peers.markdown(figures["peers"])
        print(table)
        if options.write:
            write_between_markers(DOCUMENT, "peers", table)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
