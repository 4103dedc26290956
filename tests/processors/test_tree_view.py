from __future__ import annotations

import io
from decimal import Decimal

import pytest
from rich.cells import cell_len

from kaizen_processors.export import figures
from kaizen_processors.export.agent_table import agent_table
from kaizen_processors.export.console import ConsoleTree
from kaizen_processors.export.figures import ASCII, UNICODE
from kaizen_processors.export.report import print_report
from kaizen_processors.trace_totals import Cost, totals_by_agent
from kaizen_processors.trace_tree import SpanNode, build_traces
from tests.processors.desk_spans import (
    SECOND,
    begin,
    begin_agent,
    begin_chat,
    body,
    desk,
    end,
    shown,
    sums,
    used,
)

# -- what it looks like ---------------------------------------------------------------------------------------------


def test_a_finished_run_is_a_waterfall_of_100_columns() -> None:
    assert body(shown(desk())) == (
        "agent supervisor                        ━━━━━━━━━━━━━━━━━━━━━━  4.20s  6,021→1,514  ≥$0.0104  q 0.50\n"
        "├─ chat gpt-4o-mini                     ╺━━━━━                  1.00s  1,204→310     $0.0009\n"
        "├─ agent researcher                           ━━━━━━━╸          1.40s  3,916→894     $0.0095  q 0.84\n"
        "│  ├─ ✗ chat gpt-4o-mini                      ╺━                250ms\n"
        "│  │     RateLimitError · HTTP 429 · Slow down\n"
        "│  ├─ chat gpt-4o-mini (2,048 cached)           ┄┄━━━           900ms  3,916→894     $0.0095\n"
        "│  └─ tool lookup_order (simulated)                  ╸           12ms\n"
        "└─ agent writer                                       ━━━━━━╸   1.20s    901→310           ?\n"
        "   └─ chat my-finetune (price unknown)                ╺━━━━━    1.00s    901→310           ?\n"
        "Σ 3 executions · 4 model calls, 1 failed · 6,021→1,514 tokens, 2,048 cached · ≥$0.0104\n"
        "\n"
    )


def test_at_80_columns_names_are_shortened_and_the_totals_wrap() -> None:
    assert body(shown(desk(), 80)) == (
        "agent supervisor                  ━━━━━━━━  4.20s  6,021→1,514  ≥$0.0104  q 0.50\n"
        "├─ chat gpt-4o-mini               ━━        1.00s  1,204→310     $0.0009\n"
        "├─ agent researcher                 ━━━     1.40s  3,916→894     $0.0095  q 0.84\n"
        "│  ├─ ✗ chat gpt-4o-mini            ━       250ms\n"
        "│  │     RateLimitError · HTTP 429 · Slow down\n"
        "│  ├─ chat gpt-4o-mini (2,048 c…     ━━     900ms  3,916→894     $0.0095\n"
        "│  └─ tool lookup_order (simula…      ╺      12ms\n"
        "└─ agent writer                        ━━╸  1.20s    901→310           ?\n"
        "   └─ chat my-finetune (price u…       ━━   1.00s    901→310           ?\n"
        "Σ 3 executions · 4 model calls, 1 failed · 6,021→1,514 tokens, 2,048 cached\n"
        "  ≥$0.0104\n"
        "\n"
    )


