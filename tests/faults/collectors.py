"""A real Collector that can be started again and again at one address, with a counting backend behind it."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.backends.builds import PROGRAMS, build
from tests.backends.processes import LOOPBACK, free_ports
from tests.backends.processes import running as process

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.backends.processes import Backend as Process
    from tests.processors.delivery.backend import Backend

CONFIG = Path(__file__).with_name("collector.yaml")


class Collectors:
    """Starts the Collector at one address as often as a test asks for it."""

    def __init__(self, sink: Backend, folder: Path) -> None:
        self.binary = build(PROGRAMS["otelcol-kaizen"])
        health, http = (f"{LOOPBACK}:{port}" for port in free_ports(2))
        self.url, self.health, self.folder = f"http://{http}", f"{health}/", folder
        self.environment = {"HEALTH_ENDPOINT": health, "HTTP_ENDPOINT": http, "SINK_ENDPOINT": sink.url}

    @contextmanager
    def one(self) -> Iterator[Process]:
        command = [str(self.binary), "--config", str(CONFIG)]
        with process(
            "otelcol", command, folder=self.folder, health=self.health, environment=self.environment
        ) as collector:
            yield collector
