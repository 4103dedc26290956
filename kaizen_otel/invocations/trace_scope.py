"""A group of executions that the application named, span `trace {name}`. Never an execution itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from kaizen_otel.invocations.base import Attributes, Invocation
from kaizen_processors.money import to_float
from kaizen_semconv import attributes as k

if TYPE_CHECKING:
    from kaizen_otel.invocations.scope import MeasureScope, Scope
    from kaizen_otel.telemetry import Telemetry
    from kaizen_processors.ledger import Tally, TallySnapshot
    from kaizen_semconv.attributes import KaizenSpanAbandoned


class TraceInvocation(Invocation):
    """The span around a named group. What is counted inside is handed over when the group ends.

    `inside` is what counts there, for whoever asks earlier.
    """

    __slots__ = ("executions", "inside", "name", "sums")

    kind: ClassVar[str] = "trace"

    def __init__(self, telemetry: Telemetry, parent: Scope | None, name: str) -> None:
        """Prepare a group of this name."""
        super().__init__(telemetry, parent)
        self.name = name
        self.inside: MeasureScope | None = None
        self.sums: TallySnapshot | None = None
        self.executions = 0

    def span_name(self) -> str:
        """`trace {name}`."""
        return f"trace {self.name}"

    def start_attributes(self) -> Attributes:
        """The name."""
        return {k.KAIZEN_TRACE_NAME: self.name}

    def counted(self, sums: TallySnapshot, executions: int) -> None:
        """Take what the group came to."""
        self.sums, self.executions = sums, executions

    def tally_so_far(self) -> Tally | None:
        """What was counted inside."""
        return None if self.inside is None else self.inside.total

    def abandon(self, reason: KaizenSpanAbandoned) -> None:
        """End a group that was not left."""
        if self.inside is not None:
            (sums,) = self.telemetry.ledger.snapshot_tallies(self.inside.total)
            self.counted(sums, len(self.inside.execution_ids))
        super().abandon(reason)

    def end_attributes(self) -> Attributes:
        """Sums over everything inside."""
        sums = self.sums
        if sums is None:
            return {}
        return {
            k.KAIZEN_TRACE_EXECUTIONS: self.executions,
            k.KAIZEN_EXECUTION_MODEL_CALLS: sums.model_calls,
            k.KAIZEN_EXECUTION_TOOL_CALLS: sums.tool_calls,
            k.KAIZEN_EXECUTION_TOTAL_INPUT_TOKENS: sums.input_tokens,
            k.KAIZEN_EXECUTION_TOTAL_OUTPUT_TOKENS: sums.output_tokens,
            k.KAIZEN_EXECUTION_TOTAL_COST_AMOUNT: to_float(sums.cost_units),
            k.KAIZEN_EXECUTION_COST_COMPLETE: sums.complete,
        }