@pytest.mark.parametrize("width", [60, 70, 80, 100, 140, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    spans = desk()
    root = begin("node 日本語のとても長い名前のノード" * 3)
    spans.append(end(begin_chat("a-model-with-a-name-" * 10, root), 5, **used(10**9, 10**7, 12345.678)))
    spans.append(end(root, 5, error="E" * 300, message="m" * 300))
    assert max(cell_len(line) for line in shown(spans, width).splitlines()) <= width


def test_the_title_names_trace_service_and_time() -> None:
    spans = desk()
    title = shown(spans).split("\n", 1)[0]
    assert title.startswith(f"trace {SpanNode.from_sdk(spans[0]).trace_id} · support-desk · 2025-11-2")


def test_an_error_is_told_once_where_it_arose() -> None:
    boss = begin_agent("boss")
    node = begin("node LLMAgentNode", boss)
    call = end(
        begin_chat("m", node), 1, error="AuthenticationError", message="bad key", http__response__status_code=401
    )
    text = shown([call, end(node, 1, error="AuthenticationError"), end(boss, 1, error="AuthenticationError")])
    assert text.count("AuthenticationError") == 1
    assert "\n         AuthenticationError · HTTP 401 · bad key\n" in text
    assert text.count("✗") == 3


def test_another_error_above_is_told_too() -> None:
    boss = begin_agent("boss")
    call = end(begin_chat("m", boss), 1, error="Timeout")
    text = shown([call, end(boss, 1, error="GaveUp", message="after 3 tries")])
    assert "\n│  GaveUp · after 3 tries\n" in text
    assert "\n      Timeout\n" in text


def test_a_cancelled_execution_is_no_error() -> None:
    text = shown([end(begin_agent("a"), 1, kaizen__execution__status="cancelled")])
    assert "⊘ agent a (cancelled)" in text
    assert "✗" not in text


def test_late_calls_and_a_stream_closed_early_are_said() -> None:
    boss = begin_agent("a")
    call = end(begin_chat("m", boss), 1, kaizen__call__outcome="closed_early", **used(1, 1, 0.1))
    text = shown([call, end(boss, 1, kaizen__execution__late_calls=2)])
    assert "agent a (2 late calls)" in text
    assert "chat m (closed early)" in text


def test_missing_usage_is_a_question_mark_never_a_zero() -> None:
    text = shown([end(begin_chat("m"), 1, kaizen__usage__missing__reason="usage")])
    assert " 1.00s  ?→?  ?\n" in text


def test_an_agent_that_called_no_model_shows_no_zeros() -> None:
    line = body(shown([end(begin_agent("idle"), 1, **sums((0, 0, 0.0)))])).splitlines()[0]
    assert line.split() == ["agent", "idle", "━" * 40, "1.00s"]


def test_an_agent_whose_only_call_failed_shows_an_unknown_cost_but_no_zeros() -> None:
    line = body(shown([end(begin_agent("a"), 1, **sums((0, 0, 0.0), complete=False))])).splitlines()[0]
    assert line.split() == ["agent", "a", "━" * 40, "1.00s", "?"]


def test_escape_sequences_in_names_and_messages_do_not_reach_the_terminal() -> None:
    evil = "x\x1b[2Jy\r\nz\u202e\x07"
    text = shown([end(begin_agent(evil), 1, error=evil, message=evil)])
    assert not set(text) & {"\x1b", "\r", "\u202e", "\x07"}
    assert "agent x?[2Jy  z??" in text


def test_colors_are_ansi_and_say_what_needs_a_look() -> None:
    file = io.StringIO()
    tree = ConsoleTree(file, 100, color=True)
    for span in desk():
        tree.on_span(span)
    assert "\x1b[1;31m✗ \x1b[0m" in file.getvalue()
    assert "\x1b[31mRateLimitError" in file.getvalue()
    assert "\x1b[33m≥$0.0104\x1b[0m" in file.getvalue()
    assert "\x1b[31mq 0.50\x1b[0m" in file.getvalue()
    assert "\x1b[32mq 0.84\x1b[0m" in file.getvalue()


def test_an_encoding_without_the_characters_gets_ascii() -> None:
    raw = io.BytesIO()
    tree = ConsoleTree(io.TextIOWrapper(raw, "latin-1"), 100, color=False)
    spans = desk()
    spans.append(end(begin_agent("größe 日本"), 1))
    for span in spans:
        tree.on_span(span)
    text = raw.getvalue().decode("latin-1")
    assert "|- agent researcher" in text
    assert "6,021->1,514" in text
    assert ">=$0.0104" in text
    assert "agent größe ??" in text
    assert tree.fence.counts() == {}


def test_an_instant_span_has_a_mark_in_the_bar() -> None:
    boss = begin_agent("a")
    text = shown([end(begin("instant", boss, 1), 1), end(boss, 1)])
    assert text.splitlines()[2].rstrip().endswith("╺    0µs")


# -- figures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("nanos", "text"),
    [
        (None, ""),
        (0, "0µs"),
        (999_999, "999µs"),
        (1_000_000, "1ms"),
        (999_999_999, "999ms"),
        (1_240_000_000, "1.24s"),
        (12_400_000_000, "12.4s"),
        (59_940_000_000, "59.9s"),
        (123 * SECOND, "2m03s"),
        (3_720 * SECOND, "1h02m"),
    ],
)
def test_durations_have_about_three_digits(nanos: int | None, text: str) -> None:
    assert figures.duration(nanos, UNICODE) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (5_120, "5,120"), (99_999, "99,999"), (123_450, "123.4k"), (999_960, "1.0M"), (1_250_000, "1.2M")],
)
def test_tokens_are_exact_up_to_100_000(number: int, text: str) -> None:
    assert figures.tokens(number) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "$0"),
        ("12345.678", "$12,345.68"),
        ("1", "$1.00"),
        ("0.5", "$0.50"),
        ("0.0123", "$0.0123"),
        ("0.000420", "$0.00042"),
        ("0.012345", "$0.0123"),
        ("0.9999", "$1.00"),
        ("0.00000001", "<$0.0000001"),
    ],
)
def test_small_amounts_keep_three_digits(amount: str, text: str) -> None:
    assert figures.money(Decimal(amount)) == text


