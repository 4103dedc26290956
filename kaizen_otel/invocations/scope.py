"""Where an operation stands: the chain of invocations above it, carried by the OpenTelemetry context.

The chain is what makes roll-up and error propagation work: a finished model call is counted in its nearest execution
(own) and in every execution and measured block above (total). It travels in the OpenTelemetry context under one key,
so whatever carries the current span carries the chain too.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ClassVar

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, set_span_in_context

from kaizen_processors.ledger import Tally

if TYPE_CHECKING:
    from contextvars import Token

    from opentelemetry.trace import Span

    from kaizen_otel.invocations.base import Invocation
    from kaizen_otel.invocations.call import CallInvocation
    from kaizen_otel.invocations.extent import Extent

    Attached = tuple[Token["Scope | None"], Token[Context]]

_CURRENT_KEY = otel_context.create_key("kaizen-otel-scope")
ATTRIBUTES_KEY = otel_context.create_key("kaizen-otel-attributes")
(_SPAN_KEY,) = set_span_in_context(INVALID_SPAN, Context())

_HERE: ContextVar[Scope | None] = ContextVar("kaizen-otel-here", default=None)

attached_scope = _HERE.get
"""What was attached last in the code that runs now: for what Kaizen does itself inside a watched call, at each chunk.

`current_scope` asks OpenTelemetry's context, which also travels to other threads; that takes five times as long.
"""


def attach(context: Context, scope: Scope | None = None) -> Attached:
    """Make `context` current; `scope` is what it was made for. Give the result to `detach`."""
    return _HERE.set(scope), otel_context.attach(context)


def detach(attached: Attached) -> None:
    """Make the context before it current again, where it was made current and nowhere else.

    A coroutine that nobody finishes is closed by the garbage collector in some other context. What was attached has
    gone with its own; detaching there would fail, and OpenTelemetry would print that.
    """
    mark, token = attached
    try:
        _HERE.reset(mark)
    except ValueError:  # "created in a different Context": the one question that contextvars answers about this
        return
    otel_context.detach(token)


MAX_MEASURED_EXECUTIONS = 10_000
"""Ids that a measured block keeps; a block around a whole service must not grow without bound."""


class Scope:
    """One link of the chain. Subclasses say what they are.

    What a model call asks of the chain is handed down as links are added, so that no call walks it: `account` is the
    nearest execution (or evaluator) above, `tallies` are the sums that a call made right here is added to: own of the
    execution it belongs to, total of that one and of all above; `timed` is the nearest operation above; `extent` is how
    much is recorded here, None where nobody has said.
    """

    __slots__ = ("__weakref__", "account", "extent", "parent", "tallies", "timed")

    is_execution: ClassVar[bool] = False
    """Whether calls below are accounted to this one (an execution or an evaluator)."""

    is_operation: ClassVar[bool] = False
    """Whether what is below takes its time from this one (an `Invocation`)."""

    def __init__(self, parent: Scope | None) -> None:
        """Hang below `parent`."""
        self.parent = parent
        self.account: ExecutionScope | EvaluatorScope | None = None
        self.tallies: tuple[Tally, ...] = ()
        self.timed: Invocation | None = None
        self.extent: Extent | None = None
        if parent is not None:
            self.extent = parent.extent
            self.account = parent if parent.is_execution else parent.account  # type: ignore[assignment]  # it is one
            self.tallies = parent.tallies
            self.timed = parent if parent.is_operation else parent.timed  # type: ignore[assignment]  # as above

    def child_finished(self, child: Invocation) -> None:
        """Take notice of an operation that ended directly below this one."""


class MeasureScope(Scope):
    """A block of code whose tokens and dollars somebody wants to know; never an execution."""

    __slots__ = ("execution_ids", "total")

    def __init__(self, parent: Scope | None) -> None:
        """Start counting at zero."""
        super().__init__(parent)
        self.total = Tally()
        self.execution_ids: list[str] = []
        self.tallies = (*self.tallies, self.total)


class ExecutionScope(Scope):
    """One run of one agent: the unit that calls are accounted to.

    A role, without fields of its own in memory: `AgentInvocation` plays it (two slotted bases cannot be joined).
    """

    __slots__ = ()

    is_execution: ClassVar[bool] = True

    agent_name: str
    execution_id: str
    own: Tally
    total: Tally
    business: dict[str, float]
    span: Span

    def call_finished(self, call: CallInvocation) -> None:
        """Take notice of a model call of this execution that ended."""
        raise NotImplementedError


class SilentScope(Scope):
    """A run of an agent whose own configuration switched monitoring off: nothing below it is watched."""

    __slots__ = ()


class EvaluatorScope(Scope):
    """An evaluator at work: its model calls are accounted to it and to nothing above."""

    __slots__ = ("agent_name",)

    is_execution: ClassVar[bool] = True

    def __init__(self, agent_name: str) -> None:
        """Cut the chain: an evaluator is not part of what it evaluates. `agent_name` is `evaluator:<name>`."""
        super().__init__(None)
        self.agent_name = agent_name


class JudgeScope(EvaluatorScope):
    """An evaluator that the application itself waits for, in its own trace.

    Its model calls are accounted to it and to no execution, as any evaluator's; the measured blocks around it count
    them, because the application asked what the code inside costs.
    """

    __slots__ = ()

    def __init__(self, agent_name: str, around: Scope | None) -> None:
        """Judge in `around`. `agent_name` is `evaluator:<name>`."""
        super().__init__(agent_name)
        if around is not None:
            self.timed = around if around.is_operation else around.timed  # type: ignore[assignment]  # it is one
        while around is not None:
            if isinstance(around, MeasureScope):
                self.tallies = (*self.tallies, around.total)
            around = around.parent


def current_scope(context: Context | None = None) -> Scope | None:
    """The innermost scope of a context (by default the current one)."""
    found: Any = (otel_context.get_current() if context is None else context).get(_CURRENT_KEY)
    return found  # type: ignore[no-any-return]  # nobody else has the key


def with_scope(scope: Scope, context: Context | None = None) -> Context:
    """A context in which `scope` is the innermost."""
    return otel_context.set_value(_CURRENT_KEY, scope, context)


def context_of(scope: Scope, span: Span, around: Context) -> Context:
    """A context in which `scope` is the innermost and `span`, if there is one, the current: both in one copy."""
    values = {**around, _CURRENT_KEY: scope}
    if span is not INVALID_SPAN:
        values[_SPAN_KEY] = span
    return Context(values)


def nearest_execution(scope: Scope | None) -> ExecutionScope | EvaluatorScope | None:
    """The execution (or evaluator) that a call made in `scope` is accounted to."""
    if scope is None:
        return None
    return scope if scope.is_execution else scope.account  # type: ignore[return-value]  # one of the two then


def evaluator_above(scope: Scope | None) -> EvaluatorScope | None:
    """The evaluator at work around this place, if one is."""
    while scope is not None:
        if isinstance(scope, EvaluatorScope):
            return scope
        scope = scope.parent
    return None


def note_execution(execution: ExecutionScope) -> None:
    """Tell the measured blocks around an execution that it has ended."""
    scope = execution.parent
    while scope is not None:
        if isinstance(scope, MeasureScope) and len(scope.execution_ids) < MAX_MEASURED_EXECUTIONS:
            scope.execution_ids.append(execution.execution_id)
        scope = scope.parent


def current_execution() -> ExecutionScope | None:
    """The execution that the current code runs in, or None."""
    found = nearest_execution(current_scope())
    return found if isinstance(found, ExecutionScope) else None
