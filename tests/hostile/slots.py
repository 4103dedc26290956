"""All slots."""

from __future__ import annotations

from tests.hostile import (
    adapter_slots,
    agent_slots,
    api_slots,
    delegate_slots,
    group_slots,
    judge_slots,
    llm_slots,
    mcp_server_slots,
    mcp_slots,
    memory_slots,
    node_slots,
    own_slots,
    plan_slots,
    registry_slots,
    store_slots,
    task_slots,
    tool_slots,
    workflow_slots,
)

SLOTS = {
    name: slot
    for room in (
        llm_slots,
        workflow_slots,
        node_slots,
        tool_slots,
        mcp_slots,
        mcp_server_slots,
        agent_slots,
        api_slots,
        delegate_slots,
        group_slots,
        plan_slots,
        registry_slots,
        store_slots,
        memory_slots,
        judge_slots,
        own_slots,
        adapter_slots,
        task_slots,
    )
    for name, slot in room.SLOTS.items()
}

_firsts: dict[tuple[str, str], str] = {}
for _slot in SLOTS.values():
    _firsts.setdefault((_slot.surface, _slot.takes), _slot.name)

FIRSTS = frozenset(_firsts.values())
"""One slot of each surface: for values that are too large to be tried in every place of it."""