def test_costs_say_what_they_do_not_know() -> None:
    cost = Cost()
    assert figures.cost(cost, UNICODE) == ""
    cost.complete = False
    assert figures.cost(cost, UNICODE) == "?"
    cost.add(0.5)
    cost.add(0.25, "EUR")
    assert figures.cost(cost, UNICODE) == "≥$0.50 + 0.25 EUR"
    assert figures.cost(cost, ASCII) == ">=$0.50 + 0.25 EUR"


# -- the table by agent ---------------------------------------------------------------------------------------------


def test_the_table_by_agent_adds_up() -> None:
    file = io.StringIO()
    traces = build_traces(SpanNode.from_sdk(span) for span in desk())
    print_report(traces, file, width=100, color=False, trees=False)
    assert file.getvalue() == (
        "agent       executions  errors    p95  tokens in  tokens out      cost  quality\n"
        "───────────────────────────────────────────────────────────────────────────────\n"
        "researcher           1       0  1.40s      3,916         894   $0.0095     0.84\n"
        "supervisor           1       0  4.20s      1,204         310   $0.0009     0.50\n"
        "writer               1       0  1.20s        901         310         ?        -\n"
        "───────────────────────────────────────────────────────────────────────────────\n"
        "total                3       0  4.20s      6,021       1,514  ≥$0.0104     0.67\n"
    )


def test_a_report_is_trees_then_the_table() -> None:
    file = io.StringIO()
    print_report(build_traces(SpanNode.from_sdk(span) for span in desk()), file, width=100, color=False)
    tree, table = file.getvalue().split("\n\n")
    assert tree.startswith("trace ")
    assert table.startswith("agent  ")


def test_long_agent_names_are_shortened_numbers_never() -> None:
    spans = [end(begin_agent("a" * 200), 1, **sums((10**9, 10**9, 0.5)))]
    lines = agent_table(totals_by_agent(build_traces(SpanNode.from_sdk(span) for span in spans)[0].roots), 80, UNICODE)
    assert {line.cell_len for line in lines} == {80}
    assert "1,000,000,000" in lines[2].plain


def test_without_agents_and_model_calls_there_is_no_table() -> None:
    assert agent_table({}, 100, UNICODE) == []
