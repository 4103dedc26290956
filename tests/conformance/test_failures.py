"""What telemetry fails at behind the fence fails the test, unless the test says so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

CONFTEST = "from tests.conformance.failures import pytest_configure, pytest_runtest_call\n"
FAILS_HIDDEN = """
from kaizen_otel.patches.switch import active

def test_it(kaizen_telemetry):
    active().fence.caught("metrics", KeyError("no such metric"))
"""
SAYS_SO = FAILS_HIDDEN.replace("def test_it", "@pytest.mark.telemetry_fails\ndef test_it").replace(
    "from kaizen", "import pytest\nfrom kaizen", 1
)
FAILS_ITSELF = FAILS_HIDDEN + "    assert False, 'the reason'\n"
NOTHING_FAILS = "def test_it(kaizen_telemetry):\n    pass\n\ndef test_without_telemetry():\n    pass\n"


@pytest.mark.parametrize(
    ("test", "status", "said"),
    [
        (FAILS_HIDDEN, 1, "telemetry failed behind the fence: {'metrics:KeyError': 1}"),
        (SAYS_SO, 0, "1 passed"),
        (FAILS_ITSELF, 1, "the reason"),
        (NOTHING_FAILS, 0, "2 passed"),
    ],
    ids=["hidden", "says so", "fails itself", "nothing fails"],
)
def test_a_hidden_failure_fails_its_test(test: str, status: int, said: str, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST, "utf-8")
    (tmp_path / "test_it.py").write_text(test, "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "kaizen_otel.testing.plugin"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(  # noqa: S603 - our own interpreter, on a folder of this test
        command, cwd=tmp_path, env=environment, check=False, capture_output=True, text=True
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert said in done.stdout
