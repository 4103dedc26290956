"""The tables of the matrix are complete: enough values, and a place on every surface that we patch."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import pytest

from kaizen_otel.patches.table import PATCHER, SURFACES
from tests.hostile.errors import ERRORS_THAT_HANG_ASYNCIO, ODD_ERRORS
from tests.hostile.slots import FIRSTS, SLOTS
from tests.hostile.test_matrix import LARGE, TABLES, attribute, values_for
from tests.hostile.values import ODD_VALUES
from tests.versions.capabilities import absent_modules

if TYPE_CHECKING:
    from kaizen_otel.testing import Captured

UNTRIED = {
    "__init_subclass__": "makes no call: it sees a class being defined",
    "connect": "the server's transport (MCP): it is given nothing, and opens streams after it has returned",
    "_build_completion_payload_and_url": "is called by complete and stream, whose slots run through it (stream_usage)",
}
"""Patched attributes without a slot of their own, and why."""


def test_there_are_at_least_forty_odd_values() -> None:
    assert len(ODD_VALUES) >= 40
    assert len(ODD_ERRORS) >= 30
    assert not set(ODD_VALUES) & set(ODD_ERRORS)


def test_every_value_is_tried_on_every_surface() -> None:
    for name in FIRSTS:
        slot = SLOTS[name]
        assert set(values_for(slot)) | set(slot.without) == set(TABLES[slot.takes]), name
    for slot in SLOTS.values():
        assert set(TABLES[slot.takes]) - set(values_for(slot)) - set(slot.without) <= LARGE, slot.name


def test_only_errors_are_left_out_and_only_where_kaizen_cannot_stand_them() -> None:
    left_out = {value for slot in SLOTS.values() for value in slot.without}
    assert left_out <= set(ODD_ERRORS)
    assert not left_out & set(ERRORS_THAT_HANG_ASYNCIO)


@pytest.mark.kaizen_otel(stream_usage=True)  # patches one attribute more
def test_every_patched_attribute_has_a_slot(kaizen_telemetry: Captured) -> None:
    from kailash.nodes.base import Node

    modules = {surface.module for surface in SURFACES}
    assert absent_modules() < modules
    for module in modules - absent_modules():  # what only an older Kaizen has is not here to be tried
        importlib.import_module(module)
    # What a module patched before its import lacks (another version of Kaizen) would be missing here, silently.
    assert PATCHER.missing == []

    tried = {_key(*attribute(slot.surface)) for slot in SLOTS.values() if slot.surface.count(":")}
    untried = {
        _key(owner, name)
        for owner, name in PATCHER.patched()
        if not (_is_node(owner, Node) and name in {"execute", "execute_async"})
    } - tried

    assert {name for _, name in untried} == set(UNTRIED)
    assert kaizen_telemetry.spans == []


def _is_node(owner: Any, node: type) -> bool:
    return isinstance(owner, type) and issubclass(owner, node)


def _key(owner: Any, name: str) -> tuple[str, str]:
    return (f"{getattr(owner, '__module__', '')}.{owner.__name__}" if isinstance(owner, type) else owner.__name__, name)
