"""A workflow run, the nodes in it, and the tools they call."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from opentelemetry.context import set_value
from opentelemetry.trace import INVALID_SPAN

from kaizen_otel.invocations.base import Attributes, Invocation
from kaizen_otel.invocations.call import CallInvocation
from kaizen_otel.invocations.failure import Failure
from kaizen_otel.invocations.origin import around_from, link_to
from kaizen_otel.invocations.scope import ATTRIBUTES_KEY

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer

    from kaizen_otel.invocations.mcp import McpRequest
    from kaizen_otel.invocations.scope import Scope
    from kaizen_otel.telemetry import Telemetry


class WorkflowInvocation(Invocation):
    """One run of a workflow, span `invoke_workflow {name}`; the name only when a person gave it.

    It remembers which nodes failed below it: Kaizen returns a leaf node's failure as a value, and only a failure
    that was seen happening counts, so that a node of the user's that returns something alike is no error.
    """

    __slots__ = ("failed_nodes", "name", "node_keys", "origin", "resumed", "run_id", "runtime", "subject")

    kind: ClassVar[str] = "workflow"

    def __init__(
        self,
        telemetry: Telemetry,
        parent: Scope | None,
        *,
        subject: object,
        name: str | None,
        runtime: str,
        origin: Context | None = None,
    ) -> None:
        """Prepare; `subject` is the workflow object, `runtime` the class that runs it.

        `origin` is the context that came with the task which this run is, where a worker of the application's runs it.
        """
        super().__init__(telemetry, parent)
        self.subject = subject
        self.name = name
        self.runtime = runtime
        self.origin = origin
        self.resumed = False
        self.run_id: str | None = None
        self.failed_nodes: dict[str, Failure] = {}
        self.node_keys: dict[int, str] | None = None

    def around(self) -> Context:
        """The sender's context, when this is a task's run and no span is current."""
        return around_from(self.origin)

    def _start_span(self, tracer: Tracer, around: Context) -> Span:
        span = super()._start_span(tracer, around)
        link_to(span, self.origin)
        return span

    def resumes(self, earlier: Context) -> None:
        """This run goes on from a checkpoint of an earlier one, which its span then points at."""
        self.resumed = True
        link_to(self.span, earlier)

    def span_name(self) -> str:
        """`invoke_workflow`, with the user's name for the workflow when it has one."""
        return f"invoke_workflow {self.name}" if self.name else "invoke_workflow"

    def start_attributes(self) -> Attributes:
        """What samplers may want."""
        return self.telemetry.emitter.workflow_start(self)

    def end_attributes(self) -> Attributes:
        """The runtime's own id of the run."""
        return self.telemetry.emitter.workflow_end(self)

    def on_ended(self, duration_ns: int) -> None:
        """Record the duration."""
        self.telemetry.emitter.workflow_metrics(self, duration_ns)

    def child_finished(self, child: Invocation) -> None:
        """Remember a node that failed."""
        failure = child.failure
        key = getattr(child, "node_key", None)
        if key is None:
            return
        if failure is not None and not failure.cancelled:
            self.failed_nodes[key] = failure
        else:
            self.failed_nodes.pop(key, None)


class GroupInvocation(WorkflowInvocation):
    """One run of a group of agents, which may go on without those that fail.

    It remembers the last failure right below it (of an agent, of a model call, of a group in the group): the root cause
    where the group says that it failed itself. And what groups in it answered when they said so.
    """

    __slots__ = ("failed_answer", "failed_answers", "member_failure", "session_id")

    def __init__(
        self,
        telemetry: Telemetry,
        parent: Scope | None,
        *,
        subject: object,
        name: str,
        runtime: str,
        session_id: str | None = None,
    ) -> None:
        """Prepare; `subject` is the group, `name` what it is called, `runtime` the class that runs it.

        A group that knows its session says it for everything that runs in it.
        """
        super().__init__(telemetry, parent, subject=subject, name=name, runtime=runtime)
        self.session_id = session_id
        self.member_failure: Failure | None = None
        self.failed_answer: object = None
        self.failed_answers: list[object] = []

    def around(self) -> Context:
        """The context of here, and the session."""
        here = super().around()
        if self.session_id is None:
            return here
        return set_value(ATTRIBUTES_KEY, self.telemetry.attributes_in_force().in_session(self.session_id), here)

    def child_finished(self, child: Invocation) -> None:
        """Remember a member that failed."""
        super().child_finished(child)
        failure = child.failure
        if failure is not None and not failure.cancelled:
            self.member_failure = failure
            if isinstance(child, GroupInvocation) and child.failed_answer is not None:
                self.failed_answers.append(child.failed_answer)

    def is_failed_answer(self, answer: object) -> bool:
        """Whether it is, itself, what a group in this one answered when it said that it failed."""
        return any(answer is failed for failed in self.failed_answers)

    def answered_failure(self, answer: object, error_type: str) -> None:
        """Note that the group said in `answer` that it failed, for the group around, which may hand it on."""
        self.failed_answer = answer
        self.failed_with(error_type)

    def failed_with(self, error_type: str, message: str = "") -> None:
        """Note that the group said it failed: by what a member failed with, when one was seen to."""
        self.failure = self.member_failure or Failure(error_type, message)


