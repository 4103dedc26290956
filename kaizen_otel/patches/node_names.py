"""Names of the executions that are nodes of a workflow: the node's key, without what Kaizen generates anew each time.

A name is a label of metrics and a part of a span's name, so it must not grow with the number of runs. The whole key
stays on the span, as `kaizen.node.id`. A key that an application gave is left as it is, whatever it looks like.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

from kaizen_otel.invocations.values import attribute_of, bounded_text, mapping
from kaizen_otel.invocations.workflow import GroupInvocation
from kaizen_otel.patches.agents import name_of_base_agent

if TYPE_CHECKING:
    from kaizen_otel.invocations.workflow import WorkflowInvocation

_OF_TEMPLATE = re.compile(r"(?P<name>.+)_(?P<template>[0-9a-f]{8})$")
"""A node of kaizen_agents' `EnterpriseWorkflowTemplate` (0.13): a new id for each template that is made."""

_FIRST_OF_TEMPLATE = "initial_data_{template}"
"""The node that each of those templates begins with, and by which its workflow is known."""

_OF_REGISTRY = re.compile(r"agent_\d+_(?P<agent>.+)$")
"""A task of kaizen_agents' `OrchestrationRuntime` (0.13): the place of the task, and the id of the agent it went to."""


def execution_name(run: WorkflowInvocation | None, key: str) -> str:
    """What the execution is called that the node `key` of a workflow is: the key itself, but where Kaizen made it up.

    A template's node goes by the name that its template has for it, a task by the name of its agent.
    """
    if run is None:
        return key
    return _in_template(run, key) or _in_registry(run, key) or key


def _in_template(run: WorkflowInvocation, key: str) -> str | None:
    made = _OF_TEMPLATE.match(key)
    if made is None:
        return None
    first = _FIRST_OF_TEMPLATE.format(template=made["template"])
    return made["name"] if first in mapping(attribute_of(run.subject, "_node_instances")) else None


def _in_registry(run: WorkflowInvocation, key: str) -> str | None:
    made = _OF_REGISTRY.match(key)
    registry = run.parent.subject if isinstance(run.parent, GroupInvocation) else None
    if made is None or not _is_registry(registry):
        return None
    for registered in list(mapping(attribute_of(registry, "agents")).values()):
        agent = attribute_of(registered, "agent")
        if bounded_text(attribute_of(agent, "agent_id")) == made["agent"]:
            return name_of_base_agent(agent)
    return None


def _is_registry(group: Any) -> bool:
    module = sys.modules.get("kaizen_agents.patterns.runtime")
    return module is not None and issubclass(type(group), module.OrchestrationRuntime)
