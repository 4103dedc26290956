"""Fixtures that every test may use, and the suite's own checks."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

# Kaizen writes run tracking below HOME unless told otherwise: a test run leaves nothing behind.
os.environ.setdefault("KAILASH_TRACKING_DIR", str(Path(tempfile.gettempdir()) / "kaizen-otel-tests"))
for _name in [name for name in os.environ if name.startswith(("OTEL_", "KAIZEN_OTEL_"))]:
    del os.environ[_name]

pytest_plugins = ["tests.fixtures.model_server"]
