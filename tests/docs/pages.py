"""The fenced blocks of a Markdown page, and what the page says to do with each.

A comment right above a block tells its kind:

=========================  ============================================================================
above                      means
=========================  ============================================================================
``<!-- not run: why -->``  the block is shown only
``<!-- file: name -->``    the block is a file that the shell of the page finds
``<!-- prints -->``        the text is what the block before it writes to stdout
``<!-- shows -->``         the block before it writes the text to stderr, among other things
nothing                    ``python`` is run as a program, ``console`` line by line in a shell
=========================  ============================================================================
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

ELSEWHERE = {"backends.md", "settings.md", "semconv.md", "pricing.md", "performance.md"}
"""Pages whose snippets other tests run."""

PAGES = sorted(page for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")) if page.name not in ELSEWHERE)

_BLOCK = re.compile(
    r"^(?:<!-- (?P<said>[^\n]*?) -->\n+)?```(?P<language>[\w-]*)\n(?P<body>.*?)^```$", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block; `prints` and `shows` are what running it must write, None where the page does not say."""

    page: Path
    line: int
    language: str
    body: str
    said: str
    prints: str | None = None
    shows: str | None = None

    @property
    def runs(self) -> bool:
        """Whether the page wants it run."""
        return self.language in {"python", "console"} and not self.said.startswith(("not run: ", "file: "))

    @property
    def file(self) -> str | None:
        """The name of the file that this is."""
        return self.said.removeprefix("file: ") if self.said.startswith("file: ") else None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    """Every block of a page that is no output of another one."""
    text = page.read_text(encoding="utf-8")
    found: list[Block] = []
    for match in _BLOCK.finditer(text):
        said, body = match["said"] or "", match["body"]
        if said in {"prints", "shows"}:
            before = found[-1]
            known = {"prints": before.prints, "shows": before.shows, said: body}
            found[-1] = Block(before.page, before.line, before.language, before.body, before.said, **known)
            continue
        line = text.count("\n", 0, match.start("body"))
        found.append(Block(page, line, match["language"], body, said))
    return found
