"""What the master tells all processes at the beginning of a test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class RunStart:
    """What a process must know to take part in a test; sent by the master, so without secrets."""

    run_id: str
    seed: int
    target: str
    settings: Mapping[str, Any]
    planned_s: float | None
    spread: bool
    """Whether users that Locust starts together, once a second, are to be spread over that second."""
    supporters: int
    stop_timeout_s: float
    users_peak: int = 0
    """The most primary users that there will be."""
    workers: int = 1
    """How many processes run users, at the beginning."""
    stripes: Mapping[str, int] = field(default_factory=dict)
    """Which part of the arrivals each of them takes, by its id; who comes later takes none."""
    arrivals: Mapping[str, Any] | None = None
    """The open model: users prepared, when arrivals begin, and for how long they come."""
    iterations: Mapping[str, Any] | None = None
    """A fixed number of iterations, if there is one."""
    given: Mapping[str, Any] = field(default_factory=dict)
    """What the scenario's set-up made for all users."""
    thresholds: Sequence[str] = ()
    """What must hold, as the command line would have it."""

    def to_wire(self) -> dict[str, Any]:
        """As plain values; `RunStart(**wire)` reads them."""
        return {**asdict(self), "settings": dict(self.settings)}
