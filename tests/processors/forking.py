"""Runs a script that forks in an interpreter of its own, as no test may fork the one that runs all tests."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


def run_forking(program: str) -> str:
    """What the script printed; the test fails with what it complained of where it did not end well."""
    done = subprocess.run(  # noqa: S603 - our own script
        # Newer Pythons warn of a fork beside threads, which is what these scripts are about.
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
