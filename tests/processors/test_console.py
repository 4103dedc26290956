from __future__ import annotations

import io
import os
import threading
from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from kaizen_processors.export.console import ConsoleTree, ConsoleTreeExporter, terminal_width, wants_color
from tests.processors.desk_spans import (
    SECOND,
    START,
    begin,
    begin_agent,
    begin_chat,
    console,
    desk,
    end,
    shown,
    used,
)

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def time_ns(self) -> int:
        return START

    def monotonic_ns(self) -> int:
        return int(self.now_s * SECOND)


# -- when it prints -------------------------------------------------------------------------------------------------


def test_nothing_is_printed_before_the_root_ends() -> None:
    tree, file = console()
    *inner, root = desk()
    for span in inner:
        tree.on_span(span)
    assert file.getvalue() == ""
    tree.on_span(root)
    assert file.getvalue().startswith("trace ")


def test_a_late_child_is_printed_as_a_continuation() -> None:
    tree, file = console()
    boss = begin_agent("boss")
    late = begin_chat("m", boss, 0.5)
    later = begin("event", late, 0.6)
    tree.on_span(end(boss, 1))
    file.truncate(0)
    tree.on_span(end(later, 2, gen_ai__operation__name="execute_tool"))
    assert file.getvalue().strip("\0") == ""
    tree.on_span(end(late, 3, **used(1, 1, 0.1)))
    title, *rest = file.getvalue().strip("\0").splitlines()
    assert title.endswith(" · continued")
    assert rest[0].startswith("chat m ")
    assert rest[1].startswith("└─ event ")
    assert "parent not seen" not in file.getvalue()


def test_a_call_from_another_process_is_a_root_here() -> None:
    caller = NonRecordingSpan(SpanContext(0xABC, 0xDEF, is_remote=True, trace_flags=TraceFlags(1)))
    assert "agent a (remote parent) " in shown([end(begin_agent("a", caller), 1)])


def test_traces_of_other_things_are_not_printed_unless_asked_for() -> None:
    other = TracerProvider().get_tracer("http").start_span("GET /health")
    other.end()
    assert isinstance(other, ReadableSpan)
    assert shown([other]) == ""
    assert "GET /health" in shown([other], every_trace=True)


def test_an_agent_that_is_only_made_is_no_tree_unless_that_failed() -> None:
    made, failed = (
        end(begin("create_agent a", gen_ai__operation__name="create_agent"), 1, error=error)
        for error in ("", "KeyError")
    )
    assert shown([made]) == ""
    assert "create a " in shown([made], every_trace=True)
    assert "KeyError" in shown([failed])


def test_spans_of_other_libraries_are_shown_in_a_trace_about_agents() -> None:
    http = TracerProvider().get_tracer("http").start_span("GET /ask")
    call = begin_chat("m", http)
    spans = [end(call, 1, **used(1, 1, 0.1))]
    http.end()
    assert isinstance(http, ReadableSpan)
    assert "GET /ask" in shown([*spans, http])


def test_flush_prints_what_has_no_root_yet() -> None:
    tree, file = console()
    boss = begin_agent("boss")
    tree.on_span(end(begin_chat("m", boss), 1, **used(1, 1, 0.1)))
    assert tree.flush()
    assert " · so far\n" in file.getvalue()
    assert "chat m (parent not seen) " in file.getvalue()
    tree.on_span(end(boss, 2))
    assert file.getvalue().count("chat m") == 1
    assert " · continued\nagent boss " in file.getvalue()


def test_a_trace_that_waits_too_long_is_printed() -> None:
    clock = Clock()
    tree, file = console(max_age_s=60, clock=clock)
    tree.on_span(end(begin_chat("waiting", begin_agent("slow")), 1, **used(1, 1, 0.1)))
    clock.now_s = 61
    tree.on_span(end(begin_chat("other", begin_agent("slow")), 1, **used(1, 1, 0.1)))
    assert "chat waiting" in file.getvalue()
    assert "chat other" not in file.getvalue()


