"""A real Alertmanager, as the machine has it: on Debian the package `prometheus-alertmanager`."""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from tests.backends.processes import LOOPBACK, BackendError, free_ports, get, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PROGRAMS: Final = ("alertmanager", "prometheus-alertmanager")
_CONFIG: Final = """\
route:
  receiver: hook
  group_by: [alertname]
  group_wait: 50ms
  group_interval: 500ms
  repeat_interval: 1h
receivers:
  - name: hook
    webhook_configs:
      - url: {url}
        send_resolved: true
"""


@dataclass(frozen=True, slots=True)
class Alertmanager:
    """A running Alertmanager, by its base address."""

    address: str

    @property
    def url(self) -> str:
        """What a channel is given."""
        return f"http://{self.address}"

    def alerts(self, *matchers: str) -> list[dict[str, Any]]:
        """The alerts that it has, as its API shows them."""
        query = urlencode([("filter", matcher) for matcher in matchers])
        status, body = get(self.address, f"/api/v2/alerts?{query}")
        if status != 200:
            raise BackendError(f"Alertmanager answered {status}: {body!r}")
        found: list[dict[str, Any]] = json.loads(body)
        return found


@contextmanager
def running_alertmanager(folder: Path, webhook: str) -> Iterator[Alertmanager]:
    """An Alertmanager for the length of a block that tells `webhook` of what it is told.

    Raises:
        BackendError: this machine has none.
    """
    program = next((found for name in _PROGRAMS if (found := shutil.which(name))), None)
    if program is None:
        raise BackendError(
            f"none of {', '.join(_PROGRAMS)} is on the PATH: on Debian, apt-get install --no-install-recommends "
            "prometheus-alertmanager; elsewhere from https://prometheus.io/download/"
        )
    config = folder / "alertmanager.yml"
    config.write_text(_CONFIG.format(url=webhook), encoding="utf-8")
    address = f"{LOOPBACK}:{free_ports(1)[0]}"
    command = [
        program,
        f"--config.file={config}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
    ]
    with running("alertmanager", command, folder=folder, health=f"{address}/-/ready"):
        yield Alertmanager(address)
