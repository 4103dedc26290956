"""What is written of versions is what is tested: the page's tables, the pins, the Makefile, the README."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.versions.capabilities import FULL_SUPPORT, LANES, Lane
from tests.versions.page import PAGE, rendered

ROOT = PAGE.parents[1]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
OLDEST_FULL = next(lane for lane in reversed(LANES) if lane.release >= FULL_SUPPORT)


def test_the_page_has_the_table() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == rendered(text), "python tests/versions/page.py writes it"


@pytest.mark.parametrize("lane", LANES[1:])
def test_each_lane_but_the_first_has_its_pins(lane: Lane) -> None:
    pins = (ROOT / "tests" / "versions" / f"kaizen-{lane.kaizen}.txt").read_text(encoding="utf-8").splitlines()
    assert f"kailash-kaizen=={lane.kaizen}" in pins
    assert [line for line in pins if re.fullmatch(rf"kailash(\[.*\])?=={re.escape(lane.kailash)}", line)]


def test_there_are_no_pins_without_a_lane() -> None:
    pinned = {path.stem.removeprefix("kaizen-") for path in (ROOT / "tests" / "versions").glob("kaizen-*.txt")}
    assert pinned == {lane.kaizen for lane in LANES[1:]}


def test_the_first_lane_is_what_all_tests_run_with() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    assert {f"kailash-kaizen=={LANES[0].kaizen}", f"kailash=={LANES[0].kailash}"} <= {
        entry for entry in groups["test"] if isinstance(entry, str)
    }


def test_the_makefile_runs_every_surface_on_the_oldest_of_full_support() -> None:
    assert re.search(r"^FULL_SUPPORT := (.*)$", MAKEFILE, re.MULTILINE)[1] == OLDEST_FULL.kaizen  # type: ignore[index]


def test_the_oldest_kailash_is_the_one_of_the_makefile() -> None:
    (kailash,) = re.findall(r"^KAILASHES := (.*)$", MAKEFILE, re.MULTILINE)
    pins = (ROOT / "tests" / "versions" / f"kailash-{kailash}.txt").read_text(encoding="utf-8").splitlines()
    assert f"kailash=={kailash}" in pins
    assert f"{kailash} if pip is not asked" in PAGE.read_text(encoding="utf-8")


def test_the_readme_and_the_metadata_name_the_oldest_of_full_support() -> None:
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    major, minor = FULL_SUPPORT
    assert f"`kailash-kaizen` {major}.{minor} and newer" in readme
    assert (
        f"tests run with {' and '.join(f'{lane.kaizen} ({lane.kailash})' for lane in (LANES[0], OLDEST_FULL))}"
        in readme
    )
    assert f"kailash-kaizen>={major}.{minor}" in project["optional-dependencies"]["kaizen"]


def test_every_python_of_the_page_is_one_of_the_makefile() -> None:
    pythons = re.search(r"^PYTHONS := (.*)$", MAKEFILE, re.MULTILINE)
    assert pythons is not None
    rows = re.findall(r"^\| (3\.\d+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == ["3.11", *pythons[1].split()]
