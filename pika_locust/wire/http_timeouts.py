"""How long each phase of a request may take."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds per phase, and for the whole request; k6 gives a request 60 s in all.

    Raises ValueError for anything but a positive, finite number: a request without an end would hold its user for ever.
    """

    dns_s: float = 10.0
    connect_s: float = 10.0
    """All addresses of the host together."""
    tls_s: float = 10.0
    send_s: float = 30.0
    read_s: float = 60.0
    """The longest silence: until the first byte of the answer, and between two reads of it."""
    total_s: float = 60.0
    """From the start of the request to the last byte, connecting and a repeated attempt included."""

    def __post_init__(self) -> None:
        for field in fields(self):
            seconds = getattr(self, field.name)
            if not (isinstance(seconds, int | float) and math.isfinite(seconds) and seconds > 0):
                raise ValueError(f"Timeouts.{field.name} must be a positive number of seconds, not {seconds!r}")

    @property
    def total_ns(self) -> int:
        return int(self.total_s * 1e9)
