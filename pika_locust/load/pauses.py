"""Exponential back-off between connection attempts."""

from __future__ import annotations

from dataclasses import dataclass

from pika_locust.load.rng import SeededRandom


@dataclass(frozen=True, slots=True)
class Backoff:
    """Growing waits: the first between `first_s` and `first_s + jitter_s`, each next `factor` times as long, and none
    above `cap_s`."""

    first_s: float
    jitter_s: float
    factor: float
    cap_s: float

    def delay_s(self, failures: int, dice: SeededRandom) -> float:
        """Seconds to wait after the `failures`-th failure in a row (from 1)."""
        first = self.first_s + self.jitter_s * dice.random()
        # The exponent is bounded so that an endless outage cannot overflow a float.
        return min(self.cap_s, first * self.factor ** min(failures - 1, 64))
