"""The examples that Kaizen ships: the Python of the README in each installed package's metadata."""

from __future__ import annotations

import re
from importlib.metadata import distribution
from typing import Final, NamedTuple

PACKAGES: Final = ("kailash-kaizen", "kaizen-agents")

_PARTS: Final = re.compile(r"^(#{1,6}) +(?P<heading>.+?) *$|^```python\n(?P<code>.*?)^```", re.MULTILINE | re.DOTALL)


class Example(NamedTuple):
    """One block of Python: the package, the heading it stands under, and which block of that heading it is."""

    package: str
    heading: str
    number: int
    code: str


def examples() -> list[Example]:
    """All of them, in the order in which they are read."""
    found: list[Example] = []
    for package in PACKAGES:
        heading, number = "", 0
        for part in _PARTS.finditer(distribution(package).read_text("METADATA") or ""):
            if part["heading"] is not None:
                heading, number = part["heading"], 0
            else:
                number += 1
                found.append(Example(package, heading, number, part["code"]))
    return found
