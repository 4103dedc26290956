"""Business figures of an execution, told by the application."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaizen_otel.invocations.scope import current_execution
from kaizen_otel.invocations.values import finite_number

if TYPE_CHECKING:
    from collections.abc import Mapping


def record(figures: Mapping[str, float | None]) -> None:
    """Put the given figures on the current execution.

    Raises:
        ValueError: a figure is not a finite number.
    """
    checked: dict[str, float] = {}
    for name, value in figures.items():
        if value is None:
            continue
        number = finite_number(value)
        if number is None:
            raise ValueError(f"{name}: expected a finite number, got {type(value).__name__}")
        checked[name] = number
    execution = current_execution()
    if execution is not None:
        execution.business.update(checked)
