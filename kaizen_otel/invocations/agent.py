"""One run of one agent: the execution, its span `invoke_agent {name}`, its roll-up and its verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from kaizen_otel.invocations.base import Attributes, Invocation
from kaizen_otel.invocations.failure import Failure
from kaizen_otel.invocations.scope import ExecutionScope, evaluator_above, note_execution
from kaizen_otel.invocations.values import mapping
from kaizen_otel.invocations.workflow import WorkflowInvocation
from kaizen_processors.execution import MULTIPLE_MODELS, NO_MODEL, UNKNOWN_MODEL, ExecutionRecord
from kaizen_processors.ledger import Tally
from kaizen_semconv.attributes import KaizenExecutionStatus, KaizenUsageMissingReason

if TYPE_CHECKING:
    from kaizen_otel.invocations.call import CallInvocation
    from kaizen_otel.invocations.scope import Scope
    from kaizen_otel.telemetry import Telemetry
    from kaizen_processors.ledger import Activity, TallySnapshot
    from kaizen_processors.quality.evaluation import Evaluation


class AgentRequest:
    """What is known of a run before it starts. `subject` is the agent (or node) object, kept only to recognise it."""

    __slots__ = (
        "agent_name",
        "conversation_id",
        "expected_fields",
        "inputs",
        "instructions",
        "model",
        "node_class",
        "node_key",
        "owns_agents",
        "owns_nodes",
        "session_id",
        "subject",
        "user_id",
    )

    def __init__(  # noqa: PLR0913 - a record: each argument is a field
        self,
        agent_name: str,
        subject: object,
        *,
        owns_nodes: bool = True,
        expected_fields: tuple[str, ...] | None = None,
        session_id: str | None = None,
        user_id: str | None = None,
        conversation_id: str | None = None,
        node_class: str | None = None,
        node_key: str | None = None,
        model: str | None = None,
        inputs: object = None,
        instructions: object = None,
    ) -> None:
        """Hold the request.

        `owns_nodes` says whether LLM nodes right below are the agent's own implementation; `node_class`, `node_key`
        and the `model` asked for are given where the execution is itself a node of a workflow. `inputs` (messages, a
        text, or named values) and `instructions` stay untouched where content is not recorded.
        """
        self.agent_name = agent_name
        self.subject = subject
        self.owns_nodes = owns_nodes
        self.owns_agents = False  # whether plain agents that it makes and runs are its own implementation
        self.expected_fields = expected_fields
        self.session_id = session_id
        self.user_id = user_id
        self.conversation_id = conversation_id
        self.node_class = node_class
        self.node_key = node_key
        self.model = model
        self.inputs = inputs
        self.instructions = instructions


class AgentInvocation(Invocation, ExecutionScope):
    """One execution.

    A patch calls `returned(result)` with what the agent gave back and `failed(...)` where Kaizen returned an error
    instead of raising it.
    """

    __slots__ = (
        "activity",
        "agent_name",
        "business",
        "confidence",
        "evaluations",
        "execution_id",
        "finish_reasons",
        "has_returned",
        "json_answer",
        "last_call_failure",
        "late_calls",
        "node_key",
        "output",
        "own",
        "own_sums",
        "probe",
        "providers",
        "quality_score",
        "record",
        "request",
        "status",
        "total",
        "total_sums",
        "unseen",
        "workflow_failure",
    )

    kind: ClassVar[str] = "agent"

    def __init__(self, telemetry: Telemetry, parent: Scope | None, request: AgentRequest) -> None:
        """Open the execution."""
        super().__init__(telemetry, parent)
        evaluator = evaluator_above(parent)
        self.agent_name = request.agent_name if evaluator is None else evaluator.agent_name
        self.execution_id = telemetry.new_execution_id()
        self.extent = extent = telemetry.settings_desk.extent_of(request.agent_name)
        self.probe = telemetry.performance.begin_resources() if extent.measures else None
        self.own = Tally()
        self.total = Tally()
        above = self.account
        own_above = above.own if isinstance(above, ExecutionScope) else None
        self.tallies = (self.own, self.total, *(tally for tally in self.tallies if tally is not own_above))
        self.request = request
        self.output: object = None
        self.has_returned = False
        self.json_answer: object = None
        self.last_call_failure: Failure | None = None
        self.workflow_failure: Failure | None = None
        self.confidence: float | None = None
        self.quality_score: float | None = None
        self.evaluations: tuple[Evaluation, ...] = ()
        self.finish_reasons: tuple[str, ...] = ()
        self.business: dict[str, float] = {}
        self.node_key = request.node_key
        self.providers: set[str] = set()
        self.unseen: str | None = None
        self.late_calls = 0
        self.own_sums: TallySnapshot | None = None
        self.total_sums: TallySnapshot | None = None
        self.status = KaizenExecutionStatus.SUCCESS.value
        self.record: ExecutionRecord | None = None
        self.activity: Activity | None = None

    def span_name(self) -> str:
        """`invoke_agent {agent}`."""
        return f"invoke_agent {self.agent_name}"

    def begin(self) -> Self:
        """Start the span and mark the agent active."""
        super().begin()
        self.activity = self.telemetry.ledger.start_execution(self.agent_name)
        return self

    def start_attributes(self) -> Attributes:
        """What samplers may want."""
        return self.telemetry.emitter.agent_start(self)

    def tally_so_far(self) -> Tally | None:
        """Its model and tool calls, and those below it."""
        return self.total

    def returned(self, output: object) -> None:
        """Note what the agent gave its caller."""
        self.output = output
        self.has_returned = True

    def failed(self, error_type: str, message: str = "", error: BaseException | None = None) -> None:
        """Note that Kaizen returned an error; the root cause below, when one was seen, is what gets named."""
        cause = self.last_call_failure or self.workflow_failure
        if cause is not None and not cause.cancelled:
            self.failure = cause
        elif error is not None:
            self.failure = Failure.of(error)
        else:
            self.failure = Failure(error_type, message)

    def failed_with(self, error_type: str, message: str = "") -> None:
        """Note an error that Kaizen returned instead of raising."""
        self.failed(error_type, message)

    def asks_unseen(self, provider: str, model: str | None) -> None:
        """Note that what this run asks of a model is not seen: neither how often, nor with how many tokens."""
        self.unseen = KaizenUsageMissingReason.USAGE.value
        self.providers.add(provider)
        self.telemetry.ledger.add_unseen(model or UNKNOWN_MODEL, self.unseen, self.tallies)

    def call_finished(self, call: CallInvocation) -> None:
        """A model call of this execution ended; a successful one clears the failure before it (a retry)."""
        failure = call.failure
        self.last_call_failure = None if failure is None or failure.cancelled else failure
        self.finish_reasons = call.finish_reasons
        self.json_answer = mapping(call.output).get("text") if call.request.expects_json else None
        self.providers.add(call.request.provider)

    def child_finished(self, child: Invocation) -> None:
        """Remember how the last workflow of the agent's own implementation ended."""
        if isinstance(child, WorkflowInvocation):
            self.workflow_failure = child.failure

    def on_finish(self, duration_ns: int) -> None:
        """Judge the run, take its sums, count it."""
        failure = self.failure
        if failure is not None:
            status = KaizenExecutionStatus.CANCELLED if failure.cancelled else KaizenExecutionStatus.ERROR
            self.status = status.value
        ledger = self.telemetry.ledger
        self.own_sums, self.total_sums = own, total = ledger.snapshot_tallies(self.own, self.total)
        self.late_calls = own.open_calls
        with self.telemetry.fence("quality"):
            self.telemetry.quality.judge(self)
        probe = self.probe
        span_context = self.span.get_span_context()
        context = self.telemetry.attributes_in_force()
        self.record = ExecutionRecord(
            execution_id=self.execution_id,
            agent_name=self.agent_name,
            model=model_label(own),
            status=self.status,
            start_time_ns=self.start_time_ns,
            duration_ns=duration_ns,
            own=own,
            total=total,
            late_calls=self.late_calls,
            error_type=None if failure is None else failure.error_type,
            error_message=self.failure_message(),
            quality_score=self.quality_score,
            confidence=self.confidence,
            user_id=self.request.user_id or context.user_id,
            session_id=self.request.session_id or context.session_id,
            conversation_id=self.request.conversation_id or context.conversation_id,
            tags=context.tags,
            business=self.business,
            trace_id=span_context.trace_id,
            span_id=span_context.span_id,
            resources=None if probe is None else self.telemetry.performance.end_resources(probe, duration_ns),
        )
        note_execution(self)
        ledger.end_execution(self.agent_name, self.record.model, self.status, self.activity)

    def end_attributes(self) -> Attributes:
        """Sums, verdict, quality."""
        if self.recorded.captures:
            with self.telemetry.fence("content"):
                self.telemetry.content.describe_agent(self, self.span)
        return self.telemetry.emitter.agent_end(self)

    def on_ended(self, duration_ns: int) -> None:
        """Record metrics, hand the record over, and let evaluators have the output."""
        record = self.record
        if record is None:
            return
        telemetry = self.telemetry
        with telemetry.fence("metrics"):
            telemetry.emitter.agent_metrics(self, record, duration_ns)
        telemetry.pipeline.execution_finished(record)
        telemetry.quality.evaluate(self)
        request = self.request
        self.output = request.inputs = request.instructions = None


def model_label(own: TallySnapshot) -> str:
    """The model of an execution: the one it called, `multiple`, or `none`."""
    models = own.models
    if not models:
        return NO_MODEL
    return models[0] if len(models) == 1 else MULTIPLE_MODELS