def records_nodes(invocation: Invocation) -> bool:
    """Whether nodes and tools have spans here: as the agent above says, else as the settings say."""
    return invocation.recorded.records_nodes


class NodeInvocation(Invocation):
    """One node of a workflow, span `node {Class}`. Not an execution."""

    __slots__ = ("call_failure", "model", "node_class", "node_key", "subject")

    kind: ClassVar[str] = "node"

    def __init__(
        self,
        telemetry: Telemetry,
        parent: Scope | None,
        *,
        subject: object,
        node_class: str,
        node_key: str,
        model: str | None = None,
    ) -> None:
        """Prepare; `node_key` is the node's key in its workflow, `model` what an LLM node was asked to use."""
        super().__init__(telemetry, parent)
        self.model = model
        self.subject = subject
        self.node_class = node_class
        self.node_key = node_key
        self.call_failure: Failure | None = None

    def _start_span(self, tracer: Tracer, around: Context) -> Span:
        # From monitoring level `standard` up; below it nodes are only watched for failures.
        return super()._start_span(tracer, around) if records_nodes(self) else INVALID_SPAN

    def span_name(self) -> str:
        """`node {Class}`."""
        return f"node {self.node_class}"

    def start_attributes(self) -> Attributes:
        """Which node this is."""
        return self.telemetry.emitter.node_start(self.node_class, self.node_key)

    def child_finished(self, child: Invocation) -> None:
        """Remember how the last model call ended."""
        failure = child.failure
        if isinstance(child, CallInvocation):
            self.call_failure = None if failure is None or failure.cancelled else failure

    def failed_with(self, error_type: str, message: str = "") -> None:
        """Note an error that the node returned: by the model call that failed, when one did."""
        self.failure = self.call_failure or Failure(error_type, message)


class ToolInvocation(Invocation):
    """One tool call, span `execute_tool {tool}`."""

    __slots__ = (
        "arguments",
        "call_id",
        "mcp_request",
        "request_failure",
        "result",
        "simulated",
        "tool_name",
        "tool_type",
    )

    kind: ClassVar[str] = "tool"

    def __init__(
        self,
        telemetry: Telemetry,
        parent: Scope | None,
        *,
        tool_name: str,
        tool_type: str,
        call_id: str | None = None,
        simulated: bool = False,
    ) -> None:
        """Prepare; `simulated` marks Kaizen's made-up answers of tools that it does not really run."""
        super().__init__(telemetry, parent)
        self.tool_name = tool_name
        self.tool_type = tool_type
        self.call_id = call_id
        self.simulated = simulated
        self.mcp_request: McpRequest | None = None  # the last one, when an MCP server runs the tool
        self.request_failure: Failure | None = None  # why that one failed, or the way to it
        self.arguments: object = None
        self.result: object = None

    def _start_span(self, tracer: Tracer, around: Context) -> Span:
        # From monitoring level `standard` up, as nodes.
        return super()._start_span(tracer, around) if records_nodes(self) else INVALID_SPAN

    def called_with(self, arguments: object) -> None:
        """Note the arguments, for where content is recorded."""
        self.arguments = arguments

    @property
    def agent_name(self) -> str | None:
        """The agent that called the tool, if any."""
        execution = self.account
        return None if execution is None else execution.agent_name

    def span_name(self) -> str:
        """`execute_tool {tool}`."""
        return f"execute_tool {self.tool_name}"

    def start_attributes(self) -> Attributes:
        """Which tool this is."""
        return self.telemetry.emitter.tool_start(self)

    def end_attributes(self) -> Attributes:
        """Whether the answer was made up."""
        if self.recorded.captures:
            with self.telemetry.fence("content"):
                self.telemetry.content.describe_tool(self, self.span)
        return self.telemetry.emitter.tool_end(self)

    def on_finish(self, duration_ns: int) -> None:  # noqa: ARG002 - the hook's signature
        """Count the call in the execution it belongs to. What the server said of its error names it best."""
        if self.request_failure is not None and (self.failure is None or not self.failure.cancelled):
            self.failure = self.request_failure
        self.telemetry.ledger.add_tool_call(self.tallies)

    def on_ended(self, duration_ns: int) -> None:
        """Record the duration."""
        self.telemetry.emitter.tool_metrics(self, duration_ns)
