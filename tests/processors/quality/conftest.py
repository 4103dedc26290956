"""The desk that tests of evaluators run at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.processors.quality.support import Desk

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()
    yield made
    made.close()
