"""What begins anew in a forked child."""

from __future__ import annotations

import pytest

from kaizen_processors import forking


class Part:
    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.begun = 0

    def after_fork_in_child(self) -> None:
        self.begun += 1
        if self.error is not None:
            raise self.error


def test_a_part_that_fails_does_not_keep_the_others_from_beginning_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [Part(), Part(RuntimeError("broken")), Part()]
    monkeypatch.setattr(forking, "_forked", parts)
    with pytest.raises(RuntimeError, match="broken"):
        forking._after_fork_in_child()  # Python would only say it: it is a hook
    assert [part.begun for part in parts] == [1, 1, 1]
