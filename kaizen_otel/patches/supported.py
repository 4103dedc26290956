"""Which Kaizen is watched: 1.0 and newer; what an older one has is left alone, and one line says so."""

from __future__ import annotations

import logging
import re
from functools import cache
from importlib.metadata import PackageNotFoundError, version

DISTRIBUTION = "kailash-kaizen"

OLDEST = (1, 0)
"""The first Kaizen whose surfaces are known (`docs/versions.md` says what is seen in which)."""

_logger = logging.getLogger("kaizen_otel")


@cache
def supported() -> bool:
    """Whether the installed Kaizen is watched; the first answer holds for the process, and a refusal is logged once.

    Kailash alone is watched, and so is a Kaizen that runs from a folder without a distribution's metadata.
    """
    try:
        installed = version(DISTRIBUTION)
    except PackageNotFoundError:
        return True
    if release_of(installed) >= OLDEST:
        return True
    _logger.warning(
        "kaizen-otel leaves %s %s alone: it watches %s and newer",
        DISTRIBUTION,
        installed,
        ".".join(map(str, OLDEST)),
    )
    return False


def release_of(text: str) -> tuple[int, int]:
    """Major and minor number of a version; one that cannot be read counts as new."""
    found = re.match(r"(\d+)\.(\d+)", text)
    return OLDEST if found is None else (int(found[1]), int(found[2]))