def test_a_trace_that_was_printed_in_part_does_not_make_an_older_one_wait() -> None:
    clock = Clock()
    tree, file = console(max_age_s=60, clock=clock)
    tree.on_span(end(begin_chat("oldest", begin_agent("slow")), 1, **used(1, 1, 0.1)))
    clock.now_s = 30
    caller = NonRecordingSpan(SpanContext(0xABC, 0xDEF, is_remote=True, trace_flags=TraceFlags(1)))
    tree.on_span(end(begin_chat("younger", begin_agent("slow", caller)), 1, **used(1, 1, 0.1)))
    tree.on_span(end(begin_agent("quick", caller), 1))
    assert file.getvalue().count("trace ") == 1
    clock.now_s = 61
    tree.on_span(end(begin_chat("youngest", begin_agent("slow")), 1, **used(1, 1, 0.1)))
    assert "chat oldest" in file.getvalue()
    assert "chat younger" not in file.getvalue()
    clock.now_s = 91
    tree.on_span(end(begin_chat("last", begin_agent("slow")), 1, **used(1, 1, 0.1)))
    assert "chat younger" in file.getvalue()


def test_memory_is_bounded_by_printing_the_oldest_trace() -> None:
    tree, file = console(max_spans=50)
    for number in range(500):
        tree.on_span(end(begin_chat(f"m{number}", begin_agent("endless")), 1, **used(1, 1, 0.1)))
        assert tree._traces._waiting_spans <= 50
        assert tree._traces._printed_spans <= 50
    assert "chat m449 " in file.getvalue()
    assert "chat m450 " not in file.getvalue()


def test_one_endless_trace_is_bounded_too() -> None:
    tree, file = console(max_spans=50)
    boss = begin_agent("endless")
    for number in range(500):
        tree.on_span(end(begin_chat(f"m{number}", boss), 1, **used(1, 1, 0.1)))
        assert tree._traces._waiting_spans <= 50
        assert tree._traces._printed_spans <= 51
    assert file.getvalue().count("chat m") == 459


def test_a_huge_tree_is_cut_and_says_so() -> None:
    tree, file = console(max_lines=5)
    boss = begin_agent("boss")
    for _ in range(20):
        tree.on_span(end(begin_chat("m", boss), 1, **used(1, 1, 0.1)))
    tree.on_span(end(boss, 1))
    assert file.getvalue().count("chat m") == 4
    assert "\n… 16 more spans\nΣ 1 execution · 20 model calls" in file.getvalue()


def test_a_chain_deeper_than_pythons_stack_is_drawn() -> None:
    tree, file = console(max_lines=5_000)
    chain = [begin_agent("0")]
    for _ in range(2_999):
        chain.append(begin("deep", chain[-1]))
    for span in reversed(chain):
        tree.on_span(end(span, 1))
    assert file.getvalue().count("└─ deep") == 2_999
    assert tree.fence.counts() == {}


# -- what must not go wrong -----------------------------------------------------------------------------------------


