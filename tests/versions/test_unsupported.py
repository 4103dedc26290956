"""A Kaizen that is older than what we know: one line says so, and nothing of it is changed."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from kaizen_otel.patches.supported import OLDEST, release_of

if TYPE_CHECKING:
    from pathlib import Path

APPLICATION = """
import kaizen_otel

kaizen_otel.instrument()

import kailash.runtime.local
import kaizen.core.agents
import kaizen.core.framework
import kaizen.nodes.ai.llm_agent
from kaizen_otel.patches.table import PATCHER

print(len(PATCHER.patched()), kaizen_otel.stats()["failures"])
"""


@pytest.mark.parametrize(
    ("release", "patched", "lines"),
    [
        (
            "0.10.0",
            "0 {}",
            ["kaizen-otel leaves kailash-kaizen 0.10.0 alone: it watches 1.0 and newer"],
        ),
        ("1.0.0", "more", []),
        ("99.0.0", "more", []),
    ],
)
def test_a_kaizen_older_than_we_know_is_left_alone_and_one_line_says_so(
    release: str, patched: str, lines: list[str], tmp_path: Path
) -> None:
    # What the installed distribution says of its version is all that is asked.
    told = tmp_path / f"kailash_kaizen-{release}.dist-info"
    told.mkdir()
    (told / "METADATA").write_text(f"Metadata-Version: 2.1\nName: kailash-kaizen\nVersion: {release}\n", "utf-8")
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{APPLICATION}"

    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603 - our own interpreter

    count = ran.stdout.strip().splitlines()[-1]
    assert count == patched if patched != "more" else int(count.split()[0]) > 30
    assert count.endswith("{}")
    assert [line for line in ran.stderr.splitlines() if "kaizen-otel" in line] == lines


@pytest.mark.parametrize(
    ("text", "release"),
    [("2.46.1", (2, 46)), ("1.0.0rc1", (1, 0)), ("10.2", (10, 2)), ("dev", OLDEST), ("", OLDEST)],
)
def test_a_version_that_cannot_be_read_counts_as_known(text: str, release: tuple[int, int]) -> None:
    assert release_of(text) == release
