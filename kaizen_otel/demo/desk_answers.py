"""What the local model server answers to the support desk: every text and token of the offline demo is stated here."""

from __future__ import annotations

from typing import Final

from kaizen_otel.demo.model_server import Reply, ReplyUsage, Rule

_TRIAGE: Final = "choose the desk"
_ORDERS: Final = "Look up the order"
_LETTER: Final = "friendly answer"
_TECHNICAL: Final = "customer of our app"
_REPORT: Final = "Sum up the shift"
_BILLING: Final = "about a payment"

DESK_ANSWERS: Final = (
    Rule(
        system=_TRIAGE,
        user="order",
        replies=Reply.json(
            {"route": "orders", "confidence": 0.97}, usage=ReplyUsage(input_tokens=312, output_tokens=18)
        ),
    ),
    Rule(
        system=_TRIAGE,
        user="app crashes",
        replies=Reply.json(
            {"route": "technical", "confidence": 0.91}, usage=ReplyUsage(input_tokens=306, output_tokens=18)
        ),
    ),
    Rule(
        system=_TRIAGE,
        user="card",
        replies=Reply.json(
            {"route": "billing", "confidence": 0.88}, usage=ReplyUsage(input_tokens=304, output_tokens=18)
        ),
    ),
    Rule(
        system=_ORDERS,
        tool_results=0,
        replies=Reply.call(
            "mcp__orders__lookup_order",
            {"order_id": "A-1042"},
            usage=ReplyUsage(input_tokens=1420, output_tokens=24),
        ),
    ),
    Rule(
        system=_ORDERS,
        tool_results=1,
        replies=Reply.json(
            {"facts": "Order A-1042 was shipped with DHL and is expected on Thursday.", "confidence": 0.95},
            usage=ReplyUsage(input_tokens=1562, output_tokens=41, cache_read_tokens=1408),
        ),
    ),
    Rule(
        system=_LETTER,
        replies=Reply(
            text="Your order A-1042 is on its way: DHL has it, and it should reach you on Thursday. Sorry for waiting!",
            usage=ReplyUsage(input_tokens=148, output_tokens=33),
            chunk_delay_s=0.02,
        ),
    ),
    Rule(
        system=_TECHNICAL,
        replies=(
            Reply.rate_limited(retry_after_s=1),
            Reply(
                text="That crash is fixed in version 4.2: please update the app, and the settings page opens again.",
                usage=ReplyUsage(input_tokens=96, output_tokens=27),
            ),
        ),
    ),
    Rule(system=_BILLING, replies=Reply.server_error()),
    Rule(
        system=_REPORT,
        replies=Reply(
            text="Three tickets came in. Two were answered at once; the third was about a double charge, and since the",
            usage=ReplyUsage(input_tokens=118, output_tokens=24),
            finish_reason="length",
        ),
    ),
)
