"""Whom a model call that another library watches is accounted to, by the context in which its span starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaizen_otel.invocations.call import CallInvocation
from kaizen_otel.invocations.scope import ExecutionScope, SilentScope, current_scope, nearest_execution
from kaizen_processors.dialects import NOBODY, Attribution
from kaizen_processors.execution import NO_AGENT

if TYPE_CHECKING:
    from opentelemetry.context import Context


def attribution_in(context: Context | None) -> Attribution | None:
    """Give the account of a call made in this context (None: the current one).

    None where nothing is to be counted: inside an open model call of ours, which counts itself, and below an agent
    whose monitoring is off.
    """
    scope = current_scope(context)
    if scope is None:
        return NOBODY
    link = scope
    # What lies between here and the execution. An agent that runs inside a model call has calls of its own.
    while not link.is_execution:
        if isinstance(link, SilentScope) or (isinstance(link, CallInvocation) and not link.ended):
            return None
        if link.parent is None:
            break
        link = link.parent
    account = nearest_execution(scope)
    if account is None:
        return Attribution(NO_AGENT, None, scope.tallies)
    execution_id = account.execution_id if isinstance(account, ExecutionScope) else None
    return Attribution(account.agent_name, execution_id, scope.tallies)
