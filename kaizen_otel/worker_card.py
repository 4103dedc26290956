"""What a worker says of itself in its store, for who looks at it from outside: `kaizen-otel top`, `report`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kaizen_processors.export.accounts import DeliveryCounts
    from kaizen_processors.host_metrics.reading import Members

CARD: Final = "card"
"""The kind of value that it is kept as."""


@dataclass(frozen=True, slots=True)
class WorkerCard:
    """One worker at one moment.

    Attributes:
        service: `service.name`.
        active: agents that run, or did within five minutes, and until when that will hold.
        delivery: of each signal, what became of its items: `exported`, `waiting`, `spooled`, `dropped`.
        failures: telemetry failures, all causes together.
        mistakes: how often a mistake in the application's settings was ignored.
    """

    service: str
    active: Members = field(default_factory=dict)
    delivery: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    failures: int = 0
    mistakes: int = 0

    def pack(self) -> bytes:
        """Write it."""
        said = {
            "service": self.service,
            "active": self.active,
            "delivery": {signal: dict(counts) for signal, counts in self.delivery.items()},
            "failures": self.failures,
            "mistakes": self.mistakes,
        }
        return json.dumps(said, separators=(",", ":")).encode()


def unpack(packed: bytes) -> WorkerCard | None:
    """Read a card; None for what is none, as another version may have written it."""
    try:
        said: dict[str, Any] = json.loads(packed)
        return WorkerCard(
            str(said["service"]),
            {str(name): None if until is None else int(until) for name, until in said["active"].items()},
            {
                str(signal): {str(name): int(count) for name, count in counts.items()}
                for signal, counts in said["delivery"].items()
            },
            int(said["failures"]),
            int(said.get("mistakes", 0)),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def last_of_the_gone(_folded: bytes | None, gone: bytes) -> bytes:
    """Keep of workers that are gone what the last one was called: it says what the history is of."""
    card = unpack(gone)
    return gone if card is None else WorkerCard(card.service).pack()


def counts_of(counts: DeliveryCounts) -> dict[str, int]:
    """What became of the items of one signal."""
    return {
        "exported": counts.exported + counts.replayed,
        "waiting": counts.pending,
        "spooled": counts.spooled,
        "dropped": sum(counts.dropped.values()) + sum(counts.replay_dropped.values()),
    }