class BrokenFile(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError(text[:5])


def test_a_broken_terminal_never_reaches_the_caller() -> None:
    tree = ConsoleTree(BrokenFile(), 100, color=False)
    for span in desk():
        tree.on_span(span)
    assert tree.fence.counts() == {"console.print:BrokenPipeError": 1}


def test_a_span_that_is_none_never_reaches_the_caller() -> None:
    tree, _ = console()
    tree.on_span(None)  # type: ignore[arg-type]  # what a wrong processor might hand over
    assert tree.fence.counts() == {"console.on_span:AttributeError": 1}


def test_a_span_that_ends_while_a_tree_is_printed_is_printed_after_it() -> None:
    class Reentrant(io.StringIO):
        def write(self, text: str) -> int:
            if not self.getvalue():
                super().write(text)
                tree.on_span(end(begin_agent("inner"), 1))
                return 0
            return super().write(text)

    file = Reentrant()
    tree = ConsoleTree(file, 100, color=False)
    tree.on_span(end(begin_agent("outer"), 1))
    assert [line.split()[1] for line in file.getvalue().splitlines() if line.startswith("agent")] == ["outer", "inner"]


def test_while_one_thread_prints_no_other_waits() -> None:
    printing, go_on = threading.Event(), threading.Event()

    class Slow(io.StringIO):
        def write(self, text: str) -> int:
            printing.set()
            go_on.wait(30)
            return super().write(text)

    file = Slow()
    tree = ConsoleTree(file, 100, color=False, max_spans=3)
    thread = threading.Thread(target=tree.on_span, args=(end(begin_agent("first"), 1),))
    thread.start()
    assert printing.wait(30)
    for _ in range(5):
        tree.on_span(end(begin_agent("meanwhile"), 1))
    assert tree.dropped == 2
    assert not tree.flush(wait_s=0.01)
    go_on.set()
    thread.join()
    assert tree.flush()
    assert file.getvalue().count("agent meanwhile") == 3


def test_every_trace_of_many_threads_is_printed_whole() -> None:
    tree, file = console()

    def work(name: str) -> None:
        for _ in range(20):
            boss = begin_agent(name)
            tree.on_span(end(begin_chat("m", boss), 1, **used(1, 1, 0.1)))
            tree.on_span(end(boss, 1))

    threads = [threading.Thread(target=work, args=(f"agent-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tree.drain()
    blocks = file.getvalue().strip().split("\n\n")
    assert len(blocks) == 80
    assert all(len(block.splitlines()) == 4 for block in blocks)


def test_a_forked_child_does_not_print_what_its_parent_holds() -> None:
    tree, file = console()
    boss = begin_agent("boss")
    tree.on_span(end(begin_chat("held by the parent", boss), 1, **used(1, 1, 0.1)))
    tree._pid = -1  # as a child finds it
    tree.on_span(end(begin_agent("child"), 1))
    assert tree.flush()
    assert "agent child" in file.getvalue()
    assert "held by the parent" not in file.getvalue()


def test_without_a_stream_nothing_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = ConsoleTree(color=False)
    monkeypatch.setattr("sys.stderr", None)
    tree.on_span(end(begin_agent("a"), 1))
    assert tree.fence.counts() == {}


def test_by_default_it_prints_to_the_stderr_of_the_moment(capsys: pytest.CaptureFixture[str]) -> None:
    ConsoleTree().on_span(end(begin_agent("a"), 1))
    out, err = capsys.readouterr()
    assert out == ""
    assert "\nagent a " in err


# -- the exporter -----------------------------------------------------------------------------------------------------


def test_the_exporter_works_with_any_provider() -> None:
    tree, file = console(every_trace=True)
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(ConsoleTreeExporter(tree)))
    tracer = provider.get_tracer("app")
    with tracer.start_as_current_span("outer"):
        tracer.start_span("inner").end()
        running = tracer.start_span("running")
        tracer.start_span("below running", set_span_in_context(running)).end()
        assert provider.force_flush()
        assert file.getvalue() == ""
    assert "└─ inner" in file.getvalue()
    assert "below running" not in file.getvalue()
    provider.shutdown()
    assert " · so far\nbelow running (parent not seen)" in file.getvalue()


# -- settings of the terminal -----------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environment", "file", "colored"),
    [
        ({}, Terminal, True),
        ({}, io.StringIO, False),
        ({"NO_COLOR": "1"}, Terminal, False),
        ({"NO_COLOR": ""}, Terminal, True),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, Terminal, False),
        ({"FORCE_COLOR": "1"}, io.StringIO, True),
        ({"FORCE_COLOR": "0"}, io.StringIO, False),
        ({"TERM": "dumb"}, Terminal, False),
    ],
)
def test_color_is_for_terminals_that_want_it(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], file: Callable[[], io.StringIO], colored: bool
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert wants_color(file()) is colored


def test_the_width_is_the_terminals_or_a_hundred(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert terminal_width(io.StringIO()) == 100
    assert terminal_width(Terminal()) == 100  # says that it is one, but has no descriptor
    leader, follower = os.openpty()
    with os.fdopen(leader, "wb"), os.fdopen(follower, "w") as terminal:
        monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((132, 40)))
        assert terminal_width(terminal) == 132
    monkeypatch.setenv("COLUMNS", "77")
    assert terminal_width(io.StringIO()) == 77


def test_a_closed_stream_is_no_terminal() -> None:
    file = io.StringIO()
    file.close()
    assert terminal_width(file) == 100
    assert wants_color(file) is False
